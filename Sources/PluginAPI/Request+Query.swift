extension Request {
  /// The first value of a query parameter, percent-decoded, with `+` for a space as forms send it; `nil` if there is no
  /// such parameter, and empty if it has no `=`.
  public func queryParameter(_ name: String) -> String? {
    var found: String?
    forEachQueryParameter { rawName, rawValue in
      guard matches(rawName, name) else { return true }
      found = decodeForm(rawValue)
      return false
    }
    return found
  }

  /// All query parameters in their order, decoded likewise.
  public var queryParameters: [(name: String, value: String)] {
    var all: [(name: String, value: String)] = []
    forEachQueryParameter { name, value in
      all.append((decodeForm(name), decodeForm(value)))
      return true
    }
    return all
  }

  /// Splits at `&` and the first `=`, until `body` returns false. Empty pieces are skipped.
  private func forEachQueryParameter(
    _ body: (_ name: Slice<UnsafeRawBufferPointer>, _ value: Slice<UnsafeRawBufferPointer>) -> Bool
  ) {
    let query = raw.pointee.query.buffer
    var start = query.startIndex
    while start < query.endIndex {
      let end = query[start...].firstIndex(of: UInt8(ascii: "&")) ?? query.endIndex
      if end > start {
        let piece = query[start..<end]
        let equals = piece.firstIndex(of: UInt8(ascii: "="))
        let value = equals.map { piece[($0 + 1)...] } ?? piece[end..<end]
        guard body(piece[..<(equals ?? end)], value) else { return }
      }
      start = end + 1
    }
  }
}

/// Whether a name decodes to `wanted`; only a name that is encoded is decoded for it.
private func matches(_ raw: Slice<UnsafeRawBufferPointer>, _ wanted: String) -> Bool {
  let isPlain = !raw.contains { $0 == UInt8(ascii: "%") || $0 == UInt8(ascii: "+") }
  return isPlain ? wanted.utf8.elementsEqual(raw) : decodeForm(raw) == wanted
}

/// application/x-www-form-urlencoded: `+` is a space, `%41` is `A`; a `%` without two hexadecimal digits stays.
private func decodeForm(_ raw: Slice<UnsafeRawBufferPointer>) -> String {
  String(unsafeUninitializedCapacity: raw.count) { buffer in
    var count = 0
    var index = raw.startIndex
    while index < raw.endIndex {
      var byte = raw[index]
      index += 1
      if byte == UInt8(ascii: "+") {
        byte = UInt8(ascii: " ")
      } else if byte == UInt8(ascii: "%"), index + 1 < raw.endIndex,
        let high = hexadecimal(raw[index]), let low = hexadecimal(raw[index + 1])
      {
        byte = high << 4 | low
        index += 2
      }
      buffer[count] = byte
      count += 1
    }
    return count
  }
}

private func hexadecimal(_ digit: UInt8) -> UInt8? {
  switch digit {
  case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
  case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
  case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
  default: nil
  }
}

import HTTPCodec

/// Fields of the built-in CORS policy, among those that plugins have set.
extension Exchange {
  /// One field of the policy; Vary is joined with what a plugin has put there.
  ///
  /// - Parameter value: lives as long as the response.
  func addCORSHeader(_ name: bh_bytes, _ value: bh_bytes) {
    guard name.equals("Vary"), header(name) != nil else { return addHeader(borrowing: name, value) }
    setHeader(borrowing: name, merged(with: value))
  }

  /// The list of every Vary field so far, and those names of `more` that are not in it (RFC 9110 section 12.5.5).
  private func merged(with more: bh_bytes) -> bh_bytes {
    var list = ByteBuffer(capacity: 128)
    var isEverything = false
    func add(_ names: bh_bytes) {
      for piece in names.buffer.split(separator: UInt8(ascii: ",")) {
        let name = bh_bytes(UnsafeRawBufferPointer(rebasing: piece)).trimmed
        if name.isEmpty || Exchange.contains(UnsafeRawBufferPointer(list.readable), name) { continue }
        if name.equals("*") { isEverything = true }
        if !list.isEmpty { list.append(", " as StaticString) }
        list.append(name)
      }
    }
    for field in headers where field.name.equalsIgnoringCase(bh_bytes("Vary")) { add(field.value) }
    add(more)
    return isEverything ? bh_bytes("*") : arena.copy(bh_bytes(UnsafeRawBufferPointer(list.readable)))
  }

  private static func contains(_ list: UnsafeRawBufferPointer, _ name: bh_bytes) -> Bool {
    list.split(separator: UInt8(ascii: ",")).contains {
      bh_bytes(UnsafeRawBufferPointer(rebasing: $0)).trimmed.equalsIgnoringCase(name)
    }
  }
}

extension bh_bytes {
  /// Without the blanks around it.
  var trimmed: bh_bytes {
    var view = buffer[...]
    while let first = view.first, first == 0x20 || first == 0x09 { view = view.dropFirst() }
    while let last = view.last, last == 0x20 || last == 0x09 { view = view.dropLast() }
    return bh_bytes(UnsafeRawBufferPointer(rebasing: view))
  }

  /// `Access-Control-…`
  var hasCORSPrefix: Bool {
    let prefix = bh_bytes("access-control-")
    return count > prefix.count && bh_bytes(data: data, count: prefix.count).equalsIgnoringCase(prefix)
  }
}

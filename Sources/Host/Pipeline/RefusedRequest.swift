import HTTPCodec

/// What can still be told of a request that the codec refused: enough to let a browser read the answer.
enum RefusedRequest {
  /// The Origin field's value, if the bytes hold exactly one line that begins with its name.
  static func origin(in bytes: UnsafeRawBufferPointer) -> bh_bytes? {
    var found: bh_bytes?
    for line in lines(of: bytes).dropFirst() {
      if line.isEmpty { break }
      let name = bh_bytes("origin:")
      guard line.count > name.count, bh_bytes(data: line.data, count: name.count).equalsIgnoringCase(name)
      else {
        continue
      }
      guard found == nil else { return nil }
      var value = line.dropFirst(name.count).buffer[...]
      while value.first == 0x20 { value = value.dropFirst() }
      while value.last == 0x20 { value = value.dropLast() }
      found = bh_bytes(UnsafeRawBufferPointer(rebasing: value))
    }
    guard let found, FieldSyntax.isFieldValue(found.buffer) else { return nil }
    return found
  }

  /// The method, for the log; empty if there is none that could be shown.
  static func method(in bytes: UnsafeRawBufferPointer) -> bh_bytes {
    guard let end = bytes.prefix(32).firstIndex(of: 0x20) else { return bh_bytes() }
    let method = UnsafeRawBufferPointer(rebasing: bytes[..<end])
    return FieldSyntax.isToken(method) ? bh_bytes(method) : bh_bytes()
  }

  private static func lines(of bytes: UnsafeRawBufferPointer) -> [bh_bytes] {
    bytes.prefix(16 << 10).split(separator: 0x0a, maxSplits: 200, omittingEmptySubsequences: false).map {
      line in
      let trimmed = line.last == 0x0d ? line.dropLast() : line
      return bh_bytes(UnsafeRawBufferPointer(rebasing: trimmed))
    }
  }
}

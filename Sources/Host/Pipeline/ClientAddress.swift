import Glibc
import HTTPCodec

/// The client's address behind proxies that are trusted.
enum ClientAddress {
  /// Sets the client's address from `Forwarded` (RFC 7239) or `X-Forwarded-For`: the last address that is not a
  /// trusted proxy's. What is not an address ends the search: beyond it nothing can be believed.
  ///
  /// Called only if the peer is trusted.
  static func readForwarded(_ x: Exchange) {
    var hops: [bh_bytes] = []
    for index in 0..<x.request.pointee.field_count {
      let field = x.fields[index]
      if field.name.equalsIgnoringCase(bh_bytes("X-Forwarded-For")) {
        hops += field.value.buffer.split(separator: UInt8(ascii: ",")).map { trimmed(bh_bytes(UnsafeRawBufferPointer(rebasing: $0))) }
      } else if field.name.equalsIgnoringCase(bh_bytes("Forwarded")) {
        hops += field.value.buffer.split(separator: UInt8(ascii: ",")).compactMap { forwardedFor(UnsafeRawBufferPointer(rebasing: $0)) }
      }
    }
    for hop in hops.reversed() {
      guard let (text, ip) = parse(hop, in: &x.arena) else { return }
      x.request.pointee.client_address = text
      x.request.pointee.client_ip = ip
      guard x.connection?.loop.trusts(ip) == true else { return }
    }
  }

  /// The `for` parameter of one element of Forwarded, unquoted.
  private static func forwardedFor(_ element: UnsafeRawBufferPointer) -> bh_bytes? {
    for pair in element.split(separator: UInt8(ascii: ";")) {
      let text = trimmed(bh_bytes(UnsafeRawBufferPointer(rebasing: pair)))
      guard text.count > 4, strncasecmp(text.data, "for=", 4) == 0 else { continue }
      return trimmed(text.dropFirst(4), also: UInt8(ascii: "\""))
    }
    return nil
  }

  private static func trimmed(_ bytes: bh_bytes, also extra: UInt8 = 0x20) -> bh_bytes {
    func isTrimmed(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == extra }
    var view = bytes.buffer[...]
    while let first = view.first, isTrimmed(first) { view = view.dropFirst() }
    while let last = view.last, isTrimmed(last) { view = view.dropLast() }
    return bh_bytes(UnsafeRawBufferPointer(rebasing: view))
  }

  /// An IPv4 or IPv6 address, perhaps in brackets and with a port: as text, and in network order.
  static func parse(_ bytes: bh_bytes, in arena: inout Arena) -> (text: bh_bytes, ip: bh_bytes)? {
    var text = bytes.string
    if text.hasPrefix("["), let end = text.firstIndex(of: "]") {
      text = String(text[text.index(after: text.startIndex)..<end])
    } else if text.filter({ $0 == ":" }).count == 1, let colon = text.firstIndex(of: ":") {
      text = String(text[..<colon])
    }
    let memory = arena.allocate(16)
    if inet_pton(AF_INET, text, memory) == 1 { return (arena.copy(text), bh_bytes(memory, 4)) }
    if inet_pton(AF_INET6, text, memory) == 1 { return (arena.copy(text), bh_bytes(memory, 16)) }
    return nil
  }
}

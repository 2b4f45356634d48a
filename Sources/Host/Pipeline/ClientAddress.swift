import Glibc
import HTTPCodec

/// The client's address behind proxies that are trusted.
enum ClientAddress {
  /// Sets the client's address from `X-Forwarded-For` or `Forwarded` (RFC 7239): the last address that is not a trusted
  /// proxy's. What is not an address ends the search: beyond it nothing can be believed.
  ///
  /// A proxy writes one of the two, and may pass on what the client wrote into the other. Which of them, nobody says: if
  /// they name different clients, neither is believed, and the client is the proxy.
  ///
  /// - Parameter isTrusted: whether an address, in network order, is one of the trusted proxies.
  static func readForwarded(_ x: Exchange, isTrusted: (bh_bytes) -> Bool) {
    let list = claim(of: x, named: "X-Forwarded-For", isTrusted)
    let forwarded = claim(of: x, named: "Forwarded", isTrusted)
    if let list, let forwarded, !list.ip.equals(forwarded.ip) { return }
    guard let claim = list ?? forwarded else { return }
    x.request.pointee.client_address = claim.text
    x.request.pointee.client_ip = claim.ip
  }

  /// The client as fields of one name have it; the peer if they say nothing that can be believed, nil if there are none.
  private static func claim(
    of x: Exchange, named name: StaticString, _ isTrusted: (bh_bytes) -> Bool
  ) -> (text: bh_bytes, ip: bh_bytes)? {
    var hops = Hops(of: x, named: name)
    guard !hops.isEmpty else { return nil }
    var client = (text: x.request.pointee.client_address, ip: x.request.pointee.client_ip)
    while let hop = hops.popLast(), let address = parse(hop, in: &x.arena) {
      client = address
      guard isTrusted(address.ip) else { break }
    }
    return client
  }

  /// True if the request comes from this machine: the peer does, and so does every hop that any proxy, trusted or not,
  /// or any client claims.
  static func isLoopback(_ x: Exchange, peer ip: bh_bytes) -> Bool {
    guard ip.isEmpty || isLoopback(ip),
      x.request.pointee.client_ip.isEmpty || isLoopback(x.request.pointee.client_ip)
    else { return false }
    for name: StaticString in ["X-Forwarded-For", "Forwarded", "X-Real-IP"] {
      var hops = Hops(of: x, named: name)
      while let hop = hops.popLast() {
        guard let (_, ip) = parse(hop, in: &x.arena), isLoopback(ip) else { return false }
      }
    }
    return true
  }

  private static func isLoopback(_ ip: bh_bytes) -> Bool {
    let bytes = ip.buffer
    return bytes.count == 4 ? bytes[0] == 127 : bytes.dropLast().allSatisfy { $0 == 0 } && bytes.last == 1
  }

  /// An IPv4 or IPv6 address, perhaps in brackets and with a port: as text in its canonical form (RFC 5952), and in
  /// network order. An IPv4 address in IPv6 (`::ffff:a.b.c.d`) is the IPv4 address.
  static func parse(_ bytes: bh_bytes, in arena: inout Arena) -> (text: bh_bytes, ip: bh_bytes)? {
    let digits = withoutPort(bytes)
    guard digits.count > 0, digits.count < Int(INET6_ADDRSTRLEN) else { return nil }
    let ip = arena.allocate(16)
    let family: Int32? = withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(INET6_ADDRSTRLEN)) {
      text in
      memcpy(text.baseAddress!, digits.data, digits.count)
      text[digits.count] = 0
      if inet_pton(AF_INET, text.baseAddress!, ip) == 1 { return AF_INET }
      return inet_pton(AF_INET6, text.baseAddress!, ip) == 1 ? AF_INET6 : nil
    }
    guard let family else { return nil }
    let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]
    let isMapped = family == AF_INET6 && memcmp(ip, mapped, mapped.count) == 0
    let packed = bh_bytes(isMapped ? ip + 12 : ip, family == AF_INET6 && !isMapped ? 16 : 4)
    let text = arena.allocate(Int(INET6_ADDRSTRLEN)).assumingMemoryBound(to: CChar.self)
    inet_ntop(packed.count == 4 ? AF_INET : AF_INET6, packed.data, text, socklen_t(INET6_ADDRSTRLEN))
    return (bh_bytes(data: text, count: strlen(text)), packed)
  }

  /// `a.b.c.d:port` and `[address]:port` without port and brackets; an address alone as it is.
  private static func withoutPort(_ bytes: bh_bytes) -> bh_bytes {
    let text = bytes.buffer
    if text.first == UInt8(ascii: "[") {
      guard let end = text.firstIndex(of: UInt8(ascii: "]")),
        end + 1 == text.count || text[end + 1] == UInt8(ascii: ":")
      else { return bh_bytes() }
      return bh_bytes(UnsafeRawBufferPointer(rebasing: text[1..<end]))
    }
    guard let colon = text.firstIndex(of: UInt8(ascii: ":")), colon == text.lastIndex(of: UInt8(ascii: ":"))
    else {
      return bytes
    }
    return bh_bytes(UnsafeRawBufferPointer(rebasing: text[..<colon]))
  }
}

/// The addresses that fields of one name list, from the last to the first; each as it stands there, or empty if an
/// element does not say for whom it speaks.
private struct Hops {
  private var elements: [bh_bytes] = []
  private let isForwarded: Bool

  init(of x: Exchange, named name: StaticString) {
    isForwarded = bh_bytes(name).equals("Forwarded")
    for index in 0..<x.request.pointee.field_count
    where x.fields[index].name.equalsIgnoringCase(bh_bytes(name)) {
      // Commas within quotes are no commas to RFC 7239, but no address has one either: to split there is to find none.
      for piece in x.fields[index].value.buffer.split(separator: UInt8(ascii: ",")) {
        let element = bh_bytes(UnsafeRawBufferPointer(rebasing: piece)).trimmed
        // Empty elements count for nothing (RFC 9110 section 5.6.1).
        if !element.isEmpty { elements.append(element) }
      }
    }
  }

  var isEmpty: Bool { elements.isEmpty }

  mutating func popLast() -> bh_bytes? {
    guard let element = elements.popLast() else { return nil }
    return isForwarded ? Hops.forwardedFor(element) : element
  }

  /// The `for` parameter of one element of Forwarded, unquoted.
  private static func forwardedFor(_ element: bh_bytes) -> bh_bytes {
    for pair in element.buffer.split(separator: UInt8(ascii: ";")) {
      let text = bh_bytes(UnsafeRawBufferPointer(rebasing: pair)).trimmed
      guard text.count > 4, strncasecmp(text.data, "for=", 4) == 0 else { continue }
      var value = text.dropFirst(4).buffer[...]
      while value.first == UInt8(ascii: "\"") { value = value.dropFirst() }
      while value.last == UInt8(ascii: "\"") { value = value.dropLast() }
      return bh_bytes(UnsafeRawBufferPointer(rebasing: value))
    }
    return bh_bytes()
  }
}

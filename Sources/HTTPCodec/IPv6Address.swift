// IPv6 addresses as text (RFC 3986 section 3.2.2, RFC 4291 section 2.2).
extension FieldSyntax {
  /// Whether the bytes are an IPv6 address: groups of 1 to 4 hexadecimal digits divided by colons, of which `::`
  /// stands once for one group or more, and the last two may be an IPv4 address.
  static func isIPv6Address(_ bytes: UnsafeRawBufferPointer) -> Bool {
    var offset = 0
    var groups = 0
    var isCompressed = false
    if bytes.count >= 2, bytes[0] == UInt8(ascii: ":"), bytes[1] == UInt8(ascii: ":") {
      isCompressed = true
      offset = 2
      if offset == bytes.count { return true }
    }
    while true {
      let start = offset
      while offset < bytes.count, Octets.isIn(.hexadecimal, bytes[offset]) { offset &+= 1 }
      if offset < bytes.count, bytes[offset] == UInt8(ascii: ".") {
        guard isIPv4Address(UnsafeRawBufferPointer(rebasing: bytes[start...])) else { return false }
        groups &+= 2
        break
      }
      guard offset > start, offset &- start <= 4 else { return false }
      groups &+= 1
      if offset == bytes.count { break }
      guard bytes[offset] == UInt8(ascii: ":") else { return false }
      offset &+= 1
      guard offset < bytes.count else { return false }
      if bytes[offset] == UInt8(ascii: ":") {
        guard !isCompressed else { return false }
        isCompressed = true
        offset &+= 1
        if offset == bytes.count { break }
      }
    }
    return isCompressed ? groups <= 7 : groups == 8
  }

  /// Whether the bytes are four decimal numbers from 0 to 255 divided by dots, without leading zeros.
  static func isIPv4Address(_ bytes: UnsafeRawBufferPointer) -> Bool {
    var offset = 0
    for number in 0..<4 {
      if number > 0 {
        guard offset < bytes.count, bytes[offset] == UInt8(ascii: ".") else { return false }
        offset &+= 1
      }
      let start = offset
      var value = 0
      while offset < bytes.count, offset &- start < 3, bytes[offset] &- 0x30 < 10 {
        value = value &* 10 &+ Int(bytes[offset] &- 0x30)
        offset &+= 1
      }
      guard offset > start, value <= 255 else { return false }
      guard offset &- start == 1 || bytes[start] != UInt8(ascii: "0") else { return false }
    }
    return offset == bytes.count
  }
}

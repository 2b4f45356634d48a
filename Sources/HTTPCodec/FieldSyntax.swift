/// What names, values and hosts may consist of (RFC 9110 section 5, RFC 3986 section 3.2.2).
///
/// Any thread; nothing is kept of the arguments.
public enum FieldSyntax {
  /// Whether the bytes are a token: a field name, a method, a list element. The empty string is none.
  public static func isToken(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard let base = bytes.baseAddress, !bytes.isEmpty else { return false }
    return Octets.skip(.token, base, 0, bytes.count) == bytes.count
  }

  /// Whether the bytes may be sent as a field value: no control characters but HTAB. Empty is allowed; so is
  /// whitespace at the ends, which recipients strip.
  public static func isFieldValue(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard let base = bytes.baseAddress else { return true }
    return Octets.skipFieldValue(base, 0, bytes.count) == bytes.count
  }

  /// Whether two names are the same, as field names are compared: ASCII letters without case.
  public static func equalsIgnoringCase(_ a: UnsafeRawBufferPointer, _ b: StaticString) -> Bool {
    guard a.count == b.utf8CodeUnitCount else { return false }
    let other = b.utf8Start
    for index in 0..<a.count where lowercased(a[index]) != lowercased(other[index]) { return false }
    return true
  }

  /// Whether the bytes are exactly those of a string.
  static func equals(_ a: UnsafeRawBufferPointer, _ b: StaticString) -> Bool {
    guard a.count == b.utf8CodeUnitCount else { return false }
    let other = b.utf8Start
    for index in 0..<a.count where a[index] != other[index] { return false }
    return true
  }

  /// An ASCII letter in lower case; any other octet as it is.
  @inline(__always)
  static func lowercased(_ octet: UInt8) -> UInt8 {
    octet &- UInt8(ascii: "A") < 26 ? octet | 0x20 : octet
  }

  /// Whether the bytes are `host[:port]`: a registered name, an IPv4 address or an IPv6 address in brackets, then
  /// perhaps a port from 0 to 65535 (or, as RFC 3986 allows, a colon and no port).
  ///
  /// Stricter than the grammar where it lets two readers differ: a host must not be empty, nor have userinfo, `%` or
  /// a comma; `IPvFuture` and zone identifiers are refused.
  public static func isWellFormedHost(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard let base = bytes.baseAddress, !bytes.isEmpty else { return false }
    var offset: Int
    if bytes[0] == UInt8(ascii: "[") {
      guard let closing = bytes.firstIndex(of: UInt8(ascii: "]")),
        isIPv6Address(UnsafeRawBufferPointer(rebasing: bytes[1..<closing]))
      else { return false }
      offset = closing &+ 1
    } else {
      offset = Octets.skip(.registeredName, base, 0, bytes.count)
      guard offset > 0 else { return false }
    }
    if offset == bytes.count { return true }
    guard bytes[offset] == UInt8(ascii: ":"), bytes.count &- offset <= 6 else { return false }
    offset &+= 1
    var port = 0
    while offset < bytes.count {
      let digit = bytes[offset] &- 0x30
      guard digit < 10 else { return false }
      port = port &* 10 &+ Int(digit)
      offset &+= 1
    }
    return port <= 65_535
  }
}

/// The `Authorization: Bearer` field (RFC 6750 section 2.1).
enum BearerCredentials {
  /// The token, a view into the field's value; nil if the scheme is another.
  static func token(in field: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
    guard field.count > scheme.count else { return nil }
    for (byte, expected) in zip(field, scheme) where byte | 0x20 != expected | 0x20 { return nil }
    guard field[scheme.count] == UInt8(ascii: " ") else { return nil }
    var start = scheme.count
    while start < field.count, field[start] == UInt8(ascii: " ") { start += 1 }
    return UnsafeRawBufferPointer(rebasing: field[start...])
  }

  private static let scheme = Array("bearer".utf8)

  /// The challenge for a token that is refused (RFC 6750 section 3).
  static func challenge(for fault: TokenFault) -> String {
    "Bearer error=\"invalid_token\", error_description=\"\(fault.advice)\""
  }
}

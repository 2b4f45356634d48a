import PluginAPI

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

  /// Whether there is one `Authorization` field at most.
  static func areUnambiguous(_ headers: borrowing Headers) -> Bool {
    var count = 0
    headers.withEach { name, _ in
      if name.count == fieldName.count, zip(name, fieldName).allSatisfy({ $0 | 0x20 == $1 }) { count += 1 }
    }
    return count <= 1
  }

  private static let fieldName = Array("authorization".utf8)
  private static let scheme = Array("bearer".utf8)

  /// The challenge for a token that is refused (RFC 6750 sections 3 and 3.1).
  static func challenge(for fault: TokenFault) -> String {
    let error = fault == .repeated ? "invalid_request" : "invalid_token"
    return "Bearer error=\"\(error)\", error_description=\"\(fault.advice)\""
  }
}

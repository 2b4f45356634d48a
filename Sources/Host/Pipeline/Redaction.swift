import Glibc

/// What of a request may be shown: to diagnostics, in the log and in the ledger.
///
/// A field that nobody has heard of may hold a credential, and what holds one is mostly named for it. So it is the words
/// in the name that decide, and the shape of the value.
enum Redaction {
  private static let secretWords: [StaticString] = [
    "auth", "cookie", "token", "secret", "key", "password", "passwd", "credential", "session", "signature",
    "jwt",
    "bearer", "csrf", "xsrf", "otp", "assertion", "cert",
  ]

  /// Whether fields of this name may hold a credential.
  static func isSecret(fieldNamed name: bh_bytes) -> Bool { secretWords.contains { name.contains($0) } }

  /// Whether a value is one by its looks: it names an authentication scheme, or is a JSON Web Token (RFC 7519).
  static func isSecret(value: bh_bytes) -> Bool {
    for scheme: StaticString in ["Bearer ", "Basic ", "Digest ", "Negotiate ", "AWS4-HMAC-"] {
      let prefix = bh_bytes(scheme)
      if value.count > prefix.count, strncasecmp(value.data, prefix.data, prefix.count) == 0 { return true }
    }
    // Of a header and claims that are JSON objects, in base64url.
    return value.contains("eyJ") && value.contains(".eyJ")
  }

  /// A field's value as it may be shown. Of a URL without its query: that holds tokens more often than not.
  static func shown(_ value: bh_bytes, ofFieldNamed name: bh_bytes) -> String {
    if isSecret(fieldNamed: name) || isSecret(value: value) { return Configuration.redacted }
    guard let mark = value.buffer.firstIndex(of: UInt8(ascii: "?")) else { return value.string }
    return bh_bytes(UnsafeRawBufferPointer(rebasing: value.buffer[...mark])).string + Configuration.redacted
  }
}

extension bh_bytes {
  /// Whether the literal stands anywhere in the bytes, in whatever case.
  fileprivate func contains(_ literal: StaticString) -> Bool {
    let wanted = bh_bytes(literal)
    guard count >= wanted.count else { return false }
    for start in 0...(count - wanted.count)
    where strncasecmp(data + start, wanted.data, wanted.count) == 0 { return true }
    return false
  }
}

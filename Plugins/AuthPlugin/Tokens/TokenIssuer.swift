import JSONBodies

/// Makes access tokens: JWTs signed with a symmetric key. Any thread.
struct TokenIssuer: Sendable {
  let keys: KeyRing
  let issuer: String
  let audience: String
  /// In seconds.
  let lifetime: Int64

  /// The claims of a new token for a user.
  ///
  /// - Parameter now: Unix time in seconds.
  func claims(subject: String, email: String, role: String, now: Int64) -> TokenClaims {
    TokenClaims(
      subject: subject, email: email, role: role, issuer: issuer.isEmpty ? nil : issuer,
      audience: audience.isEmpty ? [] : [audience], issuedAt: now, notBefore: nil, expiresAt: now + lifetime,
      id: Identifier.make(), scopes: [])
  }

  /// The token with these claims, in the compact serialisation (RFC 7515 section 7.1).
  ///
  /// - Throws: `CryptoError`.
  func sign(_ claims: TokenClaims) throws -> String {
    let key = keys.current.signing
    let header = #"{"alg":"\#(key.algorithm.rawValue)","typ":"JWT"}"#
    let payload = try JSONText.encode(claims)
    let signed = Base64.url.encode(header.utf8) + "." + Base64.url.encode(payload.utf8)
    let signature = try Array(signed.utf8).withUnsafeBytes { try key.sign($0) }
    return signed + "." + Base64.url.encode(signature)
  }
}

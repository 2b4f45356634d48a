import Glibc

/// Verifies access tokens: JWTs in the compact serialisation (RFC 7519), as RFC 8725 recommends. Any thread.
struct TokenVerifier: Sendable {
  /// What `iss` must be; empty: anything.
  let issuer: String
  /// What `aud` must be or contain; empty: anything.
  let audience: String
  /// How far the clocks of issuer and verifier may be apart, in seconds.
  let leeway: Int64
  private let headers = KnownHeaders()

  init(issuer: String, audience: String, leeway: Int64) {
    self.issuer = issuer
    self.audience = audience
    self.leeway = leeway
  }

  /// In bytes: room for many claims, and a bound of the work that a stranger can ask for.
  static let maximumCount = 8192

  /// The claims of a token whose signature, times, issuer and audience are right.
  ///
  /// - Parameters:
  ///   - keys: one of which it must be signed with.
  ///   - now: Unix time in seconds.
  /// - Throws: `TokenFault`; `CryptoError` if libcrypto fails.
  func verify(_ token: UnsafeRawBufferPointer, _ keys: KeySet, now: Int64) throws -> TokenClaims {
    let parts = try TokenParts(token)
    let known = headers.find(parts.header)
    let header = try known ?? decode(TokenHeader.self, parts.header)
    guard !header.hasCriticalExtensions else { throw TokenFault.criticalExtension }
    guard header.isAccessToken, !header.isOtherwiseEncoded else { throw TokenFault.wrongType }
    try verifySignature(of: parts, header, keys)
    if known == nil { headers.insert(header, parts.header) }
    let claims = try decode(TokenClaims.self, parts.payload)
    try check(claims, now: now)
    return claims
  }

  /// From when on a token with these claims is refused: Unix time in seconds.
  func end(of claims: TokenClaims) -> Int64 { claims.expiresAt + leeway }

  private func verifySignature(of parts: TokenParts, _ header: TokenHeader, _ keys: KeySet) throws {
    let candidates = keys.keys(for: header.algorithm)
    guard !candidates.isEmpty else { throw TokenFault.unsupportedAlgorithm }
    guard let signature = Base64.url.decode(parts.signature), !signature.isEmpty else {
      throw TokenFault.malformed
    }
    for key in candidates where key.id == nil || header.keyID == nil || key.id == header.keyID {
      if try signature.withUnsafeBytes({ try key.verifies($0, of: parts.signed) }) { return }
    }
    throw TokenFault.wrongSignature
  }

  private func check(_ claims: TokenClaims, now: Int64) throws {
    guard now < end(of: claims) else { throw TokenFault.expired }
    guard claims.notBefore ?? 0 <= now + leeway, claims.issuedAt ?? 0 <= now + leeway else {
      throw TokenFault.notYetValid
    }
    guard issuer.isEmpty || claims.issuer == issuer else { throw TokenFault.wrongIssuer }
    guard audience.isEmpty || claims.audience.contains(audience) else { throw TokenFault.wrongAudience }
  }

  private func decode<Part: Decodable>(_ type: Part.Type, _ text: UnsafeRawBufferPointer) throws -> Part {
    guard let bytes = Base64.url.decode(text) else { throw TokenFault.malformed }
    return try TokenJSON.decode(type, bytes)
  }
}

/// The three parts of a token, views into its bytes.
private struct TokenParts {
  let header: UnsafeRawBufferPointer
  let payload: UnsafeRawBufferPointer
  let signature: UnsafeRawBufferPointer
  /// Header, dot and payload: what the signature is of.
  let signed: UnsafeRawBufferPointer

  /// - Throws: `TokenFault`.
  init(_ token: UnsafeRawBufferPointer) throws {
    guard token.count <= TokenVerifier.maximumCount else { throw TokenFault.oversized }
    guard let first = Self.dot(in: token, from: 0), let second = Self.dot(in: token, from: first + 1),
      Self.dot(in: token, from: second + 1) == nil
    else { throw TokenFault.malformed }
    header = UnsafeRawBufferPointer(rebasing: token[..<first])
    payload = UnsafeRawBufferPointer(rebasing: token[(first + 1)..<second])
    signature = UnsafeRawBufferPointer(rebasing: token[(second + 1)...])
    signed = UnsafeRawBufferPointer(rebasing: token[..<second])
  }
  private static func dot(in token: UnsafeRawBufferPointer, from start: Int) -> Int? {
    guard let base = token.baseAddress, start < token.count else { return nil }
    let found = memchr(base + start, Int32(UInt8(ascii: ".")), token.count - start)
    return found.map { UnsafeRawPointer($0) - base }
  }
}

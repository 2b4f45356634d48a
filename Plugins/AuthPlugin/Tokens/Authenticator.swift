import PluginAPI

/// Tells from an access token who sends a request: the whole of what a request pays for. Any thread; blocks only for
/// another generation's revocations and for a file of keys that has changed, and briefly.
struct Authenticator: Sendable {
  let keys: KeyRing
  let verifier: TokenVerifier
  let cache: TokenCache
  let revocations: Revocations
  /// Tokens whose signature was checked, for the metrics.
  let verified: Counter

  /// - Parameter now: Unix time in seconds.
  /// - Throws: `TokenFault` if the token is to be refused; `Revocations.Unknown`, `CryptoError` or
  ///   `DatabaseError` if that cannot be told.
  func authenticate(_ token: UnsafeRawBufferPointer, now: Int64) throws -> VerifiedToken {
    let keyVersion = keys.version(now: now)
    if let known = cache.find(token), known.keyVersion == keyVersion {
      guard now < known.end else { throw TokenFault.expired }
      try checkRevocation(of: known)
      return known
    }
    let (claims, keys) = try verify(token, now: now)
    verified.add()
    let fresh = VerifiedToken(
      token, identity: Identity(claims), end: verifier.end(of: claims),
      id: try claims.revocationID(of: token),
      keyVersion: keys.version)
    try checkRevocation(of: fresh)
    cache.insert(fresh)
    return fresh
  }

  /// - Returns: with the keys that one was found in.
  private func verify(_ token: UnsafeRawBufferPointer, now: Int64) throws -> (TokenClaims, KeySet) {
    let keys = keys.current
    do {
      return (try verifier.verify(token, keys, now: now), keys)
    } catch let fault as TokenFault where fault.mayBeOfNewKey {
      // Another generation, or another issuer, signs with a new key from the moment on that it is in the file.
      guard let next = self.keys.successor(of: keys) else { throw fault }
      return (try verifier.verify(token, next, now: now), next)
    }
  }

  private func checkRevocation(of token: VerifiedToken) throws {
    try revocations.checkAge()
    let version = revocations.version
    guard !token.isCleared(in: version) else { return }
    guard try !revocations.contains(token.id) else { throw TokenFault.revoked }
    token.clear(in: version)
  }
}

extension Identity {
  fileprivate init(_ claims: TokenClaims) {
    self.init(
      subject: claims.subject, email: claims.email ?? "", role: claims.role ?? "", scopes: claims.scopes,
      expiresAt: claims.expiresAt)
  }
}

extension TokenClaims {
  /// What the token is revoked by: its `jti`; or if it has none, the digest of what its signature is of. Not of the
  /// signature: of ECDSA's there are two for each, and anybody can make the second from the first.
  fileprivate func revocationID(of token: UnsafeRawBufferPointer) throws -> String {
    if let id { return id }
    let signed = token.prefix(upTo: token.lastIndex(of: UInt8(ascii: ".")) ?? token.endIndex)
    return "sha256:" + Base64.url.encode(try SHA256.hash(String(decoding: signed, as: UTF8.self)))
  }
}

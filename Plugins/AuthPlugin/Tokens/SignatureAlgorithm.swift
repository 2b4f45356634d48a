/// The signature algorithms of JWTs (RFC 7518 section 3.1, RFC 8037) that are accepted. `none` is not among them.
enum SignatureAlgorithm: String, Sendable, CaseIterable, Decodable {
  case hs256 = "HS256"
  case hs384 = "HS384"
  case hs512 = "HS512"
  case rs256 = "RS256"
  case ps256 = "PS256"
  case es256 = "ES256"
  case edDSA = "EdDSA"

  /// Those that sign with the secret that verifies, and so those that this plugin signs with.
  static let symmetric: [SignatureAlgorithm] = [.hs256, .hs384, .hs512]
  /// Those of other issuers' public keys.
  static let asymmetric: [SignatureAlgorithm] = [.rs256, .ps256, .es256, .edDSA]

  /// libcrypto's name of the digest that HMAC is made with, and how many bytes it has: no secret may be shorter
  /// (RFC 7518 section 3.2). Nil: not an HMAC.
  var hmacDigest: (name: String, byteCount: Int)? {
    switch self {
    case .hs256: ("SHA256", 32)
    case .hs384: ("SHA384", 48)
    case .hs512: ("SHA512", 64)
    case .rs256, .ps256, .es256, .edDSA: nil
    }
  }
}

/// A key that tokens are verified with. It is for one algorithm only, so that a token cannot choose how it is checked
/// (RFC 8725 section 3.1). Any thread.
protocol VerificationKey: Sendable {
  var algorithm: SignatureAlgorithm { get }
  /// What a token's `kid` names it by; nil: it is tried for any.
  var id: String? { get }
  /// Whether this is the message's signature; compared in constant time where it is a secret.
  ///
  /// - Throws: `CryptoError`, never for a signature that is merely wrong.
  func verifies(_ signature: UnsafeRawBufferPointer, of message: UnsafeRawBufferPointer) throws -> Bool
}

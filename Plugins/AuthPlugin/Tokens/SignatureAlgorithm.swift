/// The signature algorithms of JWTs (RFC 7518 section 3.1, RFC 8037) that are accepted. `none` is not among them.
enum SignatureAlgorithm: String, Sendable, CaseIterable, Decodable {
  case hs256 = "HS256"
  case hs384 = "HS384"
  case hs512 = "HS512"

  /// libcrypto's name of the digest that HMAC is made with; nil: not an HMAC.
  var hmacDigest: String? {
    switch self {
    case .hs256: "SHA256"
    case .hs384: "SHA384"
    case .hs512: "SHA512"
    }
  }

  /// The shortest secret: as many bytes as the digest has (RFC 7518 section 3.2).
  var minimumSecretCount: Int {
    switch self {
    case .hs256: 32
    case .hs384: 48
    case .hs512: 64
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

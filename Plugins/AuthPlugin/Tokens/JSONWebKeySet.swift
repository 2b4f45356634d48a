import JSONBodies

/// A JWK Set (RFC 7517 section 5): the public keys of another issuer.
struct JSONWebKeySet: Decodable {
  let keys: [JSONWebKey]

  /// The keys that tokens can be verified with. Those of other types, curves, algorithms or uses are left out, as
  /// section 5 has it; one that is for us, and broken, is an error.
  ///
  /// - Throws: `PublicKey.Failure`.
  func verificationKeys() throws -> [any VerificationKey] { try keys.compactMap { try $0.publicKey() } }
}

/// One JSON Web Key (RFC 7517 section 4).
struct JSONWebKey: Decodable {
  let type: String
  let id: String?
  let algorithm: String?
  let use: String?
  let operations: [String]?
  let curve: String?
  let x: String?
  let y: String?
  let modulus: String?
  let exponent: String?

  private enum CodingKeys: String, CodingKey {
    case type = "kty"
    case id = "kid"
    case algorithm = "alg"
    case use
    case operations = "key_ops"
    case curve = "crv"
    case x, y
    case modulus = "n"
    case exponent = "e"
  }

  /// The key; nil if it is not for verifying signatures of ours.
  ///
  /// - Throws: `PublicKey.Failure`.
  func publicKey() throws -> PublicKey? {
    guard use ?? "sig" == "sig", operations?.contains("verify") ?? true, let algorithm = signatureAlgorithm
    else {
      return nil
    }
    return try PublicKey(owning: key(for: algorithm), algorithm: algorithm, id: id)
  }

  /// What the key is for: what it says; else what its type is used for, RSA with RS256.
  private var signatureAlgorithm: SignatureAlgorithm? {
    let fitting: [SignatureAlgorithm] =
      switch (type, curve) {
      case ("RSA", _): [.rs256, .ps256]
      case ("EC", "P-256"): [.es256]
      case ("OKP", "Ed25519"): [.edDSA]
      default: []
      }
    guard let algorithm else { return fitting.first }
    return fitting.first { $0.rawValue == algorithm }
  }

  private func key(for algorithm: SignatureAlgorithm) throws -> OpaquePointer {
    switch algorithm {
    case .rs256, .ps256: try PublicKeyNumbers.rsa(modulus: bytes(modulus), exponent: bytes(exponent))
    case .es256: try PublicKeyNumbers.p256(x: bytes(x), y: bytes(y))
    case .edDSA: try PublicKeyNumbers.ed25519(x: bytes(x))
    case .hs256, .hs384, .hs512: throw PublicKey.Failure.mismatch(algorithm)
    }
  }

  private func bytes(_ text: String?) throws -> [UInt8] {
    guard let text, let bytes = Base64.url.decode(text.utf8), !bytes.isEmpty else {
      throw PublicKey.Failure.invalid
    }
    return bytes
  }
}

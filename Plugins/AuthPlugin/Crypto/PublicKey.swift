import CCrypto

// Unsafe memory: `key` is owned, never changed after `init`, and freed in deinit. libcrypto's functions that verify with a
// key may run on several threads at a time.

/// Another issuer's public key: RS256, PS256, ES256 (RFC 7518 sections 3.3 to 3.5) or EdDSA with Ed25519 (RFC 8037). Any
/// thread.
final class PublicKey: VerificationKey, @unchecked Sendable {
  let algorithm: SignatureAlgorithm
  let id: String?
  private let key: OpaquePointer

  /// Why a key is not taken.
  enum Failure: Error, CustomStringConvertible {
    case unreadable(reason: String)
    /// Of another type, or on another curve.
    case mismatch(SignatureAlgorithm)
    /// Fewer than 2048 bits (RFC 7518 section 3.3), or so many that verifying would take for ever.
    case size(bits: Int)
    /// Not a key at all: a point that is not on the curve, an even exponent.
    case invalid

    var description: String {
      switch self {
      case .unreadable(let reason): "it cannot be read as a public key (\(reason))"
      case .mismatch(let algorithm): "it is no key for \(algorithm.rawValue)"
      case .size(let bits): "it has \(bits) bits; 2048 to 8192 are accepted"
      case .invalid: "it is no valid public key"
      }
    }
  }

  /// - Parameter key: an `EVP_PKEY`, which this owns from here on, also if it throws.
  /// - Throws: `Failure`.
  init(owning key: OpaquePointer, algorithm: SignatureAlgorithm, id: String? = nil) throws {
    self.key = key
    self.algorithm = algorithm
    self.id = id
    try check()
  }

  deinit { EVP_PKEY_free(key) }

  func verifies(_ signature: UnsafeRawBufferPointer, of message: UnsafeRawBufferPointer) throws -> Bool {
    guard algorithm == .es256 else { return try verifies(raw: signature, of: message) }
    guard let encoded = ECDSASignature.der(fromPair: signature) else { return false }
    return try encoded.withUnsafeBytes { try verifies(raw: $0, of: message) }
  }

  private func verifies(raw signature: UnsafeRawBufferPointer, of message: UnsafeRawBufferPointer) throws
    -> Bool
  {
    guard let context = EVP_MD_CTX_new() else { throw CryptoError("a digest context") }
    defer { EVP_MD_CTX_free(context) }
    // The context of the key belongs to the other one.
    var keyContext: OpaquePointer?
    let digest = algorithm == .edDSA ? nil : EVP_sha256()
    guard EVP_DigestVerifyInit(context, &keyContext, digest, nil, key) == 1 else {
      throw CryptoError(algorithm.rawValue)
    }
    if algorithm == .ps256 {
      // RFC 7518 section 3.5: the salt is as long as the digest.
      guard EVP_PKEY_CTX_set_rsa_padding(keyContext, RSA_PKCS1_PSS_PADDING) == 1,
        EVP_PKEY_CTX_set_rsa_pss_saltlen(keyContext, RSA_PSS_SALTLEN_DIGEST) == 1
      else { throw CryptoError(algorithm.rawValue) }
    }
    let isValid =
      EVP_DigestVerify(
        context, signature.assumingMemoryBound(to: UInt8.self).baseAddress, signature.count,
        message.assumingMemoryBound(to: UInt8.self).baseAddress, message.count) == 1
    // A signature of the wrong length leaves an error behind, which is none of ours.
    if !isValid { ERR_clear_error() }
    return isValid
  }

  private func check() throws {
    switch algorithm {
    case .rs256, .ps256:
      guard EVP_PKEY_is_a(key, "RSA") == 1 else { throw Failure.mismatch(algorithm) }
      let bits = Int(EVP_PKEY_get_bits(key))
      guard (2048...8192).contains(bits) else { throw Failure.size(bits: bits) }
      try checkValues()
    case .es256:
      var name = [CChar](repeating: 0, count: 64)
      var count = 0
      guard EVP_PKEY_is_a(key, "EC") == 1, EVP_PKEY_get_group_name(key, &name, name.count, &count) == 1,
        name.prefix(count).elementsEqual("prime256v1".utf8.map { CChar($0) })
      else { throw Failure.mismatch(algorithm) }
      try checkValues()
    case .edDSA:
      guard EVP_PKEY_is_a(key, "ED25519") == 1 else { throw Failure.mismatch(algorithm) }
    case .hs256, .hs384, .hs512:
      throw Failure.mismatch(algorithm)
    }
  }

  private func checkValues() throws {
    guard let context = EVP_PKEY_CTX_new(key, nil) else { throw CryptoError("a key context") }
    defer { EVP_PKEY_CTX_free(context) }
    guard EVP_PKEY_public_check(context) == 1 else {
      ERR_clear_error()
      throw Failure.invalid
    }
  }
}

extension PublicKey {
  /// Reads a key in PEM, `-----BEGIN PUBLIC KEY-----` (RFC 7468 section 13).
  ///
  /// - Throws: `Failure`.
  convenience init(pem: [UInt8], algorithm: SignatureAlgorithm) throws {
    guard let source = BIO_new_mem_buf(pem, Int32(pem.count)) else { throw CryptoError("a memory buffer") }
    defer { BIO_free(source) }
    guard let key = PEM_read_bio_PUBKEY(source, nil, nil, nil) else {
      throw Failure.unreadable(reason: CryptoError("PEM").reason)
    }
    try self.init(owning: key, algorithm: algorithm)
  }
}

/// Signatures of ECDSA: JWTs have the pair of numbers as it is (RFC 7518 section 3.4), libcrypto takes it in DER.
enum ECDSASignature {
  /// - Parameter pair: 64 bytes.
  /// - Returns: nil if it is not that long.
  static func der(fromPair pair: UnsafeRawBufferPointer) -> [UInt8]? {
    guard pair.count == 64, let start = pair.assumingMemoryBound(to: UInt8.self).baseAddress,
      let signature = ECDSA_SIG_new()
    else { return nil }
    defer { ECDSA_SIG_free(signature) }
    // The numbers belong to the signature once it has taken them.
    let (first, second) = (BN_bin2bn(start, 32, nil), BN_bin2bn(start + 32, 32, nil))
    guard ECDSA_SIG_set0(signature, first, second) == 1 else {
      BN_free(first)
      BN_free(second)
      return nil
    }
    let count = i2d_ECDSA_SIG(signature, nil)
    guard count > 0 else { return nil }
    var encoded = [UInt8](repeating: 0, count: Int(count))
    let written = encoded.withUnsafeMutableBufferPointer { buffer in
      var end = buffer.baseAddress
      return i2d_ECDSA_SIG(signature, &end)
    }
    return written == count ? encoded : nil
  }
}

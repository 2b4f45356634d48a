import CCrypto

/// SHA-256 (FIPS 180-4).
enum SHA256 {
  /// The 32 bytes of a text's digest.
  ///
  /// - Throws: `CryptoError`.
  static func hash(_ text: String) throws -> [UInt8] {
    let bytes = Array(text.utf8)
    var digest = [UInt8](repeating: 0, count: 32)
    guard EVP_Digest(bytes, bytes.count, &digest, nil, EVP_sha256(), nil) == 1 else {
      throw CryptoError("SHA-256")
    }
    return digest
  }
}

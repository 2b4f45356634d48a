/// Keys that may change while the host runs: a file. Any thread.
protocol KeySource: Sendable {
  var path: String { get }
  /// What tells one content from another without reading it.
  ///
  /// - Throws: `KeyFile.Failure`.
  func stamp() throws -> KeyFile.Stamp
  /// The keys in it, at least one.
  ///
  /// - Throws: `KeyFile.Failure`, `SecretFile.Failure`, `CryptoError`.
  func keys() throws -> [any VerificationKey]
}

/// A JWK set.
struct JSONWebKeySource: KeySource {
  let file: KeyFile
  var path: String { file.path }
  func stamp() throws -> KeyFile.Stamp { try file.stamp() }
  func keys() throws -> [any VerificationKey] { try file.keySet() }
}

/// A file of secrets, one a line: the first signs, and all verify.
struct SecretSource: KeySource {
  let file: SecretFile
  let algorithm: SignatureAlgorithm
  var path: String { file.path }

  func stamp() throws -> KeyFile.Stamp { try KeyFile(path: path).stamp() }

  func keys() throws -> [any VerificationKey] {
    let secrets = try file.secrets()
    guard !secrets.isEmpty else { throw KeyFile.Failure(path: path, reason: "holds no secret") }
    let count = algorithm.hmacDigest?.byteCount ?? 0
    return try secrets.enumerated().map { index, secret in
      guard secret.count >= count else {
        throw KeyFile.Failure(
          path: path,
          reason: "secret \(index + 1) has \(secret.count) bytes, and \(algorithm.rawValue) needs \(count)")
      }
      return try HMACKey(secret: secret, algorithm: algorithm)
    }
  }
}

/// The keys at one moment. Any thread.
final class KeySet: Sendable {
  /// What our own tokens are signed with: the first secret.
  let signing: HMACKey
  /// Counts the changes.
  let version: UInt64
  private let byAlgorithm: [String: [any VerificationKey]]

  /// No key can sign: there is no secret among them.
  struct NoSigningKey: Error {}

  /// - Parameter keys: in the order in which they are tried.
  /// - Throws: `NoSigningKey`.
  init(_ keys: [any VerificationKey], version: UInt64) throws {
    guard let signing = keys.lazy.compactMap({ $0 as? HMACKey }).first else { throw NoSigningKey() }
    self.signing = signing
    self.version = version
    byAlgorithm = Dictionary(grouping: keys) { $0.algorithm.rawValue }
  }

  /// The keys that are for what a token says its algorithm is.
  func keys(for algorithm: String) -> [any VerificationKey] { byAlgorithm[algorithm] ?? [] }
}

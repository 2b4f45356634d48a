import CCrypto
import Synchronization

// Unsafe memory: `template` is made once with its key set, only ever copied from afterwards, and freed in deinit. A context
// in `idle` belongs to nobody, one that was taken out to the caller alone; deinit frees those in it, which are all of them,
// since every caller holds the key.

/// A symmetric key, which signs and verifies: HS256, HS384, HS512 (RFC 7518 section 3.2). Any thread.
final class HMACKey: VerificationKey, @unchecked Sendable {
  let algorithm: SignatureAlgorithm
  let id: String?
  /// A MAC context after `EVP_MAC_init`: copying it is faster than setting it up again.
  private let template: OpaquePointer
  /// Copies that are not in use: of one, only the digest's state is set back, and nothing is allocated.
  private let idle = Mutex(Idle())

  private struct Idle: @unchecked Sendable {
    var contexts: [OpaquePointer] = []
  }

  /// More are in use only if as many threads check at once, and those beyond are freed.
  private static let idleCapacity = 64

  /// - Parameter secret: at least as long as the digest (RFC 7518 section 3.2), and the caller has checked that.
  /// - Throws: `CryptoError`, also if the algorithm is none of HMAC's.
  init(secret: [UInt8], algorithm: SignatureAlgorithm, id: String? = nil) throws {
    guard let digest = algorithm.hmacDigest, let mac = EVP_MAC_fetch(nil, "HMAC", nil) else {
      throw CryptoError("HMAC for \(algorithm.rawValue)")
    }
    defer { EVP_MAC_free(mac) }
    guard let context = EVP_MAC_CTX_new(mac) else { throw CryptoError("a MAC context") }
    var name = Array(digest.name.utf8CString)
    let isReady = name.withUnsafeMutableBufferPointer { name in
      Self.digestParameter.withCString { key in
        let parameters = [
          OSSL_PARAM_construct_utf8_string(key, name.baseAddress, 0), OSSL_PARAM_construct_end(),
        ]
        return EVP_MAC_init(context, secret, secret.count, parameters) == 1
      }
    }
    guard isReady else {
      EVP_MAC_CTX_free(context)
      throw CryptoError("HMAC with \(digest.name)")
    }
    template = context
    self.algorithm = algorithm
    self.id = id
  }

  deinit {
    for context in idle.withLock({ $0.contexts }) { EVP_MAC_CTX_free(context) }
    EVP_MAC_CTX_free(template)
  }

  private static let digestParameter: StaticString = "digest"

  /// The signature of a message.
  ///
  /// - Throws: `CryptoError`.
  func sign(_ message: UnsafeRawBufferPointer) throws -> [UInt8] {
    try withSignature(of: message) { Array($0) }
  }

  func verifies(_ signature: UnsafeRawBufferPointer, of message: UnsafeRawBufferPointer) throws -> Bool {
    try withSignature(of: message) { expected in
      expected.count == signature.count
        && CRYPTO_memcmp(expected.baseAddress, signature.baseAddress, expected.count) == 0
    }
  }

  private func withSignature<R>(
    of message: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> R
  ) throws -> R {
    let context = try take()
    defer { giveBack(context) }
    return try withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Int(EVP_MAX_MD_SIZE)) { buffer in
      var count = 0
      guard
        EVP_MAC_update(context, message.assumingMemoryBound(to: UInt8.self).baseAddress, message.count) == 1,
        EVP_MAC_final(context, buffer.baseAddress, &count, buffer.count) == 1
      else { throw CryptoError("HMAC") }
      return body(UnsafeRawBufferPointer(start: buffer.baseAddress, count: count))
    }
  }

  /// A context with the key set, and nothing of a message. One that fails is not used again.
  private func take() throws -> OpaquePointer {
    if let context = idle.withLock({ $0.contexts.popLast() }) {
      // Without a key it keeps the one that it has (EVP_MAC(3)).
      if EVP_MAC_init(context, nil, 0, nil) == 1 { return context }
      EVP_MAC_CTX_free(context)
      throw CryptoError("a MAC context")
    }
    guard let context = EVP_MAC_CTX_dup(template) else { throw CryptoError("a MAC context") }
    return context
  }

  private func giveBack(_ context: OpaquePointer) {
    let isKept = idle.withLock { idle in
      guard idle.contexts.count < Self.idleCapacity else { return false }
      idle.contexts.append(context)
      return true
    }
    if !isKept { EVP_MAC_CTX_free(context) }
  }
}

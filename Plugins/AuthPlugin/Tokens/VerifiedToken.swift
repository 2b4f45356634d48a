import CCrypto
import Glibc
import PluginAPI
import Synchronization

/// A token that has been verified, with what it says. Any thread.
final class VerifiedToken: Sendable {
  let fingerprint: TokenFingerprint
  let identity: Identity
  /// From when on it is refused: Unix time in seconds.
  let end: Int64
  /// What it is called in the list of revocations: `jti`.
  let id: String
  /// The version of the keys that it was verified with.
  let keyVersion: UInt64
  private let bytes: [UInt8]
  /// The version of the list of revocations in which this token was last looked up, and not found.
  private let clearedIn: Atomic<UInt64>

  init(_ token: UnsafeRawBufferPointer, identity: Identity, end: Int64, id: String, keyVersion: UInt64) {
    bytes = [UInt8](token)
    fingerprint = TokenFingerprint(token)
    self.identity = identity
    self.end = end
    self.id = id
    self.keyVersion = keyVersion
    clearedIn = Atomic(.max)
  }

  /// Whether this is the same token, byte for byte. The signature, of which nobody shall learn a byte, is compared in
  /// constant time, and first.
  func equals(_ token: UnsafeRawBufferPointer) -> Bool {
    guard token.count == bytes.count else { return false }
    return bytes.withUnsafeBytes { bytes in
      guard let mine = bytes.baseAddress, let other = token.baseAddress else { return false }
      let rest = max(0, token.count - Self.comparedInConstantTime)
      return CRYPTO_memcmp(mine + rest, other + rest, token.count - rest) == 0
        && memcmp(mine, other, rest) == 0
    }
  }

  func equals(_ other: VerifiedToken) -> Bool {
    fingerprint == other.fingerprint && other.bytes.withUnsafeBytes { equals($0) }
  }

  /// The base64url of a SHA-256 HMAC: 43 characters, and longer signatures have more than enough with as many.
  private static let comparedInConstantTime = 43

  func isCleared(in version: UInt64) -> Bool { clearedIn.load(ordering: .relaxed) == version }
  func clear(in version: UInt64) { clearedIn.store(version, ordering: .relaxed) }
}

/// A token's place in the cache: made from the end of its signature, which is as good as random, and which nobody can
/// choose for a token that will be verified. What is there is compared in full.
struct TokenFingerprint: Equatable, Sendable {
  let value: UInt64

  init(_ token: UnsafeRawBufferPointer) {
    guard token.count >= 16 else {
      value = 0
      return
    }
    let high = token.loadUnaligned(fromByteOffset: token.count - 16, as: UInt64.self)
    let low = token.loadUnaligned(fromByteOffset: token.count - 8, as: UInt64.self)
    // The multiplication folds all bits of the text, of which each byte has only six, into all bits of the result.
    let product = (high ^ 0x9E37_79B9_7F4A_7C15).multipliedFullWidth(by: low ^ 0xD6E8_FEB8_6659_FD93)
    value = product.high ^ product.low
  }
}

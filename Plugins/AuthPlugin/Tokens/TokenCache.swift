import Synchronization

/// Tokens that have been verified, until they expire: bounded, and shared by all loops. Any thread.
///
/// Sets of four places, in shards that are locked one by one. A place is given to a new token when it is free, or its
/// token has expired; else the token that expires first gives way, and is verified again when it comes back.
final class TokenCache: Sendable {
  /// One lock, and the places that it guards.
  private final class Shard: Sendable {
    let places: Mutex<[VerifiedToken?]>
    init(count: Int) { places = Mutex(Array(repeating: nil, count: count)) }
  }

  private static let shardCount = 16
  private static let ways = 4
  private let shards: [Shard]
  private let setsPerShard: UInt64

  /// - Parameter capacity: how many tokens are kept at most; rounded up to a multiple of 64.
  init(capacity: Int) {
    let perRound = Self.shardCount * Self.ways
    let sets = max(1, (capacity + perRound - 1) / perRound)
    setsPerShard = UInt64(sets)
    shards = (0..<Self.shardCount).map { _ in Shard(count: sets * Self.ways) }
  }

  /// The token with these bytes, if it is here; it may have expired, or been revoked.
  func find(_ token: UnsafeRawBufferPointer) -> VerifiedToken? {
    let fingerprint = TokenFingerprint(token)
    let (shard, places) = location(of: fingerprint)
    return shard.places.withLock { kept in
      for place in places {
        if let candidate = kept[place], candidate.fingerprint == fingerprint, candidate.equals(token) {
          return candidate
        }
      }
      return nil
    }
  }

  /// Keeps a token.
  func insert(_ token: VerifiedToken) {
    let (shard, places) = location(of: token.fingerprint)
    shard.places.withLock { kept in
      // The place of the same token, verified with other keys; else a free one; else that whose token ends first.
      let same = places.first { kept[$0].map { $0.equals(token) } ?? false }
      let place = same ?? places.min { (kept[$0]?.end ?? .min) < (kept[$1]?.end ?? .min) }
      if let place { kept[place] = token }
    }
  }

  private func location(of fingerprint: TokenFingerprint) -> (Shard, Range<Int>) {
    let shard = shards[Int(truncatingIfNeeded: fingerprint.value) & (Self.shardCount - 1)]
    let set = Int((fingerprint.value >> 8) % setsPerShard)
    return (shard, set * Self.ways..<(set + 1) * Self.ways)
  }
}

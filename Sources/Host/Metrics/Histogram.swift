import Glibc
import Synchronization

/// Durations counted by size: four buckets to each doubling of nanoseconds, so a quantile is off by at most 19 %.
///
/// Recorded by any thread, read by any thread; a reader may see a sum that a count has not reached yet. Each thread that
/// records often has a shard of its own: two processors that count in one place wait for each other's cache lines, which
/// costs more than what is counted.
final class Histogram: Sendable {
  static let bucketCount = 160
  private let shards: Shards

  /// Counts, and behind them the sum of all durations, a shard after the other; atomics cannot be elements of an array.
  private struct Shards: @unchecked Sendable {
    /// A power of two, and as many as there are processors, up to 16.
    static let count: Int = {
      let processors = min(16, max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))))
      return 1 << (Int.bitWidth - (processors - 1).leadingZeroBitCount)
    }()
    /// In words: whole cache lines.
    static let stride = 168
    let base: UnsafeMutablePointer<Atomic<UInt64>>

    init(count: Int) {
      let words = count * Shards.stride
      base = UnsafeMutableRawPointer.allocate(byteCount: words * 8, alignment: 64)
        .bindMemory(to: Atomic<UInt64>.self, capacity: words)
      for index in 0..<words { (base + index).initialize(to: Atomic(0)) }
    }
  }

  private let mask: Int

  /// - Parameter isShared: whether several threads record at a time.
  init(isShared: Bool = true) {
    let count = isShared ? Shards.count : 1
    mask = count - 1
    shards = Shards(count: count)
  }

  deinit { UnsafeMutableRawPointer(shards.base).deallocate() }

  @inline(__always)
  static func bucket(of nanoseconds: UInt64) -> Int {
    if nanoseconds < 4 { return Int(nanoseconds) }
    let exponent = 63 - nanoseconds.leadingZeroBitCount
    let fraction = Int((nanoseconds >> UInt64(exponent - 2)) & 3)
    return min(bucketCount - 1, (exponent - 1) * 4 + fraction)
  }

  /// The largest duration that falls into the bucket.
  static func upperBound(of bucket: Int) -> UInt64 {
    if bucket < 4 { return UInt64(bucket) }
    let exponent = bucket / 4 + 1
    let fraction = UInt64(bucket % 4)
    return ((4 + fraction + 1) << UInt64(exponent - 2)) - 1
  }

  /// - Parameter recorder: the number of the thread, among those that record often.
  @inline(__always)
  func record(_ nanoseconds: UInt64, by recorder: Int = 0) {
    let shard = shards.base + (recorder & mask) * Shards.stride
    shard[Histogram.bucket(of: nanoseconds)].wrappingAdd(1, ordering: .relaxed)
    shard[Histogram.bucketCount].wrappingAdd(nanoseconds, ordering: .relaxed)
  }

  /// A copy of the counts.
  func counts() -> [UInt64] { (0..<Histogram.bucketCount).map(total) }

  /// Of all durations, in nanoseconds.
  var sum: UInt64 { total(Histogram.bucketCount) }

  /// How often was recorded.
  var count: UInt64 { counts().reduce(0, &+) }

  private func total(_ word: Int) -> UInt64 {
    (0...mask).reduce(0) { $0 &+ shards.base[$1 * Shards.stride + word].load(ordering: .relaxed) }
  }

  /// The bound in nanoseconds below which `fraction` of `counts` lies; nil if nothing was counted.
  static func quantile(_ fraction: Double, of counts: [UInt64]) -> UInt64? {
    let total = counts.reduce(0, +)
    guard total > 0 else { return nil }
    let rank = max(1, UInt64((Double(total) * fraction).rounded(.up)))
    var seen: UInt64 = 0
    for (bucket, count) in counts.enumerated() {
      seen += count
      if seen >= rank { return upperBound(of: bucket) }
    }
    return upperBound(of: bucketCount - 1)
  }
}

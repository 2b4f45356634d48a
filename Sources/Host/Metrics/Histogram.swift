import Synchronization

/// Durations counted by size: four buckets to each doubling of nanoseconds, so a quantile is off by at most 19 %.
///
/// Recorded by any thread, read by any thread; a reader may see a sum that a count has not reached yet.
final class Histogram: Sendable {
  static let bucketCount = 160
  private let buckets: Buckets
  let sum = Atomic<UInt64>(0)

  /// Memory for the counts; atomics cannot be elements of an array.
  private struct Buckets: @unchecked Sendable {
    let base = UnsafeMutablePointer<Atomic<UInt64>>.allocate(capacity: Histogram.bucketCount)
    init() {
      for index in 0..<Histogram.bucketCount { (base + index).initialize(to: Atomic(0)) }
    }
  }

  init() { buckets = Buckets() }

  deinit { buckets.base.deallocate() }

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

  @inline(__always)
  func record(_ nanoseconds: UInt64) {
    buckets.base[Histogram.bucket(of: nanoseconds)].wrappingAdd(1, ordering: .relaxed)
    sum.wrappingAdd(nanoseconds, ordering: .relaxed)
  }

  /// A copy of the counts.
  func counts() -> [UInt64] {
    (0..<Histogram.bucketCount).map { buckets.base[$0].load(ordering: .relaxed) }
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

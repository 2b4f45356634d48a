import Testing

@testable import bulkhead

@Suite("Metrics: histogram")
struct HistogramTests {
  @Test("every duration lies in its bucket, and the buckets have no gaps")
  func buckets() {
    var generator = SystemRandomNumberGenerator()
    var values: [UInt64] = (0..<70).map { $0 } + (2..<41).flatMap { [(1 << $0) - 1, 1 << $0, (1 << $0) + 1] }
    values += (0..<2000).map { _ in UInt64.random(in: 0..<(1 << 41), using: &generator) }
    for value in values {
      let bucket = Histogram.bucket(of: value)
      #expect(value <= Histogram.upperBound(of: bucket), "\(value)")
      if bucket > 0 { #expect(value > Histogram.upperBound(of: bucket - 1), "\(value)") }
    }
    for bucket in 1..<Histogram.bucketCount {
      #expect(Histogram.upperBound(of: bucket) > Histogram.upperBound(of: bucket - 1))
    }
  }

  @Test("what is longer than all buckets is in the last one", arguments: [UInt64.max, 1 << 62, 1 << 42])
  func overlong(_ value: UInt64) {
    #expect(Histogram.bucket(of: value) == Histogram.bucketCount - 1)
  }

  @Test("a quantile is never below the true one, and above it by a quarter at most")
  func quantiles() {
    let seed = UInt64.random(in: 0 ... .max)
    print("seed \(seed)")
    var random = SplitMix64(state: seed)
    let histogram = Histogram()
    var values: [UInt64] = []
    for _ in 0..<5000 {
      let value = UInt64.random(in: 1000..<50_000_000, using: &random)
      values.append(value)
      histogram.record(value, by: Int(truncatingIfNeeded: random.next()))
    }
    values.sort()
    for fraction in [0.01, 0.5, 0.9, 0.99, 1] {
      let exact = values[max(0, Int((Double(values.count) * fraction).rounded(.up)) - 1)]
      let found = Histogram.quantile(fraction, of: histogram.counts())
      #expect(
        found.map { $0 >= exact && Double($0) <= Double(exact) * 1.25 } == true, "seed \(seed), \(fraction)")
    }
    #expect(histogram.sum == values.reduce(0, +))
    #expect(histogram.count == 5000)
    #expect(Histogram.quantile(0.5, of: Histogram().counts()) == nil)
  }
}

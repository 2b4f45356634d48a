import Testing

@testable import RateLimitPlugin

private let second: UInt64 = 1_000_000_000

@Suite("The generic cell rate algorithm")
struct GCRATests {
  /// A bucket with its state, driven by hand.
  struct Bucket {
    let rate: GCRA
    var arrival: UInt64 = 0

    init(_ count: UInt64, per period: UInt64, burst: UInt64) throws {
      rate = try #require(GCRA(count: count, period: period, burst: burst))
    }

    mutating func take(at now: UInt64) -> GCRA.Verdict {
      let verdict = rate.decide(arrival: arrival, now: now)
      arrival = verdict.arrival
      return verdict
    }
  }

  @Test("a full burst passes at once, and not one request more")
  func burst() throws {
    var bucket = try Bucket(100, per: 60 * second, burst: 20)
    let verdicts = (0..<25).map { _ in bucket.take(at: 7 * second) }
    #expect(
      verdicts.map(\.isAllowed) == Array(repeating: true, count: 20) + Array(repeating: false, count: 5))
    #expect(verdicts.prefix(20).map(\.remaining) == (0..<20).reversed().map { UInt64($0) })
  }

  @Test("after a burst, one request passes each interval")
  func sustained() throws {
    var bucket = try Bucket(5, per: 60 * second, burst: 5)
    for _ in 0..<5 { #expect(bucket.take(at: 0).isAllowed) }
    for tick in 1...50 as ClosedRange<UInt64> {
      #expect(!bucket.take(at: tick * 12 * second - 1).isAllowed)
      #expect(bucket.take(at: tick * 12 * second).isAllowed)
      #expect(!bucket.take(at: tick * 12 * second).isAllowed)
    }
  }

  @Test("a refused request changes nothing, so insisting does not delay the next one")
  func refusalIsFree() throws {
    var bucket = try Bucket(1, per: 10 * second, burst: 1)
    #expect(bucket.take(at: 0).isAllowed)
    for tick in 1..<10 as Range<UInt64> { #expect(!bucket.take(at: tick * second).isAllowed) }
    #expect(bucket.take(at: 10 * second).isAllowed)
  }

  @Test("with nothing left, reset is the time to the next request; else to a full burst")
  func reset() throws {
    var bucket = try Bucket(6, per: 60 * second, burst: 3)
    #expect(
      bucket.take(at: 0) == .init(isAllowed: true, arrival: 10 * second, remaining: 2, reset: 10 * second))
    #expect(bucket.take(at: 0).reset == 20 * second)
    #expect(
      bucket.take(at: 0) == .init(isAllowed: true, arrival: 30 * second, remaining: 0, reset: 10 * second))
    #expect(bucket.take(at: 4 * second).reset == 6 * second)
  }

  @Test("what is taken back leaves the bucket as it was")
  func uncounted() throws {
    var bucket = try Bucket(6, per: 60 * second, burst: 3)
    _ = bucket.take(at: 0)
    let verdict = bucket.rate.decide(arrival: bucket.arrival, now: second)
    let before = bucket.rate.uncounted(verdict, now: second)
    #expect(before == .init(isAllowed: true, arrival: 10 * second, remaining: 2, reset: 9 * second))
  }

  @Test("a state further ahead than counting can lead to is a spent burst, and heals")
  func corrupted() throws {
    let rate = try #require(GCRA(count: 1, period: second, burst: 5))
    let verdict = rate.decide(arrival: 1 << 62, now: 0)
    #expect(!verdict.isAllowed)
    #expect(verdict.reset == second)
  }

  @Test("an interval that does not divide the period is rounded up: the rate is never exceeded")
  func rounding() throws {
    #expect(try #require(GCRA(count: 7, period: second, burst: 1)).interval == 142_857_143)
    #expect(try #require(GCRA(count: 3 * second, period: second, burst: 1)).interval == 1)
  }

  @Test("no number may be zero, and no burst may take more than a century")
  func bounds() {
    #expect(GCRA(count: 0, period: 1, burst: 1) == nil)
    #expect(GCRA(count: 1, period: 0, burst: 1) == nil)
    #expect(GCRA(count: 1, period: 1, burst: 0) == nil)
    #expect(GCRA(count: 1, period: GCRA.longestTolerance, burst: 1) != nil)
    #expect(GCRA(count: 1, period: GCRA.longestTolerance, burst: 2) == nil)
    #expect(GCRA(count: 1, period: .max, burst: .max) == nil)
  }

  @Test("in no window do more pass than a burst and what the rate gives")
  func property() throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    print("seed \(seed)")
    var random = SplitMix(state: seed)
    for _ in 0..<200 {
      let count = UInt64.random(in: 1...50, using: &random)
      let period = UInt64.random(in: 1...1_000_000, using: &random)
      let burst = UInt64.random(in: 1...60, using: &random)
      var bucket = try Bucket(count, per: period, burst: burst)
      var now: UInt64 = 0
      var passed: [UInt64] = []
      for _ in 0..<300 {
        now += UInt64.random(in: 0...(2 * bucket.rate.interval), using: &random)
        let verdict = bucket.take(at: now)
        if verdict.isAllowed {
          passed.append(now)
        } else {
          let early = bucket.rate.decide(arrival: bucket.arrival, now: now + verdict.reset - 1)
          let late = bucket.rate.decide(arrival: bucket.arrival, now: now + verdict.reset)
          #expect(!early.isAllowed && late.isAllowed, "seed \(seed)")
        }
      }
      for start in passed.indices {
        for end in start..<passed.count {
          let bound = burst + (passed[end] - passed[start]) / bucket.rate.interval
          #expect(UInt64(end - start + 1) <= bound, "seed \(seed)")
        }
      }
    }
  }
}

/// SplitMix64: the same sequence for the same seed.
struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

import Foundation
import PluginTesting
import Synchronization
import Testing

@testable import RateLimitPlugin

private let second: UInt64 = 1_000_000_000

/// Memory as a region of the host's is: aligned to 64, and zero when first made.
final class Region: @unchecked Sendable {
  let address: UnsafeMutableRawPointer
  let entryCount: Int

  init(entryCount: Int) {
    self.entryCount = entryCount
    let count = CounterMemory.byteCount(entryCount: entryCount)
    address = .allocate(byteCount: count, alignment: 64)
    address.initializeMemory(as: UInt8.self, repeating: 0, count: count)
  }

  deinit { address.deallocate() }

  /// As a process of its own would see it.
  var table: CounterTable { CounterTable(memory: CounterMemory(region: address), entryCount: entryCount) }
}

/// A number that threads add to.
private final class Count: Sendable {
  let value = Atomic(0)
}

func counter(_ key: UInt64, _ rate: GCRA, shared: Int = 0) -> CounterTable.Counter {
  CounterTable.Counter(hash: key, rate: rate, shared: shared, sharedKey: 99)
}

@Suite("Counters in shared memory")
struct CounterTableTests {
  @Test("of many threads with one key, exactly as many pass as the limit allows")
  func exactOverThreads() throws {
    let rate = try #require(GCRA(count: 1000, period: 3600 * second, burst: 1000))
    for round in 0..<20 {
      let region = Region(entryCount: 64)
      let allowed = Atomic(0)
      onThreads(8) { _ in
        let table = region.table
        for _ in 0..<500 where table.take(counter(7 << 32, rate), now: second).verdict.isAllowed {
          allowed.add(1, ordering: .relaxed)
        }
      }
      #expect(allowed.load(ordering: .relaxed) == 1000, "round \(round)")
    }
  }

  @Test("threads that miss one key at once make one counter for it, though each sees another entry free")
  func onePlacement() throws {
    let rate = try #require(GCRA(count: 1, period: 3600 * second, burst: 1))
    // In each, the first entry runs out at an instant that one thread takes for past, and the other does not.
    let regions = (0..<20_000).map { _ in Region(entryCount: 16) }
    for region in regions {
      let placed = CounterMemory(region: region.address).exchange(
        at: .entry(0), .init(key: 0, time: 0), for: .init(key: 7, time: second))
      #expect(placed)
    }
    let arrived = Atomic(0)
    let allowed = regions.map { _ in Count() }
    onThreads(2) { thread in
      var random = SplitMix(state: UInt64(thread))
      for (round, region) in regions.enumerated() {
        let now = (round + thread) % 2 == 0 ? second - 1 : second
        let head = Int.random(in: 0..<100, using: &random)
        arrived.add(1, ordering: .sequentiallyConsistent)
        // Spinning, so that both go on within nanoseconds; but not for long, if the machine is busy.
        var spins = 0
        while arrived.load(ordering: .sequentiallyConsistent) < 2 * (round + 1) {
          spins += 1
          if spins > 10_000 { sched_yield() }
        }
        // Whoever comes last leaves first: a start by chance makes up for it.
        for _ in 0..<head { _ = arrived.load(ordering: .relaxed) }
        let answer = region.table.take(counter(500, rate), now: now)
        if answer.verdict.isAllowed { allowed[round].value.add(1, ordering: .relaxed) }
      }
    }
    let counts = allowed.map { $0.value.load(ordering: .relaxed) }
    #expect(counts.allSatisfy { $0 == 1 }, "\(counts.filter { $0 != 1 }.count) rounds of \(counts.count)")
  }

  @Test("many threads with more keys than entries: no key passes more than its limit")
  func crowded() throws {
    let rate = try #require(GCRA(count: 5, period: 3600 * second, burst: 5))
    let region = Region(entryCount: 64)
    let passed = Mutex<[UInt64: Int]>([:])
    let seed = UInt64.random(in: 0...UInt64.max)
    print("seed \(seed)")
    onThreads(6) { thread in
      var random = SplitMix(state: seed &+ UInt64(thread))
      var mine: [UInt64: Int] = [:]
      for _ in 0..<20_000 {
        let key = UInt64.random(in: 0..<200, using: &random) &* 0x9E37_79B9_7F4A_7C15
        let answer = region.table.take(counter(key, rate), now: second)
        if answer.verdict.isAllowed { mine[answer.isShared ? 0 : key | 1, default: 0] += 1 }
      }
      passed.withLock { $0.merge(mine, uniquingKeysWith: +) }
    }
    let counts = passed.withLock { $0 }
    #expect(counts.values.allSatisfy { $0 == 5 }, "\(counts), seed \(seed)")
    // 64 keys had a counter of their own, and all others one together.
    #expect(counts.count == 65, "seed \(seed)")
  }

  @Test("counters stand in the memory: another process, or the next generation, counts on")
  func survives() throws {
    let rate = try #require(GCRA(count: 3, period: 60 * second, burst: 3))
    let region = Region(entryCount: 64)
    #expect(region.table.take(counter(5, rate), now: second).verdict.remaining == 2)
    #expect(region.table.take(counter(5, rate), now: second).verdict.remaining == 1)
    #expect(region.table.peek(counter(5, rate), now: second).verdict.remaining == 0)
    #expect(region.table.take(counter(5, rate), now: second).verdict.isAllowed)
    #expect(!region.table.take(counter(5, rate), now: second).verdict.isAllowed)
  }

  @Test("a placement that its writer has died in is completed by the next who wants the key")
  func deadWriter() throws {
    let rate = try #require(GCRA(count: 2, period: 60 * second, burst: 2))
    let region = Region(entryCount: 16)
    let memory = CounterMemory(region: region.address)
    // Two, even: both died before either looked around.
    for place in [3, 9] {
      let placed = memory.exchange(
        at: .entry(place), .init(key: 0, time: 0),
        for: .init(key: 500 << 32, time: 1 << 63 | memory.nextPlacement()))
      #expect(placed)
    }
    for place in [0, 1, 2, 4, 5, 6, 7, 8] {
      let key = UInt64(place + 10)
      #expect(
        memory.exchange(at: .entry(place), .init(key: 0, time: 0), for: .init(key: key, time: 9 * second)))
    }
    #expect(region.table.take(counter(500 << 32, rate), now: second).verdict.isAllowed)
    #expect(region.table.take(counter(500 << 32, rate), now: second).verdict.isAllowed)
    #expect(!region.table.take(counter(500 << 32, rate), now: second).verdict.isAllowed)
  }

  @Test("an abandoned placement does not take up room for good")
  func abandoned() throws {
    let rate = try #require(GCRA(count: 1, period: 60 * second, burst: 1))
    let region = Region(entryCount: 16)
    let memory = CounterMemory(region: region.address)
    for place in 0..<16 {
      let entry = CounterMemory.Entry(key: UInt64(place + 10), time: 1 << 63 | memory.nextPlacement())
      #expect(memory.exchange(at: .entry(place), .init(key: 0, time: 0), for: entry))
    }
    for key in 1000..<1016 as Range<UInt64> {
      let answer = region.table.take(counter(key << 40, rate), now: second)
      #expect(answer.verdict.isAllowed && !answer.isShared)
    }
  }

  @Test("a counter that has run out makes room; one that runs does not")
  func eviction() throws {
    let rate = try #require(GCRA(count: 1, period: 10 * second, burst: 1))
    let region = Region(entryCount: 16)
    let keys = (1...17).map { UInt64($0) << 50 }
    for key in keys.dropLast() {
      let answer = region.table.take(counter(key, rate), now: second)
      #expect(answer.verdict.isAllowed && !answer.isShared)
    }
    #expect(region.table.take(counter(keys[16], rate), now: second).isShared)
    let later = region.table.take(counter(keys[16], rate), now: 11 * second)
    #expect(later.verdict.isAllowed && !later.isShared)
  }

  @Test("in a full table, new clients share one counter; those that have one keep it")
  func full() throws {
    let rate = try #require(GCRA(count: 2, period: 3600 * second, burst: 2))
    let region = Region(entryCount: 16)
    for key in 1...16 as ClosedRange<UInt64> { _ = region.table.take(counter(key << 50, rate), now: second) }
    let strangers = (100...104).map {
      region.table.take(counter(UInt64($0) << 50, rate), now: second)
    }
    #expect(strangers.allSatisfy { $0.isShared })
    #expect(strangers.map(\.verdict.isAllowed) == [true, true, false, false, false])
    let known = region.table.take(counter(3 << 50, rate), now: second)
    #expect(known.verdict.isAllowed && !known.isShared)
  }

  @Test("a shared counter of another limit is taken over")
  func sharedOfAnother() throws {
    let rate = try #require(GCRA(count: 1, period: 3600 * second, burst: 1))
    let region = Region(entryCount: 16)
    for key in 1...16 as ClosedRange<UInt64> { _ = region.table.take(counter(key << 50, rate), now: second) }
    func stranger(_ sharedKey: UInt64) -> CounterTable.Counter {
      CounterTable.Counter(hash: 77 << 50, rate: rate, shared: 3, sharedKey: sharedKey)
    }
    #expect(region.table.take(stranger(1), now: second).verdict.isAllowed)
    #expect(!region.table.take(stranger(1), now: second).verdict.isAllowed)
    #expect(region.table.take(stranger(2), now: second).verdict.isAllowed)
  }

  @Test("what is given back can be taken again, and no more than that")
  func giveBack() throws {
    let rate = try #require(GCRA(count: 2, period: 60 * second, burst: 2))
    let region = Region(entryCount: 16)
    let answer = region.table.take(counter(5, rate), now: second)
    _ = region.table.take(counter(5, rate), now: second)
    #expect(!region.table.take(counter(5, rate), now: second).verdict.isAllowed)
    region.table.giveBack(counter(5, rate), answer, now: second)
    #expect(region.table.take(counter(5, rate), now: second).verdict.isAllowed)
    #expect(!region.table.take(counter(5, rate), now: second).verdict.isAllowed)
  }

  @Test("what one limit refuses, no other counts")
  func severalLimits() throws {
    let wide = try #require(GCRA(count: 100, period: 60 * second, burst: 100))
    let narrow = try #require(GCRA(count: 2, period: 60 * second, burst: 2))
    let table = Region(entryCount: 64)
    func decide() -> (refusedBy: Int?, remaining: [UInt64]) {
      var checks = [
        Check(limit: 0, counter: counter(1 << 50, wide)), Check(limit: 1, counter: counter(2 << 50, narrow)),
      ]
      return checks.withUnsafeMutableBufferPointer { checks in
        let refusing = table.table.decide(checks, now: second)
        return (refusing?.limit, checks.map(\.answer.verdict.remaining))
      }
    }
    #expect(decide() == (nil, [99, 1]))
    #expect(decide() == (nil, [98, 0]))
    for _ in 0..<10 { #expect(decide() == (1, [98, 0])) }
  }

  @Test("threads under two limits: the narrower one is exact, and the wider one counts no more than passed")
  func severalLimitsOverThreads() throws {
    let wide = try #require(GCRA(count: 10_000, period: 3600 * second, burst: 10_000))
    let narrow = try #require(GCRA(count: 700, period: 3600 * second, burst: 700))
    let region = Region(entryCount: 64)
    let allowed = Atomic(0)
    onThreads(8) { _ in
      for _ in 0..<200 {
        var checks = [
          Check(limit: 0, counter: counter(1 << 50, wide)),
          Check(limit: 1, counter: counter(2 << 50, narrow)),
        ]
        let refusing = checks.withUnsafeMutableBufferPointer { region.table.decide($0, now: second) }
        if refusing == nil { allowed.add(1, ordering: .relaxed) }
      }
    }
    #expect(allowed.load(ordering: .relaxed) == 700)
    #expect(region.table.peek(counter(1 << 50, wide), now: second).verdict.remaining == 10_000 - 700 - 1)
  }

  @Test("all processes hash with the key of the first")
  func hashKey() {
    let region = Region(entryCount: 16)
    let first = CounterMemory(region: region.address).hashKey(orFirst: (4, 6))
    #expect(first == (5, 6))
    #expect(CounterMemory(region: region.address).hashKey(orFirst: (8, 9)) == first)
  }

  @Test("a hash that stands for a free entry is moved aside", arguments: [0, 1] as [UInt64])
  func reservedKeys(hash: UInt64) throws {
    let rate = try #require(GCRA(count: 1, period: 60 * second, burst: 1))
    let region = Region(entryCount: 16)
    #expect(region.table.take(counter(hash, rate), now: second).verdict.isAllowed)
    #expect(!region.table.take(counter(hash, rate), now: second).verdict.isAllowed)
  }
}

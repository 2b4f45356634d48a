import Testing

@testable import HTTPClient

@Suite struct CircuitBreakerTests {
  private static let policy = CircuitBreaker.Policy(failures: 3, open: 1000, longestOpen: 3000, probe: 500)
  private var breaker = CircuitBreaker(CircuitBreakerTests.policy)

  private mutating func permit(at now: Int64) throws -> CircuitBreaker.Permit {
    guard case .admitted(let permit) = breaker.admit(at: now) else { throw Refused() }
    return permit
  }

  private mutating func open(at now: Int64) throws {
    for _ in 0..<3 { breaker.fail(try permit(at: now), at: now) }
  }

  private struct Refused: Error {}

  @Test("it opens at so many failures in a row, and not before")
  mutating func opens() throws {
    breaker.fail(try permit(at: 0), at: 0)
    breaker.fail(try permit(at: 0), at: 0)
    #expect(breaker.state == .closed(failures: 2))
    breaker.fail(try permit(at: 7), at: 7)
    #expect(breaker.state == .open(until: 1007, times: 1))
    #expect(breaker.admit(at: 8) == .refused(wait: 999))
  }

  @Test("a success in between starts the count again")
  mutating func resets() throws {
    for _ in 0..<10 {
      breaker.fail(try permit(at: 0), at: 0)
      breaker.fail(try permit(at: 0), at: 0)
      breaker.succeed(try permit(at: 0))
    }
    #expect(breaker.state == .closed(failures: 0))
  }

  @Test("when its time is up one probe is let through, and closes it by succeeding")
  mutating func probe() throws {
    try open(at: 0)
    let probe = try permit(at: 1000)
    #expect(breaker.state.name == .halfOpen)
    #expect(breaker.admit(at: 1001) == .refused(wait: 499))
    breaker.succeed(probe)
    #expect(breaker.state == .closed(failures: 0))
  }

  @Test("each probe that fails opens it for twice as long, up to the limit")
  mutating func backsOff() throws {
    try open(at: 0)
    var now: Int64 = 1000
    for wait: Int64 in [2000, 3000, 3000] {
      breaker.fail(try permit(at: now), at: now)
      #expect(breaker.admit(at: now) == .refused(wait: wait))
      now += wait
    }
    breaker.succeed(try permit(at: now))
    try open(at: now)
    #expect(breaker.admit(at: now) == .refused(wait: 1000))
  }

  @Test("a probe that never comes back blocks the others only for a while")
  mutating func lostProbe() throws {
    try open(at: 0)
    let lost = try permit(at: 1000)
    let second = try permit(at: 1500)
    breaker.succeed(lost)
    #expect(breaker.state.name == .halfOpen)
    breaker.succeed(second)
    #expect(breaker.state.name == .closed)
  }

  @Test("a probe that is given up says nothing, and the next may be sent at once")
  mutating func withdrawn() throws {
    try open(at: 0)
    breaker.withdraw(try permit(at: 1000), at: 1000)
    #expect(breaker.state.name == .open)
    breaker.succeed(try permit(at: 1000))
    #expect(breaker.state.name == .closed)
  }

  @Test("what was let through before it opened neither closes it nor prolongs it")
  mutating func late() throws {
    let early = (try permit(at: 0), try permit(at: 0))
    try open(at: 0)
    let state = breaker.state
    breaker.succeed(early.0)
    breaker.fail(early.1, at: 900)
    #expect(breaker.state == state)
  }

  @Test(
    "over random events at most one probe is under way, and it refuses only while it is not closed",
    arguments: [UInt64(1), UInt64.random(in: 0...UInt64.max)])
  mutating func property(seed: UInt64) throws {
    print("seed \(seed)")
    var random = Generator(state: seed)
    var now: Int64 = 0
    var probes: [CircuitBreaker.Permit] = []
    for _ in 0..<5000 {
      now += Int64.random(in: 0...200, using: &random)
      let before = breaker.state
      switch breaker.admit(at: now) {
      case .admitted(let permit):
        switch before {
        case .closed: break
        case .open(let until, _), .halfOpen(let until, _): #expect(now >= until)
        }
        if before.name != .closed { probes = [permit] }
        if Bool.random(using: &random) {
          breaker.fail(permit, at: now)
        } else if Bool.random(using: &random) {
          breaker.succeed(permit)
        }
      case .refused(let wait):
        #expect(before.name != .closed)
        #expect(1...3000 ~= wait)
      }
      if case .halfOpen = breaker.state { #expect(probes.count == 1) }
    }
  }
}

/// SplitMix64.
struct Generator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var value = state
    value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
    value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
    return value ^ (value >> 31)
  }
}

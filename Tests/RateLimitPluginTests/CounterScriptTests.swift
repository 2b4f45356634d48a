import Foundation
import PluginTesting
import Redis
import RedisTesting
import Testing

@testable import RateLimitPlugin

/// A model of what the script must do: the local algorithm, over states kept in a dictionary.
private struct Model {
  var states: [String: UInt64] = [:]

  mutating func decide(_ rates: [(key: String, rate: GCRA)], now: UInt64) -> Bool {
    let verdicts = rates.map { $0.rate.decide(arrival: states[$0.key] ?? 0, now: now) }
    guard verdicts.allSatisfy(\.isAllowed) else { return false }
    for (rate, verdict) in zip(rates, verdicts) { states[rate.key] = verdict.arrival }
    return true
  }
}

/// The script on a real Redis; also on a clock of the test's own.
private final class ScriptRunner {
  let connection: RedisConnection
  private let script: ScriptCall
  private let hasOwnClock: Bool

  init(_ server: RedisServer, ownClock hasOwnClock: Bool) throws {
    connection = try RedisConnection(
      to: RedisAddress(parsing: server.address), through: Hiredis(), connectTimeout: .seconds(5),
      timeout: .seconds(5))
    self.hasOwnClock = hasOwnClock
    let text = CounterScript.text
    let clock = "redis.call('TIME')"
    #expect(text.contains(clock))
    script = ScriptCall(
      text: hasOwnClock ? text.replacing(clock, with: "{ARGV[#ARGV - 1], ARGV[#ARGV]}") : text)
    try script.load(on: connection)
  }

  /// - Parameter now: in nanoseconds, whole microseconds; for a runner with a clock of its own.
  func decide(_ rates: [(key: String, rate: GCRA)], now: UInt64 = 0) throws -> CounterScript.Decision {
    var keys = RedisCommand()
    var arguments = RedisCommand()
    for (key, rate) in rates {
      keys.append(key)
      for argument in CounterScript.arguments(of: rate) { arguments.append(argument) }
    }
    if hasOwnClock {
      arguments.append(String(now / 1_000_000_000))
      arguments.append(String(now % 1_000_000_000 / 1000))
    }
    let reply = try script.run(keys: keys, count: rates.count, arguments: arguments, on: connection)
    return try CounterScript.decision(reply, limits: rates.count)
  }

  func state(_ key: String) throws -> UInt64? {
    try connection.send(RedisCommand("GET", key)).text.flatMap { UInt64($0) }
  }
}

@Suite("Counters in Redis")
struct CounterScriptTests {
  private static func randomRate(_ random: inout SplitMix) throws -> GCRA {
    let burst = UInt64.random(in: 1...8, using: &random)
    if Bool.random(using: &random) {
      // Sums that come to whole seconds.
      let period = UInt64.random(in: 1...4, using: &random) * 500_000_000
      return try #require(
        GCRA(count: 1 << UInt64.random(in: 0...3, using: &random), period: period, burst: burst))
    }
    // From a nanosecond to decades: the edges of what a configuration can say.
    let period = UInt64.random(in: 1...10, using: &random) << UInt64.random(in: 0...58, using: &random)
    let count = UInt64.random(in: 1...20, using: &random)
    if let rate = GCRA(count: count, period: period, burst: burst) { return rate }
    return try #require(GCRA(count: 7, period: 1_000_000_000, burst: 3))
  }

  @Test("for random limits, states and times, it decides as the local algorithm does, to the nanosecond")
  func differential() throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    print("seed \(seed)")
    var random = SplitMix(state: seed)
    let server = try RedisServer()
    let runner = try ScriptRunner(server, ownClock: true)
    var allowed = 0
    for round in 0..<120 {
      var model = Model()
      var rates: [(key: String, rate: GCRA)] = []
      for index in 0..<Int.random(in: 1...4, using: &random) {
        rates.append(("\(round)-\(index)", try Self.randomRate(&random)))
      }
      var now: UInt64 = 1_700_000_000_000_000_000
      for _ in 0..<40 {
        // To the exact instant at which a limit allows again, a microsecond before or after, or anywhere.
        let rate = rates.randomElement(using: &random) ?? rates[0]
        let state = model.states[rate.key] ?? now
        let edge = (state + rate.rate.interval) / 1000 * 1000
        switch UInt8.random(in: 0..<8, using: &random) {
        case 0 where edge > now + rate.rate.tolerance: now = edge - rate.rate.tolerance
        case 1 where edge > now + rate.rate.tolerance + 1000: now = edge - rate.rate.tolerance - 1000
        case 2: now += UInt64.random(in: 0...3, using: &random) * 1000
        case 3: now += min(rate.rate.interval, 1 << 55) / 1000 * 1000
        // A clock that is set back.
        case 4: now -= UInt64.random(in: 0...2_000_000, using: &random) * 1000
        case 5: now = now / 250_000_000 * 250_000_000 + 250_000_000
        default: break
        }
        now = min(now / 1000 * 1000, 4_000_000_000_000_000_000)
        let before = model.states
        let expected = model.decide(rates, now: now)
        let found = try runner.decide(rates, now: now)
        if expected { allowed += 1 }
        #expect(found.isAllowed == expected && found.now == now, "seed \(seed), round \(round)")
        // A key may be gone if all it held has run out, on the test's clock or on Redis's.
        for (index, rate) in rates.enumerated() {
          let old = before[rate.key] ?? 0
          #expect(found.states[index] == old || found.states[index] == 0, "seed \(seed), round \(round)")
          guard found.states[index] == old else {
            model.states[rate.key] = nil
            continue
          }
          if expected {
            #expect(try runner.state(rate.key) == model.states[rate.key], "seed \(seed), round \(round)")
          }
        }
      }
    }
    // Both answers are well represented, or the test says little.
    #expect((500...4300).contains(allowed), "seed \(seed): \(allowed)")
  }

  @Test("on Redis's own clock it counts as the local algorithm does with that clock's times")
  func realClock() throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    print("seed \(seed)")
    var random = SplitMix(state: seed)
    let server = try RedisServer()
    let runner = try ScriptRunner(server, ownClock: false)
    var model = Model()
    let rates = [
      ("a", try #require(GCRA(count: 3000, period: 1_000_000_000, burst: 5))),
      ("b", try #require(GCRA(count: 7, period: 10_000_000, burst: 2))),
      ("c", try #require(GCRA(count: 400, period: 3_600_000_000_000, burst: 400))),
    ]
    var allowed = 0
    for _ in 0..<3000 {
      let asked = rates.filter { _ in Bool.random(using: &random) }
      guard !asked.isEmpty else { continue }
      let found = try runner.decide(asked)
      let expected = model.decide(asked, now: found.now)
      if expected { allowed += 1 }
      #expect(found.isAllowed == expected, "seed \(seed)")
      if expected, let key = asked.last?.0 {
        #expect(try runner.state(key) == model.states[key], "seed \(seed)")
      }
    }
    #expect(allowed > 100, "seed \(seed)")
    // 400 and no more in all, for the hour has just begun.
    #expect(model.states["c"].map { $0 > 0 } == true)
  }

  @Test(
    "what somebody else has written into a key counts for nothing, and one too far ahead is a spent burst")
  func foreign() throws {
    let server = try RedisServer()
    let runner = try ScriptRunner(server, ownClock: false)
    let rate = try #require(GCRA(count: 2, period: 60_000_000_000, burst: 2))
    for text in ["", "abc", "-1", "1e30", "12", "99999999999999999999", "1.5", " 1700000000000000000"] {
      _ = try runner.connection.send(RedisCommand("SET", "k", text))
      let decision = try runner.decide([("k", rate)])
      #expect(decision.isAllowed, "\(text)")
      #expect(rate.decide(arrival: decision.states[0], now: decision.now).isAllowed, "\(text)")
    }
    _ = try runner.connection.send(RedisCommand("DEL", "k"))
    _ = try runner.connection.send(RedisCommand("LPUSH", "k", "x"))
    #expect(try runner.decide([("k", rate)]).isAllowed)
    _ = try runner.connection.send(RedisCommand("SET", "k", "9999999999999999999"))
    let far = try runner.decide([("k", rate)])
    #expect(!far.isAllowed)
    #expect(!rate.decide(arrival: far.states[0], now: far.now).isAllowed)
  }

  @Test("a key expires when it holds nothing any more, and not before")
  func expiry() throws {
    let server = try RedisServer()
    let runner = try ScriptRunner(server, ownClock: false)
    let rate = try #require(GCRA(count: 1, period: 10_000_000_000, burst: 5))
    for count in 1...5 {
      #expect(try runner.decide([("k", rate)]).isAllowed)
      let milliseconds = try #require(try runner.connection.send(RedisCommand("PTTL", "k")).integer)
      #expect((Int64(count) * 10_000 - 1000...Int64(count) * 10_000 + 2000).contains(milliseconds))
    }
    #expect(try !runner.decide([("k", rate)]).isAllowed)
  }
}

import PluginAPI
import Redis

/// Counters in Redis, shared by all machines that name the same one.
final class RedisCounters: Sendable {
  /// Of all keys.
  static let prefix = "bulkhead:ratelimit:"

  let pool: RedisPool
  private let digest: KeyDigest
  private let limits: [SharedLimit]
  private let call: ScriptCall

  /// What of a limit is the same in each command.
  private struct SharedLimit: Sendable {
    let partition: Limit.Partition
    let identifier: UInt64
    let keyStart: String
    let arguments: RedisCommand

    init(_ limit: Limit) {
      partition = limit.partition
      identifier = limit.identifier
      let hexadecimal = String(identifier, radix: 16)
      keyStart = prefix + String(repeating: "0", count: 16 - hexadecimal.count) + hexadecimal + ":"
      var arguments = RedisCommand()
      for argument in CounterScript.arguments(of: limit.rate) { arguments.append(argument) }
      self.arguments = arguments
    }
  }

  /// - Parameters:
  ///   - connections: how many threads may ask at once.
  ///   - timeout: for a request's command.
  /// - Throws: `SystemLibraryError` if libhiredis or libcrypto is missing.
  init(
    _ address: RedisAddress, limits: [Limit], connections: Int, timeout: Duration,
    onChange: @escaping @Sendable (RedisPool.Change) -> Void
  ) throws {
    digest = try KeyDigest()
    self.limits = limits.map(SharedLimit.init)
    let call = ScriptCall(text: CounterScript.text)
    self.call = call
    pool = RedisPool(
      address, through: try Hiredis(), connections: connections, timeout: timeout,
      prepare: { connection throws(RedisError) in
        try call.load(on: connection)
        try RedisCounters.check(call, on: connection)
      },
      onChange: onChange)
  }

  /// Decides a request, and counts it by all limits or by none.
  ///
  /// - Parameters:
  ///   - checks: one or more; their answers are filled in, times on Redis's clock.
  ///   - request: whose.
  /// - Returns: the check that refuses the request for the longest, if one does; and Redis's time.
  /// - Throws: `RedisError`, within the timeout; nothing is counted then, as far as one can know.
  func decide(
    _ checks: UnsafeMutableBufferPointer<Check>, _ request: borrowing Request
  ) throws(RedisError) -> (refusing: Check?, now: UInt64) {
    var keys = RedisCommand()
    var arguments = RedisCommand()
    for check in checks {
      let limit = limits[check.limit]
      let client = limit.partition.withClient(of: request) { kind, bytes in
        digest.hexadecimal(prefix: kind.rawValue, bytes)
      }
      keys.append(limit.keyStart + client)
      arguments.append(contentsOf: limit.arguments)
    }
    let count = checks.count
    let decision = try pool.withConnection { connection throws(RedisError) in
      let reply = try call.run(keys: keys, count: count, arguments: arguments, on: connection)
      return try CounterScript.decision(reply, limits: count)
    }
    for index in checks.indices {
      checks[index].answer = CounterTable.Answer(
        verdict: checks[index].counter.rate.decide(arrival: decision.states[index], now: decision.now))
    }
    let refusing = checks.refusal(at: decision.now)
    guard (refusing == nil) == decision.isAllowed else {
      throw .malformed("the script decides otherwise than this plugin: another version has changed it")
    }
    return (refusing, decision.now)
  }

  /// Proves on a counter of its own that Redis can do what is asked of it: of a burst of two, the third is refused.
  private static func check(_ call: ScriptCall, on connection: RedisConnection) throws(RedisError) {
    guard let rate = GCRA(count: 2, period: 60 * 1_000_000_000, burst: 2) else { return }
    let key = prefix + "check:" + String(UInt64.random(in: 0...UInt64.max), radix: 16)
    let keys = RedisCommand(key)
    var arguments = RedisCommand()
    for argument in CounterScript.arguments(of: rate) { arguments.append(argument) }
    var state: UInt64 = 0
    for isAllowed in [true, true, false] {
      let reply = try call.run(keys: keys, count: 1, arguments: arguments, on: connection)
      let decision = try CounterScript.decision(reply, limits: 1)
      let verdict = rate.decide(arrival: decision.states[0], now: decision.now)
      guard decision.states == [state], decision.isAllowed == isAllowed, verdict.isAllowed == isAllowed else {
        throw .malformed("it counts otherwise than it should: \(decision)")
      }
      state = verdict.arrival
    }
    _ = try connection.send(RedisCommand("DEL", key))
  }
}

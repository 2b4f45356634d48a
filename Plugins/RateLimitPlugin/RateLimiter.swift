import PluginAPI
import Synchronization

/// Limits requests by client, path and method; counters are shared by all loops and survive generations and
/// crashes.
///
/// Place it after what authenticates, if a limit is `by identity`.
final class RateLimiter: Middleware {
  static let plugin = PluginDescription(
    name: "rate-limit", version: "1.0.0", summary: "Rate limits by identity, address, API key or header")

  private let host: Host
  private let limits: [CountedLimit]
  private let table: CounterTable
  /// Nil: counters are this host's own.
  private let redis: RedisCounters?
  private let hash: SipHash
  /// The RateLimit-Policy field where every limit applies.
  private let wholePolicy: String
  private let refusals: Counter
  private let sharings: Counter
  private let countedHere: Counter
  private let hasWarnedOfSharing = Atomic(false)

  /// A limit with what counting needs.
  private struct CountedLimit: Sendable {
    let limit: Limit
    let identifier: UInt64
    let policyItem: String
    let stateStart: [UInt8]
    let refusals: Counter
  }

  init(_ start: Start<RateLimitSettings>) throws {
    let host = start.host
    self.host = host
    let limits = try Limit.parse(start.settings.limit)
    self.limits = limits.map { limit in
      let metric = "refused_\(limit.name.replacing("-", with: "_"))_total"
      return CountedLimit(
        limit: limit, identifier: limit.identifier, policyItem: limit.policyItem,
        stateStart: limit.stateStart,
        refusals: host.counter(metric, help: "Requests refused by \(limit.text)"))
    }
    let entryCount = CounterTable.entryCount(atLeast: start.settings.tableSize)
    let memory = CounterMemory(
      region: try host.sharedRegion(
        CounterMemory.layout, byteCount: CounterMemory.byteCount(entryCount: entryCount)))
    table = CounterTable(memory: memory, entryCount: entryCount)
    hash = host.random(16).withUnsafeBytes {
      SipHash(
        key: memory.hashKey(orFirst: ($0.load(as: UInt64.self), $0.load(fromByteOffset: 8, as: UInt64.self))))
    }
    wholePolicy = self.limits.map(\.policyItem).joined(separator: ", ")
    refusals = host.counter("refused_total", help: "Requests refused")
    sharings = host.counter("shared_total", help: "Requests of clients that found the table full")
    countedHere = host.counter(
      "redis_fallback_total", help: "Requests decided by this host's own counters, Redis being away")
    redis = try Self.redis(start, limits)
  }

  func stop() { redis?.pool.stop() }

  func request(_ request: borrowing Request) throws -> Response? {
    let method = request.method
    guard method != .options else { return nil }
    return try withUnsafeTemporaryAllocation(of: Check.self, capacity: limits.count) { buffer in
      let count = gather(request, method.name, into: buffer)
      guard count > 0 else { return nil }
      let checks = UnsafeMutableBufferPointer(rebasing: buffer[..<count])
      let refusing = decide(checks, request)
      try setFields(checks, request)
      if checks.contains(where: { $0.answer.isShared }) { noteSharing() }
      if let refusing { throw refusal(by: limits[refusing.limit], refusing.answer.verdict, request) }
      return nil
    }
  }

  /// In Redis, and as this host's own counters have it if there is none, or it is away.
  private func decide(_ checks: UnsafeMutableBufferPointer<Check>, _ request: borrowing Request) -> Check? {
    guard let redis else { return table.decide(checks, now: host.monotonicNanoseconds) }
    // Before Redis is asked: so a copy is never ahead of what it is a copy of.
    let now = host.monotonicNanoseconds
    do {
      let (refusing, redisNow) = try redis.decide(checks, request)
      keepCopies(checks, of: redisNow, at: now)
      return refusing
    } catch {
      // The pool has said so, once for all requests.
      countedHere.add()
      return table.decide(checks, now: host.monotonicNanoseconds)
    }
  }

  /// Keeps the state of Redis's counters in the local table: if Redis goes away now, whoever has been refused is
  /// refused on.
  private func keepCopies(
    _ checks: UnsafeMutableBufferPointer<Check>, of redisNow: UInt64, at now: UInt64
  ) {
    for check in checks where check.answer.verdict.arrival > redisNow {
      table.raise(check.counter, to: now + (check.answer.verdict.arrival - redisNow), now: now)
    }
  }

  /// The counters of the limits that apply; returns how many.
  private func gather(
    _ request: borrowing Request, _ method: String, into buffer: UnsafeMutableBufferPointer<Check>
  ) -> Int {
    var count = 0
    // By index: iterating would retain and release all that a limit holds.
    for index in limits.indices {
      guard request.withPath({ limits[index].limit.applies(to: method, path: $0) }) else { continue }
      let key = limits[index].limit.partition.key(of: request, under: limits[index].identifier, by: hash)
      let counter = CounterTable.Counter(
        hash: key, rate: limits[index].limit.rate, shared: index, sharedKey: limits[index].identifier)
      buffer.initializeElement(at: count, to: Check(limit: index, counter: counter))
      count += 1
    }
    return count
  }

  private func setFields(_ checks: UnsafeMutableBufferPointer<Check>, _ request: borrowing Request) throws {
    let state = String(unsafeUninitializedCapacity: checks.count * StateField.longestItem) { buffer in
      var field = StateField(buffer)
      for check in checks {
        let verdict = check.answer.verdict
        field.append(limits[check.limit].stateStart, remaining: verdict.remaining, reset: verdict.reset)
      }
      return field.count
    }
    try request.response.setHeader("RateLimit-Policy", policy(of: checks))
    try request.response.setHeader("RateLimit", state)
  }

  /// Made beforehand for the usual cases: one limit applies, or all do.
  private func policy(of checks: UnsafeMutableBufferPointer<Check>) -> String {
    if checks.count == 1 { return limits[checks[0].limit].policyItem }
    if checks.count == limits.count { return wholePolicy }
    return checks.map { limits[$0.limit].policyItem }.joined(separator: ", ")
  }

  private func refusal(
    by counted: CountedLimit, _ verdict: GCRA.Verdict, _ request: borrowing Request
  ) -> Problem {
    let limit = counted.limit
    let seconds = wholeSeconds(verdict.reset)
    refusals.add()
    counted.refusals.add()
    request.log(.info, "refused by limit \"\(limit.name)\" (\(limit.text)); allowed again in \(seconds) s")
    return Problem(
      status: 429, code: "rate-limited",
      detail: "Too many requests: \(limit.count) per \(limit.window) are allowed. Try again in \(seconds) s.",
      members: "\"limit\":\"\(limit.name)\",\"retry_after\":\(seconds)",
      headers: [("Retry-After", String(seconds))])
  }

  /// Counts it, and says it once a generation: an operator has to choose a larger table.
  private func noteSharing() {
    sharings.add()
    guard !hasWarnedOfSharing.exchange(true, ordering: .relaxed) else { return }
    host.log(
      .warning,
      "the table is full: clients without a counter of their own share one a limit; raise table-size")
  }
}

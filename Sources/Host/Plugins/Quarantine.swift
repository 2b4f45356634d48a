/// Whether one plugin may run: a circuit breaker (Nygard, "Release It!") as a value, without clock or I/O.
///
/// Times are nanoseconds of one monotonic clock, and must not go back. The value is not thread-safe: its owner locks.
///
/// | in state | on | becomes |
/// | --- | --- | --- |
/// | `active` | `fault(.threw)`, fewer than `quarantine-after` within its window | `active`, counted |
/// | `active` | `fault(.threw)`, as many; `fault` of any other reason | `quarantined` until the back-off is over |
/// | `active`, `quarantined`, `probing` | `fault(.operator)` | `quarantined` until `release` |
/// | `quarantined` | `fault` | `quarantined`, unchanged: it comes from a request that ran already |
/// | `quarantined` | `admit`, the back-off is over | `probing`; this request is the probe |
/// | `probing` | `succeed` | `active` |
/// | `probing` | `fault` | `quarantined`, with twice the back-off, up to the maximum |
/// | `probing` | `abandonProbe`, or no verdict for `probeLimit` | `quarantined`; the next request is a probe |
/// | any but `failed` | `release` | `active`, with the first back-off |
/// | any | `fail` | `failed`, for good: another generation has to load it, which `planRetry` announces |
/// | any | `switchOff` | `off`; what it was underneath goes on by the rules above |
/// | `off` | `switchOn`, for every cause it was switched off for | what it is underneath |
///
/// The back-off begins anew once a plugin has been `active` for as long as the longest back-off; one that faults
/// sooner after a probe has passed goes on doubling, so that it cannot flap at the shortest interval for ever.
struct Quarantine: Sendable {
  enum State: String, Sendable, CaseIterable {
    case active, probing, quarantined, failed, off
  }

  enum Reason: String, Sendable, CaseIterable {
    case loadFailed = "load-failed"
    case abiMismatch = "abi-mismatch"
    case digestMismatch = "digest-mismatch"
    case unsafeFile = "unsafe-file"
    case badSettings = "bad-settings"
    case startFailed = "start-failed"
    case threw, crashed, hung, exited
    /// It has spoilt what it shares with the host.
    case tampered
    case `operator`

    /// Whether it keeps a plugin from ever starting.
    var isOfLoading: Bool {
      switch self {
      case .loadFailed, .abiMismatch, .digestMismatch, .unsafeFile, .badSettings, .startFailed: true
      case .threw, .crashed, .hung, .exited, .tampered, .operator: false
      }
    }
  }

  /// What one request may do with the plugin.
  enum Admission: Sendable, Equatable {
    case run
    /// Run it, and report with `succeed`, `fault` or `abandonProbe`.
    case probe
    /// Answer 503, with `Retry-After` in seconds, at least 1.
    case refuse(retryAfter: Int)
    /// Go on as if it were not there.
    case skip
  }

  /// What an event came to, for the log.
  enum Transition: Sendable, Equatable {
    case unchanged
    /// A fault, not yet enough of them within the window.
    case counted(Int)
    /// The time of the first probe; nil for none.
    case quarantined(retryAt: UInt64?)
    case failed
    case activated
  }

  /// Why a plugin is `off`. It is until every cause is gone.
  struct OffCauses: OptionSet, Sendable {
    let rawValue: UInt8
    static let configuration = OffCauses(rawValue: 1)
    static let `operator` = OffCauses(rawValue: 2)
  }

  /// What a refusal says when no probe is planned: in seconds.
  static let unplannedRetryAfter = 30

  /// From `on-failure`; a plugin in shadow mode never stops a request.
  let failurePolicy: FailurePolicy
  /// A probe without a verdict after so many nanoseconds, well past the plugin's timeout, has been lost.
  let probeLimit: UInt64
  private let threshold: FaultThreshold
  private let backoff: Backoff?

  /// Of the state underneath, if the plugin is off.
  private var core = Core()
  private(set) var offCauses: OffCauses = []
  private var offSince: UInt64 = 0
  /// Of counted faults, oldest first; fewer than the threshold.
  private var recentFaults: [UInt64] = []

  /// What a generation hands down to the next.
  struct Core: Sendable, Equatable {
    /// Never `off`.
    var state = State.active
    /// Of the latest quarantine; nil if it is active.
    var reason: Reason?
    /// When this state began.
    var since: UInt64 = 0
    /// When the next probe is due; nil if none is, and unless quarantined.
    var retryAt: UInt64?
    /// How many quarantines have come without a long enough time of service between them.
    var streak = 0
  }

  init(policy: PluginConfiguration) {
    failurePolicy = policy.mode == .shadow ? .open : policy.onFailure
    threshold = policy.quarantineAfter
    backoff = policy.recover
    probeLimit = (policy.timeout ?? .seconds(30)).nanoseconds &+ 30_000_000_000
    if policy.mode == .off { offCauses = .configuration }
  }

  /// Goes on where the generation before stopped; a plugin that had failed to load gets a new try.
  init(policy: PluginConfiguration, resuming core: Core, at now: UInt64) {
    self.init(policy: policy)
    guard core.state == .quarantined || core.state == .probing else {
      self.core = Core(since: now)
      return
    }
    self.core = core
    // A probe under way ended with its generation.
    if core.state == .probing { becomeQuarantined(retryAt: now, at: now) }
  }
}

// MARK: What it is

extension Quarantine {
  var state: State { offCauses.isEmpty ? core.state : .off }

  /// Nil if active, or if off by configuration.
  var reason: Reason? {
    if offCauses.isEmpty { return core.reason }
    return offCauses.contains(.operator) ? .operator : nil
  }

  /// When this state began.
  var since: UInt64 { offCauses.isEmpty ? core.since : offSince }

  /// When the next probe is due; nil if none is planned.
  var retryAt: UInt64? { offCauses.isEmpty ? core.retryAt : nil }

  /// For the next generation.
  var inheritance: Core { core }

  /// Seconds for `Retry-After`: rounded up, at least 1.
  func retryAfter(at now: UInt64) -> Int {
    if core.state == .probing { return 1 }
    guard let retryAt else { return Quarantine.unplannedRetryAfter }
    guard retryAt > now else { return 1 }
    return Int(clamping: (retryAt - now - 1) / 1_000_000_000 + 1)
  }
}

// MARK: Requests

extension Quarantine {
  /// Decides for one request. A `.probe` makes all others wait for its verdict.
  ///
  /// - Parameter mayProbe: false for a request that is not to be a probe, even if one is due.
  mutating func admit(at now: UInt64, mayProbe: Bool = true) -> Admission {
    guard offCauses.isEmpty else { return .skip }
    switch core.state {
    case .active: return .run
    case .quarantined:
      if mayProbe, let retryAt = core.retryAt, now >= retryAt { return startProbe(at: now) }
    case .probing:
      if mayProbe, now >= core.since, now - core.since > probeLimit { return startProbe(at: now) }
    case .failed, .off: break
    }
    switch failurePolicy {
    case .open: return .skip
    case .closed: return .refuse(retryAfter: retryAfter(at: now))
    }
  }

  private mutating func startProbe(at now: UInt64) -> Admission {
    core.state = .probing
    core.since = now
    core.retryAt = nil
    return .probe
  }

  /// The probe passed. Ignored unless one is under way: the verdict has come from elsewhere.
  @discardableResult
  mutating func succeed(at now: UInt64) -> Transition {
    guard core.state == .probing else { return .unchanged }
    becomeActive(at: now)
    return .activated
  }

  /// The probing request ended without a verdict: it had nothing in it that would have proven the plugin. The next is a
  /// probe.
  @discardableResult
  mutating func abandonProbe(at now: UInt64) -> Transition {
    guard core.state == .probing else { return .unchanged }
    becomeQuarantined(retryAt: now, at: now)
    return .quarantined(retryAt: now)
  }
}

// MARK: Faults

extension Quarantine {
  /// The plugin faulted, in any request or in none; or the operator wants it out.
  @discardableResult
  mutating func fault(_ reason: Reason, at now: UInt64) -> Transition {
    if reason.isOfLoading { return fail(reason, at: now) }
    if reason == .operator { return quarantineByOperator(at: now) }
    switch core.state {
    case .quarantined, .failed, .off: return .unchanged
    case .probing: return quarantine(reason, at: now)
    case .active:
      if reason == .threw, let count = countBelowThreshold(at: now) { return .counted(count) }
      if let longest = backoff?.maximum.nanoseconds, now - min(now, core.since) >= longest { core.streak = 0 }
      return quarantine(reason, at: now)
    }
  }

  /// It took the worker before this one down, for the `streak`th time without long enough a service in between.
  mutating func beginQuarantined(_ reason: Reason, streak: Int, at now: UInt64) {
    core.streak = max(0, streak - 1)
    _ = quarantine(reason, at: now)
  }

  /// It did not load or start.
  @discardableResult
  mutating func fail(_ reason: Reason, at now: UInt64) -> Transition {
    core = Core(state: .failed, reason: reason, since: now)
    recentFaults = []
    return .failed
  }

  /// Another generation tries to load it then; nothing for one that has not failed.
  mutating func planRetry(at time: UInt64) {
    if core.state == .failed { core.retryAt = time }
  }

  /// Back into service at the operator's word.
  @discardableResult
  mutating func release(at now: UInt64) -> Transition {
    core.streak = 0
    guard core.state == .quarantined || core.state == .probing else { return .unchanged }
    becomeActive(at: now)
    return .activated
  }

  private mutating func quarantineByOperator(at now: UInt64) -> Transition {
    guard core.state != .failed else { return .unchanged }
    core.reason = .operator
    becomeQuarantined(retryAt: nil, at: now)
    return .quarantined(retryAt: nil)
  }

  private mutating func quarantine(_ reason: Reason, at now: UInt64) -> Transition {
    let retryAt = backoff.map { now.addingSaturated(delay(of: $0)) }
    core.reason = reason
    core.streak += 1
    becomeQuarantined(retryAt: retryAt, at: now)
    return .quarantined(retryAt: retryAt)
  }

  /// The first back-off doubled for each quarantine of the streak so far.
  private func delay(of backoff: Backoff) -> UInt64 {
    let initial = backoff.initial.nanoseconds
    let maximum = backoff.maximum.nanoseconds
    guard core.streak < initial.leadingZeroBitCount else { return maximum }
    return min(initial << UInt64(core.streak), maximum)
  }

  /// How many faults the window holds with this one; nil if they are enough.
  private mutating func countBelowThreshold(at now: UInt64) -> Int? {
    guard threshold.count > 1 else { return nil }
    let window = threshold.window.nanoseconds
    recentFaults.removeAll { now >= $0 && now - $0 >= window }
    recentFaults.append(now)
    return recentFaults.count < threshold.count ? recentFaults.count : nil
  }

  private mutating func becomeQuarantined(retryAt: UInt64?, at now: UInt64) {
    core.state = .quarantined
    core.since = now
    core.retryAt = retryAt
    recentFaults = []
  }

  private mutating func becomeActive(at now: UInt64) {
    core.state = .active
    core.reason = nil
    core.since = now
    core.retryAt = nil
    recentFaults = []
  }
}

// MARK: Switches

extension Quarantine {
  mutating func switchOff(_ cause: OffCauses = .configuration, at now: UInt64) {
    if offCauses.isEmpty { offSince = now }
    offCauses.insert(cause)
  }

  /// Off still, if there is another cause.
  mutating func switchOn(_ cause: OffCauses) {
    offCauses.remove(cause)
  }
}

extension UInt64 {
  fileprivate func addingSaturated(_ other: UInt64) -> UInt64 {
    let (sum, overflow) = addingReportingOverflow(other)
    return overflow ? .max : sum
  }
}

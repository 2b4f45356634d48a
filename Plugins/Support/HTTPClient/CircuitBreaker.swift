/// Keeps from asking a peer that does not answer: a value with a transition for each event, and no clock of its own.
///
/// ```
/// closed ──failures in a row──▶ open ──time is up──▶ half-open ──the probe succeeds──▶ closed
///                                 ▲                      │
///                                 └── the probe fails ───┘   twice as long, up to a bound
/// ```
public struct CircuitBreaker: Sendable, Equatable {
  public struct Policy: Sendable, Equatable {
    /// How many failures in a row open it.
    public var failures: Int
    /// How long it is open the first time, in milliseconds; it doubles with each probe that fails.
    public var open: Int64
    /// The longest that it is open, in milliseconds.
    public var longestOpen: Int64
    /// After how long a probe that has not ended is taken to be lost, and another is let through, in milliseconds.
    public var probe: Int64

    public init(failures: Int = 5, open: Int64 = 1000, longestOpen: Int64 = 60_000, probe: Int64 = 60_000) {
      self.failures = failures
      self.open = open
      self.longestOpen = longestOpen
      self.probe = probe
    }
  }

  public enum State: Sendable, Equatable {
    case closed(failures: Int)
    /// `times`: how often it has been opened without a success since.
    case open(until: Int64, times: Int)
    case halfOpen(probeUntil: Int64, times: Int)
  }

  /// Leave for one request; to be handed back with what came of it.
  public struct Permit: Sendable, Equatable {
    fileprivate let period: Int
  }

  public enum Admission: Sendable, Equatable {
    case admitted(Permit)
    /// Not to be asked before that many milliseconds are over.
    case refused(wait: Int64)
  }

  public let policy: Policy
  public private(set) var state = State.closed(failures: 0)
  /// Counts transitions: what was let through in an earlier period no longer says anything.
  private var period = 0

  public init(_ policy: Policy = Policy()) { self.policy = policy }

  /// Whether a request may be sent at `now`, in milliseconds of a monotonic clock.
  public mutating func admit(at now: Int64) -> Admission {
    switch state {
    case .closed:
      return .admitted(Permit(period: period))
    case .open(let until, let times), .halfOpen(let until, let times):
      guard now >= until else { return .refused(wait: until - now) }
      enter(.halfOpen(probeUntil: now + policy.probe, times: times))
      return .admitted(Permit(period: period))
    }
  }

  /// The peer has answered, whatever it said.
  public mutating func succeed(_ permit: Permit) {
    guard permit.period == period else { return }
    if case .closed = state { state = .closed(failures: 0) } else { enter(.closed(failures: 0)) }
  }

  /// The peer has not answered, or said that it cannot.
  public mutating func fail(_ permit: Permit, at now: Int64) {
    guard permit.period == period else { return }
    switch state {
    case .closed(let failures) where failures + 1 < policy.failures: state = .closed(failures: failures + 1)
    case .closed: open(at: now, times: 1)
    case .halfOpen(_, let times): open(at: now, times: times + 1)
    case .open: break
    }
  }

  /// The request was given up for reasons of our own: it says nothing of the peer, and another may probe at once.
  public mutating func withdraw(_ permit: Permit, at now: Int64) {
    guard permit.period == period, case .halfOpen(_, let times) = state else { return }
    enter(.open(until: now, times: times))
  }

  private mutating func open(at now: Int64, times: Int) {
    var wait = policy.open
    for _ in 1..<times where wait < policy.longestOpen { wait *= 2 }
    enter(.open(until: now + min(wait, policy.longestOpen), times: times))
  }

  private mutating func enter(_ next: State) {
    state = next
    period += 1
  }
}

extension CircuitBreaker.State {
  public enum Name: String, Sendable {
    case closed, open
    case halfOpen = "half-open"
  }

  public var name: Name {
    switch self {
    case .closed: .closed
    case .open: .open
    case .halfOpen: .halfOpen
    }
  }
}

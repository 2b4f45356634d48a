/// The generic cell rate algorithm (ITU-T I.371 annex A, the virtual scheduling form): a leaky bucket whose
/// whole state is one time.
///
/// The state is the *theoretical arrival time*: when the next request would be due if all came at the
/// sustained rate. A request is allowed while that lies at most `burst` intervals ahead. Arithmetic only: the
/// clock is passed in, and the caller keeps the state.
struct GCRA: Sendable, Equatable {
  /// Between two requests at the sustained rate, in nanoseconds. Rounded up, so that the rate is never
  /// exceeded.
  let interval: UInt64
  /// How many requests may come at once.
  let burst: UInt64
  /// How far ahead of the clock the state may lie, in nanoseconds.
  let tolerance: UInt64

  /// - Parameters:
  ///   - count: requests per `period`, from 1.
  ///   - period: in nanoseconds, from 1.
  ///   - burst: from 1.
  /// - Returns: nil if a number is 0, or a full burst takes more than a century to drain.
  init?(count: UInt64, period: UInt64, burst: UInt64) {
    guard count > 0, period > 0, burst > 0 else { return nil }
    let interval = period / count + (period % count == 0 ? 0 : 1)
    let (tolerance, isTooLong) = interval.multipliedReportingOverflow(by: burst)
    guard !isTooLong, tolerance <= Self.longestTolerance else { return nil }
    self.interval = interval
    self.burst = burst
    self.tolerance = tolerance
  }

  /// A century. So no sum of it and a clock that counts from boot comes near 2^63.
  static let longestTolerance: UInt64 = 100 * 365 * 86_400 * 1_000_000_000

  /// What a request comes to at one instant.
  struct Verdict: Sendable, Equatable {
    var isAllowed: Bool
    /// The state once the request is counted; as it was, if the request is refused.
    var arrival: UInt64
    /// How many more requests would be allowed at this instant, after this one.
    var remaining: UInt64
    /// In nanoseconds: until one request is allowed if none is now; else until a full burst is.
    var reset: UInt64
  }

  /// Decides a request, and counts nothing: the caller stores `arrival`.
  ///
  /// - Parameters:
  ///   - arrival: the state; 0 for none yet. One further ahead than the tolerance, which no counting leads
  ///     to, is taken for a spent burst.
  ///   - now: in nanoseconds, on a clock that never goes back.
  @inline(__always)
  func decide(arrival: UInt64, now: UInt64) -> Verdict {
    let limit = now + tolerance
    let start = min(max(arrival, now), limit)
    let next = start + interval
    guard next <= limit else {
      return Verdict(isAllowed: false, arrival: arrival, remaining: 0, reset: next - limit)
    }
    let remaining = (limit - next) / interval
    let reset = remaining > 0 ? next - now : next + interval - limit
    return Verdict(isAllowed: true, arrival: next, remaining: remaining, reset: reset)
  }

  /// What is left if a request that was found allowed is not counted after all.
  func uncounted(_ verdict: Verdict, now: UInt64) -> Verdict {
    guard verdict.isAllowed else { return verdict }
    let arrival = verdict.arrival - interval
    return Verdict(
      isAllowed: true, arrival: arrival, remaining: verdict.remaining + 1, reset: arrival - min(arrival, now))
  }
}

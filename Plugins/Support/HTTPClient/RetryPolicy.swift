/// How often, and after how long, a request that failed is sent again.
///
/// Exponential back-off with full jitter: a random wait between none and a bound that doubles, so that clients whose
/// requests failed together do not come back together
/// (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
public struct RetryPolicy: Sendable, Equatable {
  /// How often it is sent again; 0: never.
  public var retries: Int
  /// The bound of the first wait.
  public var base: Duration
  /// The largest bound.
  public var limit: Duration
  /// The longest `Retry-After` that is waited for; past it there is no further attempt.
  public var longestRetryAfter: Duration

  public init(
    retries: Int = 3, base: Duration = .milliseconds(200), limit: Duration = .seconds(5),
    longestRetryAfter: Duration = .seconds(30)
  ) {
    self.retries = retries
    self.base = base
    self.limit = limit
    self.longestRetryAfter = longestRetryAfter
  }

  /// Whether an answer says that the peer could not do it now: 408, 429, and 500, 502, 503, 504 (RFC 9110 section 15).
  public static func isTransient(status: Int) -> Bool {
    [408, 429, 500, 502, 503, 504].contains(status)
  }

  /// How long to wait before the next attempt.
  ///
  /// - Parameters:
  ///   - attempt: The one that failed, from 1.
  ///   - retryAfter: What the peer asked for; waited for at least.
  ///   - random: A number from 0 up to 1.
  /// - Returns: nil: there is no next attempt.
  public func wait(after attempt: Int, retryAfter: Duration?, random: Double) -> Duration? {
    guard attempt <= retries else { return nil }
    var bound = base
    for _ in 1..<max(1, attempt) where bound < limit { bound *= 2 }
    let jittered = min(bound, limit) * random
    guard let retryAfter else { return jittered }
    guard retryAfter <= longestRetryAfter else { return nil }
    return max(retryAfter, jittered)
  }
}

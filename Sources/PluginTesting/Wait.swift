import Foundation

/// A point on the monotonic clock after which waiting is given up.
public struct Deadline: Sendable {
  private let instant: ContinuousClock.Instant

  /// - Parameter duration: from now.
  public init(after duration: Duration) { instant = .now + duration }

  /// Until the deadline; zero once it has passed.
  public var remaining: Duration { max(.zero, instant - .now) }
  public var hasPassed: Bool { instant <= .now }
  /// For poll(2): rounded up, so that a loop on it ends.
  var pollMilliseconds: Int32 {
    let (seconds, attoseconds) = remaining.components
    return Int32(clamping: seconds * 1000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
  }
}

/// Waits for `condition`, looking again every few milliseconds.
///
/// - Parameters:
///   - what: the condition in words, for the failure's text.
///   - limit: how long at most. Generous by default: a test machine may be busy, and a condition that holds
///     costs no time.
///   - interval: between two looks.
///   - condition: whether what is waited for is so.
/// - Throws: `HarnessError.timedOut`, or what the condition throws.
public func wait(
  _ what: String, within limit: Duration = .seconds(15), every interval: Duration = .milliseconds(10),
  until condition: () throws -> Bool
) throws {
  let deadline = Deadline(after: limit)
  while try !condition() {
    if deadline.hasPassed { throw HarnessError.timedOut(what) }
    let (seconds, attoseconds) = interval.components
    usleep(UInt32(clamping: seconds * 1_000_000 + attoseconds / 1_000_000_000_000))
  }
}

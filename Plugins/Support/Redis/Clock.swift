import Glibc

/// A point on the monotonic clock.
struct Deadline {
  /// In nanoseconds.
  private let instant: UInt64
  let limit: Duration

  /// - Parameter limit: from now.
  init(after limit: Duration) {
    self.limit = limit
    instant = Deadline.now + limit.nanoseconds
  }

  /// What is left, for poll(2), rounded up: so that what waits once has waited to the end. 0 once it has passed.
  var remainingMilliseconds: Int32 {
    let now = Deadline.now
    return now < instant ? Int32(clamping: (instant - now + 999_999) / 1_000_000) : 0
  }

  static var now: UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }
}

extension Duration {
  /// Rounded down; 0 if it is negative.
  var nanoseconds: UInt64 {
    let (seconds, attoseconds) = components
    return seconds < 0 ? 0 : UInt64(seconds) * 1_000_000_000 + UInt64(max(0, attoseconds)) / 1_000_000_000
  }
}

/// What the C library calls an error number.
func systemReason(_ code: Int32) -> String {
  strerror(code).map { String(cString: $0) } ?? "error \(code)"
}

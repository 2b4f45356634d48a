import Glibc

/// Clocks in nanoseconds (clock_gettime(2)).
enum Clock {
  /// For durations and deadlines.
  @inline(__always)
  static func monotonic() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(bitPattern: Int64(time.tv_sec)) &* 1_000_000_000 &+ UInt64(bitPattern: Int64(time.tv_nsec))
  }

  /// For people: since 1970.
  static func realtime() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
  }

  /// RFC 3339 in UTC with milliseconds.
  static func rfc3339(_ realtime: Int64) -> String {
    var seconds = time_t(realtime / 1_000_000_000)
    var parts = tm()
    gmtime_r(&seconds, &parts)
    func padded(_ value: Int, _ width: Int) -> String {
      let digits = String(value)
      return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }
    let date =
      "\(padded(Int(parts.tm_year) + 1900, 4))-\(padded(Int(parts.tm_mon) + 1, 2))-\(padded(Int(parts.tm_mday), 2))"
    let time =
      "\(padded(Int(parts.tm_hour), 2)):\(padded(Int(parts.tm_min), 2)):\(padded(Int(parts.tm_sec), 2))"
    return "\(date)T\(time).\(padded(Int(realtime % 1_000_000_000) / 1_000_000, 3))Z"
  }
}

extension Duration {
  /// Whole nanoseconds; what does not fit is the largest that does.
  var nanoseconds: UInt64 {
    let (seconds, attoseconds) = components
    guard seconds >= 0 else { return 0 }
    let (product, overflow) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
    return overflow ? .max : product &+ UInt64(attoseconds / 1_000_000_000)
  }
}

extension Clock {
  /// The wall clock's time at a monotonic time, as both clocks stand now.
  static func realtime(at monotonic: UInt64) -> Int64 {
    realtime() &+ Int64(bitPattern: monotonic &- Clock.monotonic())
  }

  /// The same to the tenth of a second: told anew each time, it would seem to change.
  static func tenths(at monotonic: UInt64) -> Int64 {
    (realtime(at: monotonic) + 50_000_000) / 100_000_000 * 100_000_000
  }
}

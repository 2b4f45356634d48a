import Glibc

/// A thread that does one thing, and ends.
enum BackgroundThread {
  private final class Entry {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }

  /// - Returns: 0, or why the system has no thread (pthread_create(3)).
  static func start(_ body: @escaping @Sendable () -> Void) -> Int32 {
    let entry = Unmanaged.passRetained(Entry(body))
    var thread = pthread_t()
    let code = pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        Unmanaged<Entry>.fromOpaque(argument).takeRetainedValue().body()
        return nil
      }, entry.toOpaque())
    if code == 0 { pthread_detach(thread) } else { entry.release() }
    return code
  }
}

/// A time of the monotonic clock, which no one can set.
struct Deadline {
  private let end: Int64

  /// - Parameter milliseconds: from now.
  init(_ milliseconds: Int32) { end = Self.now() + Int64(max(0, milliseconds)) }

  /// In milliseconds; 0 once it has passed.
  var left: Int32 { Int32(clamping: max(0, end - Self.now())) }

  private static func now() -> Int64 {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec) / 1_000_000
  }
}

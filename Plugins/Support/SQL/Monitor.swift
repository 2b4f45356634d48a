import Glibc

// Unsafe memory: the mutex and the condition are allocated once and freed in deinit, when no thread can be waiting,
// since a waiter holds a reference. `value` is read and written only with the mutex held.

/// A value that threads share under a lock, and on whose conditions they wait with a deadline.
///
/// `Synchronization.Mutex` has no condition to wait on. A thread that never comes back (it was frozen by its host)
/// must not block the others for ever, so every wait is bounded.
public final class Monitor<Value: Sendable>: @unchecked Sendable {
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var value: Value

  public init(_ value: Value) {
    self.value = value
    pthread_mutex_init(mutex, nil)
    var attributes = pthread_condattr_t()
    pthread_condattr_init(&attributes)
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    pthread_cond_init(changed, &attributes)
    pthread_condattr_destroy(&attributes)
  }

  deinit {
    pthread_cond_destroy(changed)
    pthread_mutex_destroy(mutex)
    changed.deallocate()
    mutex.deallocate()
  }

  /// Changes the value, and wakes those who wait.
  public func update<R>(_ body: (inout Value) throws -> R) rethrows -> R {
    pthread_mutex_lock(mutex)
    defer {
      pthread_cond_broadcast(changed)
      pthread_mutex_unlock(mutex)
    }
    return try body(&value)
  }

  /// Waits until `condition` holds, and then changes the value, in one step.
  /// - Parameter milliseconds: How long, by the monotonic clock; 0 or less does not wait.
  /// - Throws: `error` when the time is up first.
  public func wait<R, Failure: Error>(
    milliseconds: Int32, until condition: (Value) -> Bool, then body: (inout Value) -> R,
    orThrow error: @autoclosure () -> Failure
  ) throws(Failure) -> R {
    let result = wait(milliseconds: milliseconds) { condition($0) ? body(&$0) : nil }
    guard let result else { throw error() }
    return result
  }

  /// Waits until `body`, which may change the value, gives something. A change wakes no other waiter.
  /// - Parameter milliseconds: How long, by the monotonic clock; 0 or less does not wait.
  /// - Returns: nil when the time is up first.
  public func wait<R>(milliseconds: Int32, for body: (inout Value) -> R?) -> R? {
    let milliseconds = max(0, milliseconds)
    var deadline = timespec()
    clock_gettime(CLOCK_MONOTONIC, &deadline)
    let nanoseconds = deadline.tv_nsec + Int(milliseconds % 1000) * 1_000_000
    deadline.tv_sec += Int(milliseconds / 1000) + nanoseconds / 1_000_000_000
    deadline.tv_nsec = nanoseconds % 1_000_000_000
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while true {
      if let result = body(&value) { return result }
      if pthread_cond_timedwait(changed, mutex, &deadline) == ETIMEDOUT { return body(&value) }
    }
  }
}

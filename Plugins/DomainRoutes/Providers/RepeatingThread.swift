import Glibc

// Unsafe memory: the mutex and the condition live from init to deinit; the thread retains this object, so it lives as
// long as that runs. `state` is read and written only with the mutex held.

/// A thread that does the same work again and again, with a pause after it.
final class RepeatingThread: @unchecked Sendable {
  private enum State { case idle, running, stopping, ended }

  private let interval: Int64
  private let work: @Sendable () -> Void
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var state = State.idle

  /// - Parameter interval: Between the end of one run and the next, in milliseconds.
  init(every interval: Int64, _ work: @escaping @Sendable () -> Void) {
    self.interval = interval
    self.work = work
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

  /// [main]
  /// - Throws: `ThreadError`.
  func start() throws {
    set(.running)
    var thread = pthread_t()
    let code = pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        Unmanaged<RepeatingThread>.fromOpaque(argument).takeRetainedValue().run()
        return nil
      }, Unmanaged.passRetained(self).toOpaque())
    guard code == 0 else {
      Unmanaged.passUnretained(self).release()
      set(.idle)
      throw ThreadError(code: code)
    }
    pthread_detach(thread)
  }

  /// Returns when the thread has ended, or after so many milliseconds: one that the host has frozen never ends. [main]
  func stop(within limit: Int64) {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    guard state == .running else { return }
    state = .stopping
    pthread_cond_broadcast(changed)
    wait(limit) { $0 == .ended }
  }

  private func run() {
    while true {
      work()
      pthread_mutex_lock(mutex)
      wait(interval) { $0 != .running }
      let goesOn = state == .running
      pthread_mutex_unlock(mutex)
      if !goesOn { return set(.ended) }
    }
  }

  /// With the mutex held: until the condition holds, or the time is up.
  private func wait(_ milliseconds: Int64, until condition: (State) -> Bool) {
    var deadline = timespec()
    clock_gettime(CLOCK_MONOTONIC, &deadline)
    let nanoseconds = deadline.tv_nsec + Int(milliseconds % 1000) * 1_000_000
    deadline.tv_sec += Int(milliseconds / 1000) + nanoseconds / 1_000_000_000
    deadline.tv_nsec = nanoseconds % 1_000_000_000
    while !condition(state) {
      if pthread_cond_timedwait(changed, mutex, &deadline) == ETIMEDOUT { return }
    }
  }

  private func set(_ next: State) {
    pthread_mutex_lock(mutex)
    state = next
    pthread_cond_broadcast(changed)
    pthread_mutex_unlock(mutex)
  }
}

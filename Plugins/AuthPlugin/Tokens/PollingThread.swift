import Glibc

// Unsafe memory: the mutex and the condition live from init to deinit; the thread retains this object, so it lives as long
// as that runs. `state` and `work` are read and written only with the mutex held.

/// A thread that does the same work again and again, with a pause after it; and at once when somebody waits for it.
final class PollingThread: @unchecked Sendable {
  struct Failure: Error, CustomStringConvertible {
    let code: Int32
    var description: String { "no thread can be made: \(String(cString: strerror(code)))" }
  }

  private struct State {
    var isRunning = false
    var hasEnded = true
    /// How often the work has begun, and ended.
    var begun: UInt64 = 0
    var ended: UInt64 = 0
    /// The run that somebody waits for.
    var wanted: UInt64 = 0
  }

  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var state = State()
  private var work: @Sendable () -> Int64 = { 0 }

  init() {
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

  /// Once. [main]
  ///
  /// - Parameter work: what is done; gives the pause until it is done again, in milliseconds.
  /// - Throws: `Failure`.
  func start(_ work: @escaping @Sendable () -> Int64) throws {
    update {
      self.work = work
      $0.isRunning = true
      $0.hasEnded = false
    }
    var thread = pthread_t()
    let code = pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        Unmanaged<PollingThread>.fromOpaque(argument).takeRetainedValue().run()
        return nil
      }, Unmanaged.passRetained(self).toOpaque())
    guard code == 0 else {
      Unmanaged.passUnretained(self).release()
      update { $0 = State() }
      throw Failure(code: code)
    }
    pthread_detach(thread)
  }

  /// Returns when the thread has ended, or after so many milliseconds: one that the host has frozen never ends. [main]
  func stop(within limit: Int64) {
    update { $0.isRunning = false }
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    wait(limit) { $0.hasEnded }
  }

  /// Waits for a run that begins after this call. Any thread.
  ///
  /// - Returns: false if it has not ended after so many milliseconds.
  func runNow(within limit: Int64) -> Bool {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    let target = state.begun + 1
    state.wanted = max(state.wanted, target)
    pthread_cond_broadcast(changed)
    wait(limit) { $0.ended >= target || !$0.isRunning }
    return state.ended >= target
  }

  private func run() {
    while true {
      pthread_mutex_lock(mutex)
      state.begun += 1
      let work = self.work
      pthread_mutex_unlock(mutex)
      let pause = work()
      pthread_mutex_lock(mutex)
      state.ended = state.begun
      pthread_cond_broadcast(changed)
      wait(pause) { !$0.isRunning || $0.wanted > $0.begun }
      let goesOn = state.isRunning
      pthread_mutex_unlock(mutex)
      if !goesOn { return update { $0.hasEnded = true } }
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

  private func update(_ body: (inout State) -> Void) {
    pthread_mutex_lock(mutex)
    body(&state)
    pthread_cond_broadcast(changed)
    pthread_mutex_unlock(mutex)
  }
}

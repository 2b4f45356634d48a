import Glibc
import PluginAPI
import SQL

// Unsafe memory: the mutex and the condition live from init to deinit; a worker's thread retains this object, so it
// lives as long as they run. `state` is read and written only with the mutex held.

/// The threads that run the jobs, of this plugin's own.
final class JobWorkers: @unchecked Sendable {
  /// How often jobs of other processes, and of processes that died, are looked for.
  private static let pollMilliseconds = 250
  private static let stopMilliseconds = 5000
  private static let purgeInterval: Int64 = 60_000
  private static let sweepInterval: Int64 = 3_600_000

  private struct State {
    var isStopping = false
    var wakeUps = 0
    var running = 0
    var purgedAt: Int64 = 0
    var sweptAt: Int64 = 0
    var isDatabaseAway = false
  }

  private let runner: JobRunner
  private let threads: Int
  private let idempotencyWindow: Int64
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var state = State()

  /// - Parameters:
  ///   - threads: 0: jobs wait for another process.
  ///   - idempotencyWindow: In milliseconds; older answers are forgotten.
  init(_ runner: JobRunner, threads: Int, idempotencyWindow: Int64) {
    self.runner = runner
    self.threads = threads
    self.idempotencyWindow = idempotencyWindow
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

  /// Starts the threads. [main]
  /// - Throws: `ThreadError`; those that were started are stopped then.
  func start() throws {
    for _ in 0..<threads {
      withLock { $0.running += 1 }
      let code = startThread()
      guard code == 0 else {
        withLock { $0.running -= 1 }
        stop()
        throw ThreadError(code: code)
      }
    }
  }

  private func startThread() -> Int32 {
    var thread = pthread_t()
    let code = pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        Unmanaged<JobWorkers>.fromOpaque(argument).takeRetainedValue().run()
        return nil
      }, Unmanaged.passRetained(self).toOpaque())
    if code == 0 {
      pthread_detach(thread)
    } else {
      Unmanaged.passUnretained(self).release()
    }
    return code
  }

  /// Says that there is a job. Any thread.
  func wake() {
    withLock { $0.wakeUps += 1 }
  }

  /// Ends the threads; jobs under way are given back. Returns when they have ended, or after some seconds: a thread
  /// that the host has frozen never ends, and its job's lease runs out. [main]
  func stop() {
    withLock { $0.isStopping = true }
    wait(milliseconds: Self.stopMilliseconds) { $0.running == 0 }
  }

  private var isStopping: Bool { withLock { $0.isStopping } }

  private func run() {
    // Of this thread alone, on Linux: requests go before images.
    setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 10)
    while !isStopping {
      let seen = withLock { $0.wakeUps }
      do {
        try purgeIfDue()
        let hasRun = try runner.runNext(isStopping: { self.isStopping })
        sayIfChanged(isDatabaseAway: false) { "the database is back; jobs go on" }
        if hasRun { continue }
      } catch let error as DatabaseError where error.isTemporary {
        sayIfChanged(isDatabaseAway: true) { "the database is busy or away; jobs wait: \(error)" }
      } catch {
        runner.log(.error, "a generation could not be run: \(error)")
      }
      wait(milliseconds: Self.pollMilliseconds) { $0.isStopping || $0.wakeUps != seen }
    }
    withLock { $0.running -= 1 }
  }

  /// Logs once, and not at each look of each thread.
  private func sayIfChanged(isDatabaseAway: Bool, _ message: () -> String) {
    let isNews = withLock { state in
      defer { state.isDatabaseAway = isDatabaseAway }
      return state.isDatabaseAway != isDatabaseAway
    }
    if isNews { runner.log(.warning, message()) }
  }

  /// Forgets old answers, and the files that runs and deletions left behind when they died, one thread at a time.
  private func purgeIfDue() throws {
    let now = runner.store.now
    let isDue = withLock { state in
      guard now - state.purgedAt >= Self.purgeInterval else { return false }
      state.purgedAt = now
      return true
    }
    guard isDue else { return }
    _ = try runner.store.write { try IdempotencyKeys(session: $0).purge(window: idempotencyWindow) }
    let isSweepDue = withLock { state in
      guard now - state.sweptAt >= Self.sweepInterval else { return false }
      state.sweptAt = now
      return true
    }
    guard isSweepDue else { return }
    do {
      let removed = try runner.sweep()
      if removed > 0 { runner.log(.info, "\(removed) images of nobody's were removed") }
    } catch let error as MediaError {
      runner.log(.warning, "the images cannot be swept: \(error)")
    }
  }

  /// Waits until `condition` holds, or the time is up.
  private func wait(milliseconds: Int, until condition: (State) -> Bool) {
    var deadline = timespec()
    clock_gettime(CLOCK_MONOTONIC, &deadline)
    let nanoseconds = deadline.tv_nsec + milliseconds % 1000 * 1_000_000
    deadline.tv_sec += milliseconds / 1000 + nanoseconds / 1_000_000_000
    deadline.tv_nsec = nanoseconds % 1_000_000_000
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while !condition(state) {
      if pthread_cond_timedwait(changed, mutex, &deadline) == ETIMEDOUT { return }
    }
  }

  private func withLock<R>(_ body: (inout State) -> R) -> R {
    pthread_mutex_lock(mutex)
    defer {
      pthread_cond_broadcast(changed)
      pthread_mutex_unlock(mutex)
    }
    return body(&state)
  }
}

struct ThreadError: Error, CustomStringConvertible {
  let code: Int32
  var description: String {
    "no thread for generations: \(strerror(code).map { String(cString: $0) } ?? "\(code)")"
  }
}

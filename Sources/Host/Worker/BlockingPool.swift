import Glibc
import LinuxShims

/// Threads that may block, for handlers of databases and disks. A thread is made when all others are busy, up to a limit.
final class BlockingPool: @unchecked Sendable {
  typealias Job = @Sendable (FaultFrame) -> Void

  private let lock: UnsafeMutablePointer<pthread_mutex_t>
  private let wakeup: UnsafeMutablePointer<pthread_cond_t>
  // Guarded by `lock`.
  private var queue: [Job] = []
  private var head = 0
  private var idle = 0
  private var threads = 0
  private var isEnding = false

  private let limit: Int
  private let frames: (Int) -> FaultFrame
  static let maxQueued = 1024

  /// - Parameters:
  ///   - limit: number of threads, at most.
  ///   - frames: the fault frame of each thread, by its number.
  init(limit: Int, frames: @escaping (Int) -> FaultFrame) {
    self.limit = limit
    self.frames = frames
    lock = .allocate(capacity: 1)
    wakeup = .allocate(capacity: 1)
    pthread_mutex_init(lock, nil)
    pthread_cond_init(wakeup, nil)
  }

  /// False if too many wait already. Any thread.
  func submit(_ job: @escaping (FaultFrame) -> Void) -> Bool {
    let box = UncheckedJob(run: job)
    return enqueue { box.run($0) }
  }

  /// As `submit`, but is never refused: what a stream holds must be let go.
  func submitRelease(of body: StreamBody) {
    _ = enqueue(isBounded: false) { _ in body.release() }
  }

  private struct UncheckedJob: @unchecked Sendable { let run: (FaultFrame) -> Void }

  private func enqueue(isBounded: Bool = true, _ job: @escaping Job) -> Bool {
    pthread_mutex_lock(lock)
    defer { pthread_mutex_unlock(lock) }
    guard !isEnding, !isBounded || queue.count - head < BlockingPool.maxQueued else { return false }
    queue.append(job)
    if idle > 0 {
      pthread_cond_signal(wakeup)
    } else if threads < limit {
      let number = threads
      if Thread.start(named: "pool \(number)", { self.work(frame: self.frames(number)) }) { threads += 1 }
    }
    return true
  }

  private func work(frame: FaultFrame) {
    pthread_mutex_lock(lock)
    while true {
      while head == queue.count && !isEnding {
        idle += 1
        pthread_cond_wait(wakeup, lock)
        idle -= 1
      }
      guard head < queue.count else { break }
      let job = queue[head]
      head += 1
      if head == queue.count {
        queue.removeAll(keepingCapacity: true)
        head = 0
      }
      pthread_mutex_unlock(lock)
      job(frame)
      pthread_mutex_lock(lock)
    }
    threads -= 1
    pthread_cond_broadcast(wakeup)
    pthread_mutex_unlock(lock)
  }

  /// Runs what is queued, then ends the threads. Waits for them, until `deadline` (monotonic nanoseconds).
  func end(by deadline: UInt64) {
    pthread_mutex_lock(lock)
    isEnding = true
    pthread_cond_broadcast(wakeup)
    while threads > 0, Clock.monotonic() < deadline {
      var until = timespec()
      clock_gettime(CLOCK_REALTIME, &until)
      until.tv_nsec += 50_000_000
      if until.tv_nsec >= 1_000_000_000 {
        until.tv_nsec -= 1_000_000_000
        until.tv_sec += 1
      }
      pthread_cond_timedwait(wakeup, lock, &until)
    }
    pthread_mutex_unlock(lock)
  }
}

import Glibc
import LinuxShims
import Synchronization

/// Threads that may block, for handlers of databases and disks. A thread is made when all others are busy, up to a limit.
final class BlockingPool: @unchecked Sendable {
  /// What a thread runs, and for which connection; nil for what no client waits for.
  struct Job {
    let connection: Connection?
    let run: (FaultFrame) -> Void
  }

  /// One thread's place. Memory that is never moved or freed, so that the watchdog can look at it without a lock.
  struct Slot: ~Copyable {
    /// `State`.
    let state = Atomic<UInt32>(State.idle)
    let frame: FaultFrame
    /// Of the job in hand; retained by the job.
    var connection: Unmanaged<Connection>?

    init(frame: FaultFrame) { self.frame = frame }

    enum State {
      static let idle: UInt32 = 0
      static let busy: UInt32 = 1
      /// Its thread will not come back from a plugin; some loop has to see to that.
      static let lost: UInt32 = 2
      static let settled: UInt32 = 3
    }
  }

  private let lock: UnsafeMutablePointer<pthread_mutex_t>
  private let wakeup: UnsafeMutablePointer<pthread_cond_t>
  // Guarded by `lock`.
  private var queue: [Job?] = []
  private var head = 0
  private var idle = 0
  private var threads = 0
  private var isEnding = false

  private let limit: Int
  private let slots: UnsafeMutablePointer<Slot>
  private let slotCount = Atomic<Int>(0)
  private let slotLimit: Int
  private let takeFrame: () -> FaultFrame
  private let started: () -> Void
  private let busy = Atomic<Int>(0)
  static let maxQueued = 1024

  /// - Parameters:
  ///   - limit: number of threads that can work, at most.
  ///   - takeFrame: gives a fresh fault frame.
  ///   - started: called when a thread takes up a job.
  init(limit: Int, takeFrame: @escaping () -> FaultFrame, started: @escaping () -> Void) {
    self.limit = limit
    self.takeFrame = takeFrame
    self.started = started
    // As many again may be lost to frozen threads before the worker is replaced.
    slotLimit = limit * 2
    slots = .allocate(capacity: slotLimit)
    lock = .allocate(capacity: 1)
    wakeup = .allocate(capacity: 1)
    pthread_mutex_init(lock, nil)
    pthread_cond_init(wakeup, nil)
  }

  var isQuiet: Bool { busy.load(ordering: .sequentiallyConsistent) == 0 }

  /// False if too many wait already. Any thread.
  func submit(for connection: Connection?, _ run: @escaping (FaultFrame) -> Void) -> Bool {
    enqueue(Job(connection: connection, run: run), isBounded: true)
  }

  /// As `submit`, but is never refused: what a stream holds must be let go.
  func submitRelease(of body: StreamBody) {
    _ = enqueue(Job(connection: nil) { body.release(on: $0) }, isBounded: false)
  }

  private func enqueue(_ job: Job, isBounded: Bool) -> Bool {
    pthread_mutex_lock(lock)
    defer { pthread_mutex_unlock(lock) }
    guard !isEnding, !isBounded || queue.count - head < BlockingPool.maxQueued else { return false }
    queue.append(job)
    // An idle thread that was woken counts as idle until it runs: what it was woken for waits in the queue still.
    if queue.count - head > idle { startThread() }
    guard threads > 0 else {
      queue.removeLast()
      return false
    }
    if idle > 0 { pthread_cond_signal(wakeup) }
    return true
  }

  /// Called with `lock` held.
  private func startThread() {
    let number = slotCount.load(ordering: .relaxed)
    guard threads < limit, number < slotLimit else { return }
    let slot = slots + number
    slot.initialize(to: Slot(frame: takeFrame()))
    guard Thread.start(named: "pool \(number)", { self.work(slot) }) else { return }
    threads += 1
    slotCount.store(number + 1, ordering: .releasing)
  }

  private func work(_ slot: UnsafeMutablePointer<Slot>) {
    guard_adopt_thread(slot.pointee.frame.guarded)
    pthread_mutex_lock(lock)
    while true {
      while head == queue.count && !isEnding {
        idle += 1
        pthread_cond_wait(wakeup, lock)
        idle -= 1
      }
      guard head < queue.count else { break }
      let job = takeFirst()
      pthread_mutex_unlock(lock)
      if let job { run(job, on: slot) }
      pthread_mutex_lock(lock)
    }
    threads -= 1
    pthread_cond_broadcast(wakeup)
    pthread_mutex_unlock(lock)
  }

  /// Called with `lock` held. What is taken is let go at once, and its place before long.
  private func takeFirst() -> Job? {
    let job = queue[head]
    queue[head] = nil
    head += 1
    if head == queue.count {
      queue.removeAll(keepingCapacity: true)
      head = 0
    } else if head > BlockingPool.maxQueued {
      queue.removeFirst(head)
      head = 0
    }
    return job
  }

  private func run(_ job: Job, on slot: UnsafeMutablePointer<Slot>) {
    slot.pointee.connection = job.connection.map { Unmanaged.passUnretained($0) }
    slot.pointee.state.store(Slot.State.busy, ordering: .releasing)
    busy.wrappingAdd(1, ordering: .sequentiallyConsistent)
    started()
    job.run(slot.pointee.frame)
    busy.wrappingSubtract(1, ordering: .relaxed)
    slot.pointee.state.store(Slot.State.idle, ordering: .releasing)
  }

  // MARK: Lost threads

  /// Watchdog: marks each thread whose frame `isLost`, and wakes the loop that has to see to it. Allocates nothing.
  func lookAtFrames(_ isLost: (FaultFrame) -> Bool, wake: (EventLoop?) -> Void) {
    for number in 0..<slotCount.load(ordering: .acquiring) {
      let slot = slots + number
      guard slot.pointee.state.load(ordering: .acquiring) == Slot.State.busy, isLost(slot.pointee.frame)
      else {
        continue
      }
      slot.pointee.state.store(Slot.State.lost, ordering: .releasing)
      wake(slot.pointee.connection?.takeUnretainedValue().loop)
    }
  }

  /// Loop: what its lost threads leave behind; another thread may be started in the place of each.
  func settleLost(of loop: EventLoop, isFirst: Bool, _ body: (Connection?, FaultFrame) -> Void) {
    for number in 0..<slotCount.load(ordering: .acquiring) {
      let slot = slots + number
      guard slot.pointee.state.load(ordering: .acquiring) == Slot.State.lost else { continue }
      let connection = slot.pointee.connection?.takeUnretainedValue()
      guard connection.map({ $0.loop === loop }) ?? isFirst else { continue }
      slot.pointee.state.store(Slot.State.settled, ordering: .releasing)
      busy.wrappingSubtract(1, ordering: .relaxed)
      pthread_mutex_lock(lock)
      threads -= 1
      if head < queue.count { startThread() }
      pthread_mutex_unlock(lock)
      body(connection, slot.pointee.frame)
    }
  }

  // MARK: Ending

  /// Runs what is queued, then ends the threads. Waits for them, until `deadline` (monotonic nanoseconds).
  ///
  /// - Returns: false if some are still at work.
  func end(by deadline: UInt64) -> Bool {
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
    let areGone = threads == 0
    pthread_mutex_unlock(lock)
    return areGone
  }
}

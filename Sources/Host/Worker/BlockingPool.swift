import Glibc
import LinuxShims
import Synchronization

/// Threads that may block, for handlers of databases and disks. A thread is made when all others are busy, up to a limit.
///
/// No plugin gets them all: past its share its jobs wait for one another, and those of others go ahead.
final class BlockingPool: @unchecked Sendable {
  /// What a thread runs.
  struct Job {
    /// Nil for what no client waits for.
    let connection: Connection?
    /// Whose share it is of: the plugin's index. Nil for what is of nobody's.
    let plugin: Int?
    let run: (FaultFrame) -> Void
  }

  /// Jobs in their order. What is taken is let go at once, and its place before long.
  private struct Queue {
    private var jobs: [Job?] = []
    private var head = 0

    var count: Int { jobs.count - head }

    mutating func append(_ job: Job) { jobs.append(job) }

    mutating func removeLast() { jobs.removeLast() }

    mutating func takeFirst() -> Job? {
      guard head < jobs.count else { return nil }
      let job = jobs[head]
      jobs[head] = nil
      head += 1
      if head == jobs.count {
        jobs.removeAll(keepingCapacity: true)
        head = 0
      } else if head > BlockingPool.maxQueued {
        jobs.removeFirst(head)
        head = 0
      }
      return job
    }
  }

  private struct Share {
    /// Jobs that are at work, or in the queue of all.
    var admitted = 0
    /// Those that wait until one of these is done.
    var waiting = Queue()
  }

  /// One thread's place. Memory that is never moved or freed, so that the watchdog can look at it without a lock.
  struct Slot: ~Copyable {
    /// `State`.
    let state = Atomic<UInt32>(State.idle)
    let frame: FaultFrame
    /// Of the job in hand; retained by the job.
    var connection: Unmanaged<Connection>?
    /// Of the job in hand.
    var plugin: Int?

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
  private var queue = Queue()
  /// By the plugin's index.
  private var shares: [Share] = []
  private var idle = 0
  private var threads = 0
  private var isEnding = false

  private let limit: Int
  /// How many jobs of one plugin are at work at a time, at most.
  let share: Int
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
    share = limit - limit / 4
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
  func submit(for connection: Connection?, of plugin: Int?, _ run: @escaping (FaultFrame) -> Void) -> Bool {
    enqueue(Job(connection: connection, plugin: plugin, run: run), isBounded: true)
  }

  /// As `submit`, but is never refused: what a stream holds must be let go.
  func submitRelease(of body: StreamBody) {
    _ = enqueue(Job(connection: nil, plugin: nil) { body.release(on: $0) }, isBounded: false)
  }

  private func enqueue(_ job: Job, isBounded: Bool) -> Bool {
    pthread_mutex_lock(lock)
    defer { pthread_mutex_unlock(lock) }
    guard !isEnding else { return false }
    if let plugin = job.plugin {
      while shares.count <= plugin { shares.append(Share()) }
      guard shares[plugin].admitted < share else {
        guard !isBounded || shares[plugin].waiting.count < BlockingPool.maxQueued else { return false }
        shares[plugin].waiting.append(job)
        return true
      }
    }
    guard !isBounded || queue.count < BlockingPool.maxQueued else { return false }
    queue.append(job)
    // An idle thread that was woken counts as idle until it runs: what it was woken for waits in the queue still.
    if queue.count > idle { startThread() }
    guard threads > 0 else {
      queue.removeLast()
      return false
    }
    if let plugin = job.plugin { shares[plugin].admitted += 1 }
    if idle > 0 { pthread_cond_signal(wakeup) }
    return true
  }

  /// A job of this plugin is done, or lost: one of its that waits takes the place. Called with `lock` held.
  private func handBack(_ plugin: Int) {
    guard let next = shares[plugin].waiting.takeFirst() else {
      shares[plugin].admitted -= 1
      return
    }
    queue.append(next)
    if idle > 0 { pthread_cond_signal(wakeup) }
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
      while queue.count == 0 && !isEnding {
        idle += 1
        pthread_cond_wait(wakeup, lock)
        idle -= 1
      }
      guard queue.count > 0 else { break }
      var first = queue.takeFirst()
      let plugin = first?.plugin
      pthread_mutex_unlock(lock)
      // Let go without the lock, too: what it held may come back here.
      if let job = first.take() { run(job, on: slot) }
      pthread_mutex_lock(lock)
      if let plugin { handBack(plugin) }
    }
    threads -= 1
    pthread_cond_broadcast(wakeup)
    pthread_mutex_unlock(lock)
  }

  private func run(_ job: Job, on slot: UnsafeMutablePointer<Slot>) {
    slot.pointee.connection = job.connection.map { Unmanaged.passUnretained($0) }
    slot.pointee.plugin = job.plugin
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
  func takeLost(of loop: EventLoop, isFirst: Bool, _ body: (Connection?, FaultFrame) -> Void) {
    for number in 0..<slotCount.load(ordering: .acquiring) {
      let slot = slots + number
      guard slot.pointee.state.load(ordering: .acquiring) == Slot.State.lost else { continue }
      let connection = slot.pointee.connection?.takeUnretainedValue()
      guard connection.map({ $0.loop === loop }) ?? isFirst else { continue }
      slot.pointee.state.store(Slot.State.settled, ordering: .releasing)
      busy.wrappingSubtract(1, ordering: .relaxed)
      pthread_mutex_lock(lock)
      threads -= 1
      if let plugin = slot.pointee.plugin { handBack(plugin) }
      if queue.count > 0 { startThread() }
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

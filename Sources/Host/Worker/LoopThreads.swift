import Glibc
import LinuxShims
import Synchronization

/// The threads that have loops, and those that wait to take one over: from a thread that will not come back from a plugin, or
/// from one that is slow to.
///
/// A thread that was slow goes on with its request alone, gives that back to the loop, and waits for another loop. The
/// watchdog hands loops over; between its decision and the hand-over nothing is allocated, and no lock is taken that a
/// frozen thread could hold.
final class LoopThreads: @unchecked Sendable {
  private unowned(unsafe) let worker: Worker
  private let threads: UnsafeMutablePointer<LoopThread>
  private let count = Atomic<Int>(0)
  private let detached = Atomic<Int>(0)
  private let isReplenishing = Atomic<Bool>(false)
  /// Threads that wait at any time.
  private static let ready = 3
  /// Threads in all. Together with those of the pool they have a worker's frames.
  static let limit = 62

  init(worker: Worker) {
    self.worker = worker
    threads = .allocate(capacity: LoopThreads.limit)
  }

  /// Makes the threads that wait. Main thread, before any loop runs.
  func start() throws(SystemError) {
    for _ in 0..<LoopThreads.ready {
      guard add() else { throw SystemError("pthread_create", EAGAIN) }
    }
  }

  /// Starts a loop on a thread of its own. Main thread.
  func start(_ loop: EventLoop) throws(SystemError) {
    guard add(), let thread = takeWaiting() else { throw SystemError("pthread_create", EAGAIN) }
    thread.pointee.task = .start
    give(loop, to: thread)
  }

  /// No call is under way on a thread that has lost its loop.
  var isQuiet: Bool { detached.load(ordering: .sequentiallyConsistent) == 0 }

  /// - Parameter deadline: monotonic nanoseconds.
  /// - Returns: false if a call is under way still.
  func waitUntilQuiet(by deadline: UInt64) -> Bool {
    while !isQuiet, Clock.monotonic() < deadline { usleep(1000) }
    return isQuiet
  }

  /// False if there is no room for another, or the system has no thread left.
  private func add() -> Bool {
    let index = count.load(ordering: .relaxed)
    guard index < LoopThreads.limit else { return false }
    let thread = threads + index
    thread.initialize(to: LoopThread(frame: worker.takeFrame()))
    sem_init(&thread.pointee.wakeup, 0, 0)
    guard Thread.start(named: "standby \(index)", { self.live(thread) }) else { return false }
    count.store(index + 1, ordering: .releasing)
    return true
  }

  /// Makes a thread in the place of one that has taken over. Any thread that may allocate may call it; one does at a time.
  func replenish() {
    guard !isReplenishing.exchange(true, ordering: .acquiring) else { return }
    if waitingCount < LoopThreads.ready, !add() {
      Log.shared.write(.warning, "no thread could be put by for the next fault or slow call")
    }
    isReplenishing.store(false, ordering: .releasing)
  }

  private var waitingCount: Int {
    (0..<count.load(ordering: .acquiring)).count {
      threads[$0].state.load(ordering: .acquiring) == LoopThread.State.waiting
    }
  }

  // MARK: Hand-over; the watchdog's

  /// A thread can be had, and there is one more for the next that freezes.
  var canSpare: Bool { waitingCount > 1 }

  /// The loop's thread will not come back: another goes on where it froze. False if none is left.
  func takeOver(_ loop: EventLoop) -> Bool { handOver(loop, to: .recover, leaving: LoopThread.State.frozen) }

  /// The loop's thread is slow to come back: another goes on with the loop, without the request in hand. The frame is
  /// detached already.
  func detach(_ loop: EventLoop) -> Bool { handOver(loop, to: .goOn, leaving: LoopThread.State.detached) }

  private func handOver(_ loop: EventLoop, to task: LoopThread.Task, leaving state: UInt32) -> Bool {
    guard let thread = takeWaiting(), let old = loop.thread else { return false }
    thread.pointee.task = task
    thread.pointee.before = old.pointee.frame
    if state == LoopThread.State.detached {
      old.pointee.connection = loop.inHand.map { Unmanaged.passRetained($0) }
      detached.wrappingAdd(1, ordering: .sequentiallyConsistent)
    }
    // From here on the loop is its new thread's.
    give(loop, to: thread)
    old.pointee.state.store(state, ordering: .releasing)
    return true
  }

  private func takeWaiting() -> UnsafeMutablePointer<LoopThread>? {
    for index in 0..<count.load(ordering: .acquiring) {
      let thread = threads + index
      let (isTaken, _) = thread.pointee.state.compareExchange(
        expected: LoopThread.State.waiting, desired: LoopThread.State.serving,
        ordering: .acquiringAndReleasing)
      if isTaken { return thread }
    }
    return nil
  }

  private func give(_ loop: EventLoop, to thread: UnsafeMutablePointer<LoopThread>) {
    thread.pointee.loop = Unmanaged.passUnretained(loop)
    loop.thread = thread
    loop.noteTurn(at: Clock.monotonic())
    sem_post(&thread.pointee.wakeup)
  }

  // MARK: The threads

  private func live(_ thread: UnsafeMutablePointer<LoopThread>) {
    guard_adopt_thread(thread.pointee.frame.guarded)
    while true {
      while sem_wait(&thread.pointee.wakeup) != 0 {}
      guard let loop = thread.pointee.loop?.takeUnretainedValue() else { return }
      let hasEnded =
        switch thread.pointee.task {
        case .start: loop.run(on: thread.pointee.frame)
        case .recover: loop.takeOver(on: thread.pointee.frame, from: thread.pointee.before)
        case .goOn: loop.takeOver(on: thread.pointee.frame, from: nil)
        }
      guard !hasEnded else { return thread.pointee.state.store(LoopThread.State.ended, ordering: .releasing) }
      giveBack(thread)
    }
  }

  /// The slow call has come to its end, and its request as far as it goes without the loop.
  private func giveBack(_ thread: UnsafeMutablePointer<LoopThread>) {
    // The watchdog says so a moment after it has detached the frame.
    while thread.pointee.state.load(ordering: .acquiring) != LoopThread.State.detached { usleep(50) }
    let connection = thread.pointee.connection?.takeRetainedValue()
    thread.pointee.connection = nil
    thread.pointee.frame.guarded.pointee.has_lost_loop = 0
    detached.wrappingSubtract(1, ordering: .sequentiallyConsistent)
    shim_name_thread("standby")
    // It may be given a loop from here on.
    thread.pointee.state.store(LoopThread.State.waiting, ordering: .releasing)
    if let connection { connection.loop.post(.handled(connection)) }
  }

  // MARK: Lost threads

  /// Watchdog: marks each detached thread whose frame `isLost`, and wakes the loop that has to see to it. Allocates nothing.
  func lookAtFrames(_ isLost: (FaultFrame) -> Bool, wake: (EventLoop?) -> Void) {
    for index in 0..<count.load(ordering: .acquiring) {
      let thread = threads + index
      guard thread.pointee.state.load(ordering: .acquiring) == LoopThread.State.detached,
        isLost(thread.pointee.frame)
      else { continue }
      thread.pointee.state.store(LoopThread.State.lost, ordering: .releasing)
      wake(thread.pointee.connection?.takeUnretainedValue().loop)
    }
  }

  /// Loop: what its lost threads leave behind.
  func takeLost(of loop: EventLoop, isFirst: Bool, _ body: (Connection?, FaultFrame) -> Void) {
    for index in 0..<count.load(ordering: .acquiring) {
      let thread = threads + index
      guard thread.pointee.state.load(ordering: .acquiring) == LoopThread.State.lost else { continue }
      let held = thread.pointee.connection
      guard held.map({ $0.takeUnretainedValue().loop === loop }) ?? isFirst else { continue }
      thread.pointee.state.store(LoopThread.State.frozen, ordering: .releasing)
      thread.pointee.connection = nil
      detached.wrappingSubtract(1, ordering: .sequentiallyConsistent)
      body(held?.takeRetainedValue(), thread.pointee.frame)
    }
  }
}

/// One thread's place. Memory that is never moved or freed, so that the watchdog can look at it without a lock.
struct LoopThread: ~Copyable {
  /// `State`.
  let state = Atomic<UInt32>(State.waiting)
  let frame: FaultFrame
  var wakeup = sem_t()
  // Written by the watchdog before it posts `wakeup`.
  var loop: Unmanaged<EventLoop>?
  var task = Task.start
  /// The frame of the thread that had the loop before.
  var before: FaultFrame
  /// Whose request a detached thread has in its hands; retained.
  var connection: Unmanaged<Connection>?

  init(frame: FaultFrame) {
    self.frame = frame
    before = frame
  }

  enum State {
    static let waiting: UInt32 = 0
    /// It has a loop.
    static let serving: UInt32 = 1
    /// It was slow in a plugin, and goes on with its request alone.
    static let detached: UInt32 = 2
    /// It will not come back from there, which its request's loop has not been told yet.
    static let lost: UInt32 = 3
    /// It will not come back.
    static let frozen: UInt32 = 4
    static let ended: UInt32 = 5
  }

  enum Task {
    case start
    /// The request in hand is answered without the plugin that the thread before froze in.
    case recover
    /// The thread before goes on with the request in hand.
    case goOn
  }
}

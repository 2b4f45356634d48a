import Glibc
import LinuxShims
import Synchronization

/// Watches the frames: takes a loop from a thread that has crashed, hangs, or is slow in a plugin, and gives it to another.
///
/// A thread of its own. Between the notice and the hand-over it allocates nothing and takes no lock that a frozen thread
/// could hold: the threads that take over are made in advance (`LoopThreads`). Should a thread that took over not get on,
/// because the frozen one holds malloc's lock, the process ends itself, and the supervisor starts another without the culprit.
final class Watchdog: @unchecked Sendable {
  private unowned(unsafe) let worker: Worker
  private let notice: FileDescriptor
  private let background: FaultFrame
  /// How often frames are looked at while any loop or pool thread is at work.
  private static let period: Int32 = 20
  /// A loop that took so long without a plugin on its stack is stuck for good.
  private static let patience: UInt64 = 10_000_000_000

  private static let stopped: UInt64 = 1_000_000_000
  private var sleptQuietly = true
  /// Milliseconds without a request, after which the worker counts as idle.
  private static let idleAfter: Int32 = 1000
  private var hasReleasedCode = false

  /// Loops say so when they wake while it sleeps.
  let isAsleep = Atomic<Bool>(false)

  /// - Parameter background: the frame that was given to `guard_prepare`.
  init(worker: Worker, background: FaultFrame) throws(SystemError) {
    self.worker = worker
    notice = FileDescriptor(
      raw: try checked("eventfd") { eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK)) })
    self.background = background
  }

  /// Starts the threads; faults are contained from here on. Main thread, once the plugins are loaded.
  func start() throws(SystemError) {
    guard_contain(notice.raw)
    guard Thread.start(named: "watchdog", { self.run() }) else { throw SystemError("pthread_create", EAGAIN) }
  }

  /// Something has begun that may have to be watched. Any thread.
  @inline(__always)
  func poke() {
    if isAsleep.load(ordering: .relaxed) { wake() }
  }

  private func wake() {
    var one: UInt64 = 1
    if write(notice.raw, &one, 8) < 0, errno != EAGAIN, errno != EINTR {
      giveUp("the watchdog cannot be woken")
    }
  }

  // MARK: The thread

  private func run() {
    var lookedAt = Clock.monotonic()
    while true {
      sleep()
      let now = Clock.monotonic()
      // The whole process may have been stopped: then nobody is late who was stopped with us.
      let wasStopped = !sleptQuietly && now &- lookedAt > Watchdog.stopped
      lookedAt = now
      look(at: now, isLate: !wasStopped && !worker.isDebugging)
    }
  }

  /// Until a handler or a loop gives notice; or for a short while if anything is under way.
  private func sleep() {
    isAsleep.store(true, ordering: .sequentiallyConsistent)
    let isQuiet = worker.isQuiet
    var descriptor = pollfd(fd: notice.raw, events: Int16(POLLIN), revents: 0)
    if !isQuiet { isAsleep.store(false, ordering: .relaxed) }
    let patience = !isQuiet ? Watchdog.period : hasReleasedCode ? -1 : Watchdog.idleAfter
    if poll(&descriptor, 1, patience) == 0, isQuiet {
      // Nobody waits who would wait for what the start needed, and serving does not.
      shim_release_code()
      hasReleasedCode = true
    }
    if descriptor.revents & Int16(POLLNVAL) != 0 { giveUp("the watchdog cannot be woken") }
    sleptQuietly = isQuiet
    isAsleep.store(false, ordering: .relaxed)
    // Not to wait here, should somebody have cleared O_NONBLOCK.
    guard descriptor.revents & Int16(POLLIN) != 0 else { return }
    var count: UInt64 = 0
    _ = read(notice.raw, &count, 8)
  }

  /// - Parameter isLate: false if only crashes count, and no lateness.
  private func look(at now: UInt64, isLate: Bool) {
    for loop in worker.loops {
      let since = loop.turnStartedAt
      guard let found = verdict(on: loop.frame, at: now, isLate) else {
        if isLate, since != 0, now > since, now - since > Watchdog.patience,
          guard_owner(loop.frame.guarded) == 0
        {
          giveUp("a loop is stuck")
        }
        continue
      }
      if !found {
        if isLate { lookAtSlowCall(of: loop, at: now) }
      } else if !worker.loopThreads.takeOver(loop) {
        giveUp("too many threads are frozen")
      }
    }
    let isLost = { (frame: FaultFrame) in self.verdict(on: frame, at: now, isLate) == true }
    let wake = { (loop: EventLoop?) in (loop ?? self.worker.loops[0]).noteLostHandler() }
    worker.pool.lookAtFrames(isLost, wake: wake)
    worker.loopThreads.lookAtFrames(isLost, wake: wake)
    lookAtBackground()
    lookAtEnd(at: now, isLate)
  }

  /// True if the frame's thread is lost: it has crashed, or hangs and the frame is now taken from it. Nil if no plugin
  /// is on its stack, false if one is, and is not late.
  private func verdict(on frame: FaultFrame, at now: UInt64, _ isLate: Bool) -> Bool? {
    let owner = guard_owner(frame.guarded)
    guard owner != 0 else { return nil }
    if owner & UInt32(GUARD_CRASHED) != 0 { return true }
    if owner & UInt32(GUARD_TAKEN) != 0 { return nil }
    let index = Int(owner & UInt32(GUARD_PLUGIN_MASK)) - 1
    guard index >= 0, index < worker.plugins.count else { return false }
    guard isLate else { return false }
    let since = guard_since(frame.guarded)
    let limit = worker.plugins[index].timeout(phase: frame.guarded.pointee.phase)
    guard now > since, now &- since > limit else { return false }
    guard guard_take(frame.guarded, owner) else { return false }
    _ = guard_ask(frame.guarded, getpid())
    return true
  }

  /// A plugin is on the loop's stack, and not late. If it is slow, its thread loses the loop, lest others wait for it.
  private func lookAtSlowCall(of loop: EventLoop, at now: UInt64) {
    let frame = loop.frame.guarded
    let owner = guard_owner(frame)
    let since = guard_since(frame)
    guard owner & ~UInt32(GUARD_PLUGIN_MASK) == 0, now > since, now &- since > Plugin.loopSlice,
      worker.loopThreads.canSpare, guard_detach(frame, owner)
    else { return }
    worker.plugins[Int(owner) - 1].keepOffLoops(since: now)
    _ = worker.loopThreads.detach(loop)
  }

  /// A thread that a plugin made has faulted: nobody waits for it, but the worker is tainted.
  private func lookAtBackground() {
    guard let occupant = background.occupant, occupant.hasCrashed, !occupant.isTaken else { return }
    guard guard_take(background.guarded, occupant.owner) else { return }
    // On a thread of its own, as it allocates.
    _ = Thread.start(named: "fault") {
      self.worker.freeze(self.background, exchange: nil)
      guard_clear(self.background.guarded)
    }
  }

  /// The main thread stops the plugins, and one does not let it go on: the process ends all the same.
  private func lookAtEnd(at now: UInt64, _ isLate: Bool) {
    guard worker.endsByForce, worker.isStopping, verdict(on: worker.mainFrame, at: now, isLate) == true else {
      return
    }
    // On a thread of its own, as it allocates.
    _ = Thread.start(named: "fault") { self.worker.endWithoutStopping() }
    usleep(2_000_000)
    _exit(0)
  }

  /// This process cannot go on. The frames tell the supervisor why, and it tells when: a line with a time would have to be
  /// made here.
  private func giveUp(_ why: StaticString) -> Never {
    let line: [StaticString] =
      switch Log.shared.format {
      case .text: ["bulkhead: ", why, "; ending the worker\n"]
      case .json: ["{\"level\":\"error\",\"message\":\"bulkhead: ", why, "; ending the worker\"}\n"]
      }
    for text in line { _ = write(LogOutput.standardErrorDescriptor, text.utf8Start, text.utf8CodeUnitCount) }
    _exit(70)
  }
}

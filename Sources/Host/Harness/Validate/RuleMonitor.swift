import Glibc
import LinuxShims
import Synchronization

/// Watches the threads that call the plugin: a crash, or a call that does not come back, is what the check has found.
///
/// A thread of its own; it ends the process once it has reported.
final class RuleMonitor: @unchecked Sendable {
  private let notice: FileDescriptor
  private let memory: SharedMemory
  private let reporter: HarnessReporter
  private let frames = Mutex<[FaultFrame]>([])
  private let background: FaultFrame
  /// What each frame's thread is doing, for the message.
  private let doing = Mutex<[UInt: (text: String, owner: String?)]>([:])
  /// That is being checked.
  private let rule: String
  /// Rules that make conditions of their own: what goes wrong under them is theirs to tell.
  private static let selfReliant: Set<String> = ["settings-values", "start-fault"]
  private let limit = Atomic<UInt64>(RuleMonitor.usualLimit)

  /// Nanoseconds for one call of the plugin.
  static let usualLimit: UInt64 = 10_000_000_000

  init(_ reporter: HarnessReporter, rule: String) throws(SystemError) {
    self.reporter = reporter
    self.rule = rule
    memory = try SharedMemory.create()
    SharedMemory.current = memory
    notice = FileDescriptor(raw: try checked("eventfd") { eventfd(0, Int32(EFD_CLOEXEC)) })
    background = memory.frame(0, generation: 1)
    Backtrace.prepare()
    try checked("sigaction") { guard_prepare(background.guarded, memory.frames.first, memory.frames.count) }
    guard_contain(notice.raw)
    frames.withLock { $0.append(background) }
    guard Thread.start(named: "monitor", { self.run() }) else { throw SystemError("pthread_create", EAGAIN) }
  }

  /// A frame for the calling thread, which is watched from now on.
  func adopt() -> FaultFrame {
    let frame = frames.withLock { frames in
      let frame = memory.frame(frames.count, generation: 1)
      frames.append(frame)
      return frame
    }
    guard_adopt_thread(frame.guarded)
    return frame
  }

  /// Tells where a fault on a thread of the plugin's own lies.
  func watch(imageOf library: PluginLibrary) {
    var images = PluginImages(capacity: 1)
    images.add(library, plugin: 0)
  }

  func set(limit: UInt64) { self.limit.store(limit, ordering: .relaxed) }

  /// What the frame's thread is about to do, for the message; and the rule whose matter it is if that goes wrong.
  func note(_ text: String, owner: String?, on frame: FaultFrame) {
    doing.withLock { $0[UInt(bitPattern: frame.guarded)] = (text, owner) }
  }

  private func run() {
    while true {
      var descriptor = pollfd(fd: notice.raw, events: Int16(POLLIN), revents: 0)
      _ = poll(&descriptor, 1, 50)
      let now = Clock.monotonic()
      for frame in frames.withLock({ $0 }) {
        guard let occupant = frame.occupant else { continue }
        if occupant.hasCrashed { report(crashOf: frame) }
        // The background frame has no call that could be late.
        if frame.guarded != background.guarded, now > occupant.since,
          now - occupant.since > limit.load(ordering: .relaxed)
        {
          let seconds = limit.load(ordering: .relaxed) / 1_000_000_000
          fail("\(text(of: frame)): it did not come back within \(seconds) s", [], owner: owner(of: frame))
        }
      }
    }
  }

  private func text(of frame: FaultFrame) -> String {
    if frame.guarded == background.guarded { return "on a thread of the plugin's own" }
    return doing.withLock { $0[UInt(bitPattern: frame.guarded)]?.text } ?? "in a call"
  }

  private func owner(of frame: FaultFrame) -> String? {
    doing.withLock { $0[UInt(bitPattern: frame.guarded)]?.owner }
  }

  private func report(crashOf frame: FaultFrame) {
    let frozen = FrozenThread(frame, timeout: 0)
    let isAboutMemory = frame.guarded.pointee.signal == SIGSEGV || frame.guarded.pointee.signal == SIGBUS
    let view = isAboutMemory ? GuardedViews.describe(frame.guarded.pointee.address) : nil
    let message = view.map { "\($0.text) (\(frozen.message))" } ?? "it crashed: \(frozen.message)"
    fail(
      "\(text(of: frame)): \(message)", CaseFault.frames(Backtrace.symbolize(frozen.counters)),
      owner: view?.rule ?? owner(of: frame))
  }

  private func fail(_ message: String, _ details: [String], owner: String?) -> Never {
    if let owner, owner != rule, !RuleMonitor.selfReliant.contains(rule) {
      RuleRun.report(.elsewhere(rule: owner, message, details: details), reporter)
    } else {
      RuleRun.report(.broken(message, details: details), reporter)
    }
    _exit(0)
  }
}

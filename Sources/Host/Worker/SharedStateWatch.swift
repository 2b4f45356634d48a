import Glibc
import LinuxShims
import Synchronization

/// Looks after what plugins share with the host in the worker's process, and puts it right: the handlers of fault signals,
/// the listeners' flags, and the descriptors that loops wait with.
///
/// After each load, start and self-test it is known who did it. While the worker serves, a look comes once a second: then it
/// is not known, and for a while the worker looks before and after every call (`isVigilant`), so that the next time tells.
final class SharedStateWatch: @unchecked Sendable {
  private unowned(unsafe) let worker: Worker
  /// Until when a look follows each call of a plugin; monotonic, 0 for not at all.
  let vigilantUntil = Atomic<UInt64>(0)
  /// A descriptor that the worker cannot do without, and what it was at first.
  private struct Watched {
    var raw: Int32
    var device: dev_t
    var inode: ino_t
    /// It was found to be gone, and that was told.
    var isLost = false

    init?(_ raw: Int32) {
      var status = stat()
      guard fstat(raw, &status) == 0 else { return nil }
      self.raw = raw
      device = status.st_dev
      inode = status.st_ino
    }

    var isInPlace: Bool {
      var status = stat()
      return fstat(raw, &status) == 0 && status.st_dev == device && status.st_ino == inode
    }
  }

  private let descriptors = Mutex<[Watched]>([])

  /// A worker is vigilant for so many nanoseconds.
  static let vigilance: UInt64 = 300_000_000_000
  private static let period: UInt32 = 1_000_000

  init(worker: Worker) { self.worker = worker }

  // MARK: Looking

  /// What a plugin has spoilt, in words that complete "it …"; nil if all is well. What can be is put right. Any thread.
  func look() -> String? {
    let signal = guard_mend_handlers()
    if signal != 0 {
      return
        "changed the handler of \(FrozenThread.name(of: signal)), by which the host contains faults: "
        + "leave the handlers of fault signals alone"
    }
    if worker.listeners.count(where: { $0.mendFlags() }) > 0 {
      return "cleared O_NONBLOCK on the host's listening sockets: change only descriptors of its own"
    }
    let lost = descriptors.withLock { watched -> Int32? in
      var first: Int32?
      for index in watched.indices where !watched[index].isLost && !watched[index].isInPlace {
        watched[index].isLost = true
        first = first ?? watched[index].raw
      }
      return first
    }
    if let lost { worker.report("unfit has lost its descriptor \(lost) to a plugin") }
    return lost.map {
      "closed or replaced descriptor \($0), which is the host's: close only descriptors of its own"
    }
  }

  /// Notes descriptors that are looked after from now on.
  func remember(_ raw: [Int32]) { descriptors.withLock { $0 += raw.compactMap { Watched($0) } } }

  // MARK: Serving

  /// A look follows each call until then.
  @inline(__always)
  var isVigilant: Bool { vigilantUntil.load(ordering: .relaxed) != 0 }

  func beVigilant() {
    vigilantUntil.store(Clock.monotonic() &+ SharedStateWatch.vigilance, ordering: .relaxed)
  }

  /// What the calling thread's plugin has spoilt, on this thread too; as `look`.
  func lookFromPluginThread() -> String? {
    let found = look()
    return guard_mend_thread() ? found ?? Tampering.mask : found
  }

  /// While the worker is vigilant: what is spoilt already is not the work of the plugin that is called next.
  func lookBeforeCall() {
    if let what = lookFromPluginThread() { tellOfUnknown(what) }
  }

  /// While the worker is vigilant: what the call that has just come back has spoilt. Nothing if another plugin is on a stack
  /// just then: it may be the one.
  func lookAfterCall(of plugin: Plugin) -> String? {
    guard let what = lookFromPluginThread() else { return nil }
    guard !worker.isAtWork(besides: plugin) else {
      tellOfUnknown(what)
      return nil
    }
    return what
  }

  /// Starts the thread that looks once a second.
  func start() throws(SystemError) {
    guard Thread.start(named: "watch", { self.run() }) else { throw SystemError("pthread_create", EAGAIN) }
  }

  private func run() {
    while true {
      usleep(SharedStateWatch.period)
      let until = vigilantUntil.load(ordering: .relaxed)
      if until != 0, Clock.monotonic() > until { vigilantUntil.store(0, ordering: .relaxed) }
      // While the worker is vigilant the look after a call finds what that call has left behind, and knows the plugin.
      guard !isVigilant || !worker.isAtWork(besides: nil) else { continue }
      if let what = look() { tellOfUnknown(what) }
    }
  }

  private func tellOfUnknown(_ what: String) {
    Log.shared.write(
      .error,
      "a plugin \(what); which one is not known: for \(SharedStateWatch.vigilance / 60_000_000_000) min a look comes "
        + "before and after each call")
    beVigilant()
  }
}

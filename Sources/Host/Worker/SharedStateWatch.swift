import Glibc
import LinuxShims
import Synchronization

/// Looks after what plugins share with the host in the worker's process, and puts it right: the handlers of fault signals,
/// the listeners' flags, and the descriptors that loops wait with.
///
/// After each load, start and self-test it is known who did it. While the worker serves, a look comes once a second: then
/// it is the plugin that alone ran since the last one, or it is not known, and for a while the worker looks after every call
/// (`isVigilant`), so that the next time tells.
final class SharedStateWatch: @unchecked Sendable {
  private unowned(unsafe) let worker: Worker
  /// Until when a look follows each call of a plugin; monotonic, 0 for not at all.
  let vigilantUntil = Atomic<UInt64>(0)
  /// How often each plugin had been called at the last look.
  private var calls: [UInt64] = []
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

  /// For how long a worker is vigilant, in nanoseconds.
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

  /// What the call that has just come back has spoilt, while the worker is vigilant. The thread that made the call.
  ///
  /// Nothing if another plugin is on a stack just then: it may be the one.
  func lookAfterCall(of plugin: Plugin) -> String? {
    guard isVigilant else { return nil }
    let found = look()
    guard let what = guard_mend_thread() ? found ?? Tampering.mask : found else { return nil }
    guard worker.isAlone(plugin) else {
      Log.shared.write(.error, "a plugin \(what); which one is not known: several were at work")
      return nil
    }
    return what
  }

  /// Starts the thread that looks once a second.
  func start() throws(SystemError) {
    calls = worker.plugins.map { $0.metrics.calls }
    guard Thread.start(named: "watch", { self.run() }) else { throw SystemError("pthread_create", EAGAIN) }
  }

  private func run() {
    while true {
      usleep(SharedStateWatch.period)
      let now = Clock.monotonic()
      let until = vigilantUntil.load(ordering: .relaxed)
      if until != 0, now > until { vigilantUntil.store(0, ordering: .relaxed) }
      let before = calls
      calls = worker.plugins.map { $0.metrics.calls }
      guard let what = look() else { continue }
      let ran = worker.plugins.filter { calls[$0.index] != before[$0.index] }
      if let only = ran.first, ran.count == 1 {
        only.fault(.tampered, message: "it \(what)", exchange: nil)
      } else {
        Log.shared.write(
          .error,
          "a plugin \(what); which one is not known: for \(SharedStateWatch.vigilance / 60_000_000_000) min a look "
            + "follows each call")
        beVigilant()
      }
    }
  }
}

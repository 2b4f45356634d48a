import Glibc
import LinuxShims

/// The worker's side of the control socket: reports how the generation came out, does what the supervisor says, and
/// ends when it is told to, or when the supervisor is gone. The messages: `WorkerMessage`.
///
/// A thread of its own.
struct WorkerControl {
  let worker: Worker
  let control: FileDescriptor

  enum Message: Equatable {
    case serve, drain, adopt, handOver, status
    case ping(Int)
    case quarantine(String)
    /// The plugin has faulted in a worker that is on its way out: it is no better in this one.
    case faulted(String, Quarantine.Reason)
    /// It spoilt what it shares with the host, in words that begin with "it".
    case tampered(String, String)
    case release(String)
    case bypass(Bypass)
    case draining(Draining)
    case logLevel(LogLevel)
    /// What became of generations: a JSON array.
    case history(String)
    case configuration(ConfigurationStatus)
    /// When the supervisor tries the failed plugin again: monotonic nanoseconds.
    case retry(String, at: UInt64)

    init?(_ text: String) {
      let words = text.split(separator: " ", maxSplits: 1).map(String.init)
      let argument = words.count > 1 ? words[1] : ""
      switch words.first {
      case "serve": self = .serve
      case "drain": self = .drain
      case "adopt": self = .adopt
      case "handover": self = .handOver
      case "status": self = .status
      case "ping":
        guard let number = Int(argument) else { return nil }
        self = .ping(number)
      case "tampered":
        let words = argument.split(separator: " ", maxSplits: 1).map(String.init)
        guard words.count == 2 else { return nil }
        self = .tampered(words[0], words[1])
      case "quarantine": self = .quarantine(argument)
      case "faulted":
        let words = argument.split(separator: " ").map(String.init)
        guard words.count == 2, let reason = Quarantine.Reason(rawValue: words[1]) else { return nil }
        self = .faulted(words[0], reason)
      case "release": self = .release(argument)
      case "bypass":
        guard let mode = Bypass(rawValue: argument) else { return nil }
        self = .bypass(mode)
      case "draining":
        guard let mode = Draining(rawValue: argument) else { return nil }
        self = .draining(mode)
      case "log-level":
        guard let level = LogLevel(text: argument) else { return nil }
        self = .logLevel(level)
      case "history": self = .history(argument)
      case "retry":
        let words = argument.split(separator: " ").map(String.init)
        guard words.count == 2, let at = UInt64(words[1]) else { return nil }
        self = .retry(words[0], at: at)
      case "config":
        guard let status = ConfigurationStatus(wire: argument) else { return nil }
        self = .configuration(status)
      default: return nil
      }
    }
  }

  /// Says that the generation is prepared, and does what it is told, to the end. True if connections are passed on.
  func run() throws(SystemError) -> Bool {
    for plugin in worker.plugins where plugin.state == .failed {
      guard let reason = plugin.quarantine.withLock({ $0.reason }) else { continue }
      let message = worker.faults.last(of: plugin.name)?.message ?? ""
      let shown = message.prefix(utf8: ConfigurationStatus.messageLimit)
      try say("failed \(plugin.name) \(reason.rawValue) \(shown)")
    }
    try say("ready")
    var buffer = [UInt8](repeating: 0, count: 128 << 10)
    while true {
      var passed: Int32 = -1
      let count = shim_receive_descriptor(control.raw, &buffer, buffer.count, &passed)
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else {
        Orphan.endOnceAlone()
        return false
      }
      let text = String(decoding: buffer[..<count], as: UTF8.self)
      let socket = passed >= 0 ? FileDescriptor(raw: passed) : nil
      switch (Message(text), socket) {
      case (.drain, _): return false
      case (.adopt, let socket?): worker.adopt(from: socket)
      case (.handOver, let socket?):
        worker.handOver(on: socket)
        worker.carryCounts()
        return true
      // No descriptor could be received: what cannot be passed on is finished here.
      case (.handOver, nil): return false
      case (let message?, nil): try obey(message)
      default:
        socket?.close()
        Log.shared.write(.warning, "worker: unknown message '\(text)'")
      }
    }
  }

  private func obey(_ message: Message) throws(SystemError) {
    switch message {
    case .serve: serve()
    case .ping(let number):
      // Each of them, lest one that is alive be asked for less.
      if worker.loops.count(where: { $0.isBeating() }) == worker.loops.count { try say("pong \(number)") }
      worker.noteStraySignal()
      // Every few seconds, then: should the process be killed, little is lost.
      worker.carryCounts()
    case .status: try say("answer ok \(PluginReport.json(worker.plugins, worker))")
    case .quarantine(let name): try answer(name) { $0.quarantineByOperator() }
    case .faulted(let name, let reason): worker.plugins.first { $0.name == name }?.takeOver(reason)
    case .tampered(let name, let what):
      worker.plugins.first { $0.name == name }?.fault(.tampered, message: what, exchange: nil)
    case .release(let name): try answer(name) { $0.release() }
    case .bypass(let mode):
      worker.setBypass(mode)
      try say("answer ok bypass is \(mode.rawValue)")
    case .draining(let mode):
      worker.isDraining.store(mode == .on, ordering: .relaxed)
      try say("answer ok draining is \(mode.rawValue)")
    case .logLevel(let level):
      Log.shared.configure(level: level, format: Log.shared.format)
      try say("answer ok log-level is \(level)")
    case .history(let json): worker.history.withLock { $0 = json }
    case .configuration(let status): worker.configurationStatus.withLock { $0 = status }
    case .retry(let name, let at): worker.plugins.first { $0.name == name }?.planRetry(at: at)
    case .drain, .adopt, .handOver: break
    }
  }

  /// From here on there are clients. What changed while this generation was made ready is taken over first.
  private func serve() {
    worker.faults.inherit(from: FaultLedger.directory(in: worker.configuration.host.stateDirectory))
    for plugin in worker.plugins {
      plugin.resume()
      plugin.serves()
    }
    Orphan.isServing = true
    worker.startAccepting()
  }

  private func answer(_ name: String, _ body: (Plugin) -> Result<String, Plugin.Refusal>) throws(SystemError)
  {
    guard let plugin = worker.plugins.first(where: { $0.name == name }) else {
      return try say("answer no this generation has no plugin '\(name)'")
    }
    switch body(plugin) {
    case .success(let text): try say("answer ok \(text)")
    case .failure(let refusal): try say("answer no \(refusal.text)")
    }
  }

  private func say(_ message: String) throws(SystemError) {
    try control.writeAll(Array(message.utf8))
  }
}

/// A worker without its supervisor: it must not keep the listening sockets from the next host, nor live on for ever,
/// whatever state its threads are in.
enum Orphan {
  /// Set on the control thread; read by the handler.
  nonisolated(unsafe) static var isServing = false
  nonisolated(unsafe) private static var listenerCount: Int32 = 0
  nonisolated(unsafe) private static var grace: UInt32 = 32

  nonisolated(unsafe) private static var supervisor: pid_t = 0

  /// Asks the kernel for a signal at the supervisor's death (prctl(2)). Ends the process if it is dead already.
  ///
  /// - Parameter drainTimeout: after which, and a little more, nothing is waited for any longer.
  static func watch(supervisor: pid_t, listeners: Int, drainTimeout: Duration) {
    Orphan.supervisor = supervisor
    listenerCount = Int32(listeners)
    grace = UInt32(clamping: drainTimeout.components.seconds) &+ 2
    // What plugins start is not to hold the host's sockets.
    for descriptor in Manifest.Descriptors.control..<(Manifest.Descriptors.firstListener + listenerCount) {
      _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    }
    var action = sigaction()
    action.__sigaction_handler.sa_handler = { _ in Orphan.endIfAlone() }
    action.sa_flags = Int32(bitPattern: UInt32(SA_RESTART) | UInt32(SA_ONSTACK))
    sigaction(SIGUSR2, &action, nil)
    // The hour of death; or a plugin's timer, of which nobody knows.
    action.__sigaction_handler.sa_handler = { signal in
      if getppid() != Orphan.supervisor { _exit(1) }
      stray_signal(signal)
    }
    sigaction(SIGALRM, &action, nil)
    shim_parent_death_signal(SIGUSR2)
    endIfAlone()
  }

  /// The control socket is at its end, which comes a moment before the kernel gives the process another parent; or it
  /// was broken by a plugin, and the supervisor lives.
  static func endOnceAlone() {
    for _ in 0..<50 {
      if endIfAlone() { return }
      usleep(10_000)
    }
  }

  /// Gives up the listening sockets and sets the hour of death; nothing while the supervisor lives. Async-signal-safe
  /// (signal-safety(7)): the statics were written before the signal could come.
  @discardableResult
  private static func endIfAlone() -> Bool {
    guard getppid() != supervisor else { return false }
    guard isServing else { _exit(1) }
    let first = Manifest.Descriptors.firstListener
    for descriptor in first..<(first + listenerCount) { shutdown(descriptor, Int32(SHUT_RDWR)) }
    alarm(grace)
    return true
  }
}

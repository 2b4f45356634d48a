import Glibc
import LinuxShims

/// The process that must not die: owns the listening sockets and the shared memory, starts workers, replaces them when
/// they die, and runs no plugin code.
///
/// One thread, which waits in poll(2) for signals and for what workers say.
final class Supervisor {
  private let configurationPath: String
  private let listenOverride: String?
  private var configuration: Configuration
  private var configurationText: [UInt8]
  private var listeners: [Listener] = []
  private let memory: SharedMemory
  private let signals: FileDescriptor
  private let stateLock: FileDescriptor
  private var workers: [WorkerHandle] = []
  private var deaths = DeathRecord()
  private var generation = 0
  private var isStopping = false
  private var hasServed = false
  private var restartAt: UInt64?
  private var failedStarts = 0

  /// A worker that is not ready by then is stuck in a plugin.
  private static let startTimeout: UInt64 = 30_000_000_000

  /// Opens everything that workers share.
  ///
  /// - Throws: what the system refuses: a port in use, a state directory that cannot be made or is another host's.
  init(
    configuration: Configuration, text: [UInt8], path: String, listenOverride: String?
  ) throws(SystemError) {
    self.configuration = configuration
    configurationText = text
    configurationPath = path
    self.listenOverride = listenOverride
    stateLock = try StateDirectory.open(configuration.host.stateDirectory)
    memory = try SharedMemory.create()
    let wanted = [SIGTERM, SIGINT, SIGHUP, SIGCHLD]
    signals = FileDescriptor(raw: try checked("signalfd") { shim_block_signals(wanted, Int32(wanted.count)) })
    for address in configuration.host.listen {
      do throws(SystemError) {
        listeners.append(try Listener.open(address))
      } catch {
        throw SystemError("\(address.text): \(error.call)", error.code)
      }
    }
  }

  /// Serves until a signal ends it. The exit status.
  func run() -> Int32 {
    startWorker()
    while !(isStopping && workers.isEmpty) {
      waitForNews()
      takeSignals()
      hearWorkers()
      reapWorkers()
      watchTimes()
      if !isStopping && workers.isEmpty && restartAt == nil { startWorker() }
      if failedStarts > 10 && !hasServed {
        Log.shared.write(.error, "no worker can be started; giving up")
        return ExitStatus.unavailable.rawValue
      }
    }
    for case .unix(let path) in configuration.host.listen { unlink(path) }
    return 0
  }

  // MARK: Workers

  private func startWorker() {
    restartAt = nil
    generation += 1
    memory.clearFrames(generation: generation)
    var manifest = Manifest()
    manifest.generation = generation
    manifest.configurationPath = configurationPath
    manifest.listeners = listeners.map(\.text)
    manifest.configuration = configurationText
    manifest.culprits = deaths.culprits
    manifest.isBare = deaths.isCrashLoop
    do throws(SystemError) {
      manifest.digests = try LibraryDigest.compute(configuration.plugins.map(\.libraryPath))
    } catch {
      Log.shared.write(.warning, "digests of libraries are not known: \(error)")
    }
    if manifest.isBare {
      Log.shared.write(.error, "workers die again and again, and no plugin is to blame: going on without plugins")
    }
    do throws(SystemError) {
      workers.append(
        try WorkerHandle.start(
          manifest, configuration: configuration, listeners: listeners, memory: memory))
    } catch {
      failedStarts += 1
      Log.shared.write(.error, "cannot start a worker: \(error)")
      restartAt = Clock.monotonic() &+ 500_000_000
    }
  }

  private func hearWorkers() {
    for index in workers.indices {
      while let message = workers[index].hear(), !message.isEmpty {
        if message == "ready" { isReady(index) }
        if message.hasPrefix("taint "), workers.count == 1 { startWorker() }
      }
    }
  }

  private func isReady(_ index: Int) {
    workers[index].state = .serving
    failedStarts = 0
    Log.shared.write(.info, "generation \(workers[index].generation) serves, pid \(workers[index].pid)")
    if !hasServed {
      hasServed = true
      // What scripts wait for, whatever the level and format of the log.
      for listener in listeners {
        Array("bulkhead: listening on \(listener.text)\n".utf8).withUnsafeBytes { Log.emit($0) }
      }
    }
    for other in workers.indices where other != index {
      if case .draining = workers[other].state { continue }
      replace(other, by: index)
    }
    if isStopping { retire(index) }
  }

  /// The old worker passes its connections to the new one, and ends.
  private func replace(_ old: Int, by new: Int) {
    workers[old].state = .draining(since: Clock.monotonic())
    do throws(SystemError) {
      var pair: [Int32] = [-1, -1]
      let type = Int32(SOCK_SEQPACKET.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
      try checked("socketpair") { socketpair(AF_UNIX, type, 0, &pair) }
      defer { for end in pair { close(end) } }
      try workers[new].tell("adopt", with: FileDescriptor(raw: pair[0]))
      try workers[old].tell("handover", with: FileDescriptor(raw: pair[1]))
    } catch {
      Log.shared.write(.warning, "connections are not handed over: \(error)")
      workers[old].tell("drain")
    }
  }

  private func retire(_ index: Int) {
    workers[index].state = .draining(since: Clock.monotonic())
    workers[index].tell("drain")
  }

  private func reapWorkers() {
    while true {
      var status: Int32 = 0
      let pid = waitpid(-1, &status, WNOHANG)
      guard pid > 0 else { return }
      guard let index = workers.firstIndex(where: { $0.pid == pid }) else { continue }
      let worker = workers.remove(at: index)
      worker.control.close()
      buried(worker, status)
    }
  }

  private func buried(_ worker: WorkerHandle, _ status: Int32) {
    if case .draining = worker.state { return }
    if isStopping { return }
    var wasServing = true
    if case .starting = worker.state { wasServing = false }
    let signal = shim_term_signal(status)
    let how = signal != 0 ? "by signal \(signal) (\(String(cString: strsignal(signal))))"
      : "with exit status \(shim_exit_code(status))"
    let occupant = culprit(of: worker, wasServing: wasServing)
    let name = occupant.map { worker.configuration.plugins[$0.plugin].name }
    Log.shared.write(
      .error,
      "generation \(worker.generation), pid \(worker.pid), ended \(how)"
        + (name.map { ", in plugin \($0)" } ?? ", in no plugin")
        + (occupant.map { $0.requestID.isEmpty ? "" : ", request \($0.requestID)" } ?? ""))
    deaths.note(
      plugin: name, reason: signal == 0 ? .exited : hungPIDs.contains(worker.pid) ? .hung : .crashed,
      wasServing: wasServing,
      message: "the worker ended \(how)" + (occupant.map { $0.requestID.isEmpty ? "" : " in request \($0.requestID)" } ?? ""),
      at: Clock.monotonic())
    hungPIDs.remove(worker.pid)
    if !wasServing { failedStarts += 1 }
    guard workers.isEmpty else { return }
    // A death that nobody explains is given a breath, lest a broken machine spin.
    if name == nil && failedStarts > 1 { restartAt = Clock.monotonic() &+ 200_000_000 } else { startWorker() }
  }

  private var hungPIDs: Set<pid_t> = []

  /// The plugin on the dead worker's stack: the latest to enter, should several threads have been in one.
  private func culprit(of worker: WorkerHandle, wasServing: Bool) -> FaultFrame.Occupant? {
    (0..<SharedMemory.frameCount).compactMap { memory.frame($0, generation: worker.generation).occupant }
      .filter { $0.plugin < worker.configuration.plugins.count }
      .max { $0.since < $1.since }
  }

  // MARK: Time

  private func watchTimes() {
    let now = Clock.monotonic()
    for worker in workers {
      switch worker.state {
      case .starting where now &- worker.startedAt > Supervisor.startTimeout:
        Log.shared.write(.error, "generation \(worker.generation) is not ready in time: ending it")
        hungPIDs.insert(worker.pid)
        kill(worker.pid, SIGKILL)
      case .draining(let since)
      where now &- since > worker.configuration.host.drainTimeout.nanoseconds &+ 2_000_000_000:
        Log.shared.write(.warning, "generation \(worker.generation) does not end: killing it")
        kill(worker.pid, SIGKILL)
      default: break
      }
    }
    if let at = restartAt, now >= at, !isStopping, workers.isEmpty { startWorker() }
  }

  private func waitForNews() {
    var descriptors = [pollfd(fd: signals.raw, events: Int16(POLLIN), revents: 0)]
    descriptors += workers.map { pollfd(fd: $0.control.raw, events: Int16(POLLIN), revents: 0) }
    let isQuiet = restartAt == nil && workers.allSatisfy {
      if case .serving = $0.state { true } else { false }
    }
    _ = poll(&descriptors, nfds_t(descriptors.count), isQuiet ? -1 : 100)
  }

  // MARK: Signals

  private func takeSignals() {
    var info = signalfd_siginfo()
    while read(signals.raw, &info, MemoryLayout<signalfd_siginfo>.size) > 0 {
      switch Int32(info.ssi_signo) {
      case SIGTERM, SIGINT: stop()
      case SIGHUP: reload()
      default: break
      }
    }
  }

  private func stop() {
    guard !isStopping else { return }
    isStopping = true
    Log.shared.write(.info, "stopping: requests in flight are finished first")
    for index in workers.indices { retire(index) }
  }

  /// The next generation from the file as it now is; the current one serves until that is ready. A file with an error
  /// changes nothing.
  private func reload() {
    guard !isStopping else { return }
    switch ConfigurationSource.read(configurationPath, listenOverride: listenOverride) {
    case .failure(let errors):
      Log.shared.write(.error, "the configuration is not taken: \(errors)")
    case .success(let source):
      if source.configuration.host.listen != configuration.host.listen {
        Log.shared.write(.warning, "'listen' has changed: that needs a restart, all else is taken")
      }
      configuration = source.configuration
      configurationText = source.text
      Log.shared.configure(level: configuration.host.logLevel, format: configuration.host.logFormat)
      deaths.forget()
      startWorker()
    }
  }
}

/// The configuration with the very text that it was read from.
struct ConfigurationSource {
  var configuration: Configuration
  var text: [UInt8]

  static func read(_ path: String, listenOverride: String?) -> Result<ConfigurationSource, ConfigurationErrors> {
    let text: [UInt8]
    do throws(FileContents.Failure) {
      text = try FileContents.read(path, limit: ConfigurationText.maximumFile)
    } catch {
      return .failure(ConfigurationErrors([ConfigurationError(path: path, message: "\(error)")]))
    }
    return ConfigurationFile.parse(
      bytes: text, path: path, environment: Environment.all, listenOverride: listenOverride
    ).map { ConfigurationSource(configuration: $0, text: text) }
  }
}

/// The directory that the host keeps its state in.
enum StateDirectory {
  /// Makes it if need be, for the host's user alone, and locks it: one host a directory. The lock is the descriptor's.
  static func open(_ path: String) throws(SystemError) -> FileDescriptor {
    var made = ""
    for part in path.split(separator: "/", omittingEmptySubsequences: false) {
      made += part + "/"
      if mkdir(made, 0o700) < 0, errno != EEXIST { throw SystemError("mkdir \(made)") }
    }
    let lock = try checked("open \(path)/lock") {
      Glibc.open("\(path)/lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
    }
    if shim_lock(lock) < 0 {
      let code = errno
      close(lock)
      throw SystemError(
        code == EWOULDBLOCK ? "the state directory \(path) is another running host's" : "flock \(path)/lock", code)
    }
    return FileDescriptor(raw: lock)
  }
}

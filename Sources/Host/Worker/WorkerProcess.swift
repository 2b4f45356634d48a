import Glibc
import LinuxShims

/// The worker's main thread: becomes a generation, says that it is ready, and ends when it is told to, or when the
/// supervisor is gone.
enum WorkerProcess {
  /// The exit status.
  static func run() -> Int32 {
    // A worker that was started by hand has no supervisor.
    if fcntl(Manifest.Descriptors.log, F_GETFD) >= 0 {
      LogOutput.standardErrorDescriptor = Manifest.Descriptors.log
    }
    shim_write_lines_at_once()
    IdleSignals.ignoreFailedWrites()
    if stray_signals_absorb() < 0 { Log.shared.write(.warning, "worker: \(SystemError("sigaction"))") }
    OperatorSignals.unblock()
    OpenFileLimit.raise()
    shim_bound_heap()
    let control = FileDescriptor(raw: Manifest.Descriptors.control)
    do throws(SystemError) {
      return try serve(control)
    } catch {
      Log.shared.write(.error, "worker: \(error)")
      return 1
    }
  }

  private static func serve(_ control: FileDescriptor) throws(SystemError) -> Int32 {
    let file = FileDescriptor(raw: Manifest.Descriptors.manifest)
    let bytes = try file.readAll()
    // Closed, as the memory below: what plugins do not find they cannot spoil.
    file.close()
    guard let manifest = Manifest(bytes) else {
      Log.shared.write(.error, "worker: no manifest; a worker is started by 'bulkhead run'")
      return ExitStatus.usage.rawValue
    }
    guard
      case .success(let configuration) = ConfigurationFile.parse(
        bytes: manifest.configuration, path: manifest.configurationPath, environment: Environment.all,
        listens: false)
    else {
      // The supervisor has read the same text a moment ago.
      Log.shared.write(.error, "worker: the configuration cannot be read any more")
      return ExitStatus.configuration.rawValue
    }
    Log.shared.configure(
      level: manifest.logLevel ?? configuration.host.logLevel, format: configuration.host.logFormat)
    Orphan.watch(
      supervisor: manifest.supervisor, listeners: manifest.listeners.count,
      drainTimeout: configuration.host.drainTimeout)
    let memory = try SharedMemory(FileDescriptor(raw: Manifest.Descriptors.sharedMemory))
    memory.descriptor.close()
    SharedMemory.current = memory
    let listeners = manifest.listeners.enumerated().map { index, text in
      Listener(
        descriptor: FileDescriptor(raw: Manifest.Descriptors.firstListener + Int32(index)), text: text,
        isTCP: !text.hasPrefix("unix:"))
    }
    for listener in listeners { try listener.verify() }
    let worker = Worker(
      manifest: manifest, configuration: configuration, listeners: listeners, memory: memory)
    worker.endsByForce = true
    worker.report = { message in
      Array(message.utf8).withUnsafeBytes { view in
        let flags = Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)
        if Glibc.send(control.raw, view.baseAddress, view.count, flags) < 0 {
          Log.shared.write(.error, "the supervisor could not be told: \(message): \(SystemError("send"))")
        }
      }
    }
    worker.faults.onRecord = { fault, exchange in
      var json = JSONWriter()
      json.object { fault.write(to: &$0) }
      worker.report("\(fault.isAfterService || fault.isCollateral ? "record" : "fault") \(json.text)")
      if let exchange { worker.report("request \(fault.id)\n\(RequestCopy.text(of: exchange))") }
    }
    guard_announce_death(control.raw)
    try worker.prepare(culprits: manifest.culprits)
    if let rejection = worker.rejection {
      worker.report("rejected \(String("\(rejection)".prefix(64 << 10)))")
      return ExitStatus.configuration.rawValue
    }
    try obey(control, worker, drainTimeout: configuration.host.drainTimeout.nanoseconds)
    worker.stop(by: Clock.monotonic() &+ 1_000_000_000)
    // Beside a lost thread no memory is asked for: it may have the heap's lock.
    if !worker.isTainted { endInAnyCase() }
    return 0
  }

  /// What libraries have put down for the end (atexit(3)) may not come to one.
  private static func endInAnyCase() {
    let isStarted = Thread.start(named: "end") {
      usleep(2_000_000)
      Log.shared.write(.warning, "what a library does at exit takes too long; ending the worker")
      _exit(0)
    }
    if !isStarted { _exit(0) }
  }

  /// Does what the supervisor says, to the end of the last request.
  ///
  /// On a thread of its own: a plugin that frees a block twice takes the lock of the heap that the main thread allocates
  /// from, and a thread that crashes there never gives it back. Orders must be obeyed all the same.
  private static func obey(_ control: FileDescriptor, _ worker: Worker, drainTimeout: UInt64)
    throws(SystemError)
  {
    var ended = sem_t()
    sem_init(&ended, 0, 0)
    nonisolated(unsafe) var failure: SystemError?
    let isStarted = withUnsafeMutablePointer(to: &ended) { ended in
      let isStarted = Thread.start(named: "control") {
        do throws(SystemError) {
          let isPassing = try WorkerControl(worker: worker, control: control).run()
          let deadline = Clock.monotonic() &+ drainTimeout
          if !isPassing { worker.drain() }
          while worker.isRunning && Clock.monotonic() < deadline { usleep(2000) }
          worker.carryCounts()
        } catch {
          failure = error
        }
        sem_post(ended)
      }
      if isStarted { while sem_wait(ended) != 0 {} }
      return isStarted
    }
    guard isStarted else { throw SystemError("pthread_create", EAGAIN) }
    if let failure { throw failure }
  }
}

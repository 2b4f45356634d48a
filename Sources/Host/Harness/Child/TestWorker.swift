import Glibc
import LinuxShims

/// A whole worker in the calling process, without supervisor and listeners: requests reach its loops over socket pairs,
/// and take the way that every request takes. Faults freeze, and are recorded, as in service.
///
/// One a process: plugins cannot be unloaded, and shared memory is the process's. Main thread.
final class TestWorker {
  let worker: Worker

  /// Loads and starts the plugins. What goes wrong with a plugin is its state; what is thrown is the system's.
  ///
  /// - Parameter companion: stands in for the plugin of its name; nil if there is none such.
  init(_ configuration: Configuration, companion: Companion? = nil) throws(SystemError) {
    signal(SIGPIPE, SIG_IGN)
    Log.shared.configure(level: configuration.host.logLevel, format: configuration.host.logFormat)
    let memory = try SharedMemory.create()
    SharedMemory.current = memory
    try StateDirectory.make(configuration.host.stateDirectory)
    var manifest = Manifest()
    manifest.configurationPath = configuration.path
    worker = Worker(manifest: manifest, configuration: configuration, listeners: [], memory: memory)
    // Threads may be frozen in it: it lives as long as the process.
    _ = Unmanaged.passRetained(worker)
    if let companion { worker.plugins.first { $0.name == Companion.name }?.builtIn = companion.table }
    try worker.prepare(culprits: [])
    worker.startTimers()
  }

  func plugin(_ name: String) -> Plugin? { worker.plugins.first { $0.name == name } }

  /// Why the plugin does not serve; nil if it started.
  func startFailure(of name: String) -> Fault? {
    guard let plugin = plugin(name), plugin.state == .failed else { return nil }
    return worker.faults.last(of: name)
  }

  /// Sends bytes as they are on a connection of its own, through one of the loops.
  ///
  /// - Parameter number: of the request; the loops take turns.
  func send(_ bytes: [UInt8], number: Int, within limit: Duration) throws(LoopClient.Failure) -> CaseAnswer {
    let loop = worker.loops[number % worker.loops.count]
    return try LoopClient.send(bytes, to: loop, within: limit)
  }

  /// Ends the requests, then the plugins.
  func stop() {
    worker.drain()
    let deadline = Clock.monotonic() &+ 5_000_000_000
    while worker.isRunning && Clock.monotonic() < deadline { usleep(500) }
    // There is no loop left that could go on without a frozen thread: a crash ends the process, and tells its signal.
    for fault in [SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGABRT] { signal(fault, SIG_DFL) }
    worker.stop(by: deadline)
  }
}

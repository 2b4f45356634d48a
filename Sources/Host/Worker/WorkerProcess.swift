import Glibc
import LinuxShims

/// The worker's main thread: becomes a generation, says that it is ready, and ends when it is told to, or when the
/// supervisor is gone.
enum WorkerProcess {
  /// The exit status.
  static func run() -> Int32 {
    signal(SIGPIPE, SIG_IGN)
    let control = FileDescriptor(raw: Manifest.Descriptors.control)
    do throws(SystemError) {
      return try serve(control)
    } catch {
      Log.shared.write(.error, "worker: \(error)")
      return 1
    }
  }

  private static func serve(_ control: FileDescriptor) throws(SystemError) -> Int32 {
    guard let manifest = Manifest(try FileDescriptor(raw: Manifest.Descriptors.manifest).readAll()) else {
      Log.shared.write(.error, "worker: no manifest; a worker is started by 'bulkhead run'")
      return ExitStatus.usage.rawValue
    }
    guard case .success(let configuration) = ConfigurationFile.parse(
      bytes: manifest.configuration, path: manifest.configurationPath, environment: Environment.all)
    else {
      // The supervisor has read the same text a moment ago.
      Log.shared.write(.error, "worker: the configuration cannot be read any more")
      return ExitStatus.configuration.rawValue
    }
    Log.shared.configure(level: configuration.host.logLevel, format: configuration.host.logFormat)
    let memory = try SharedMemory(FileDescriptor(raw: Manifest.Descriptors.sharedMemory))
    SharedMemory.current = memory
    let listeners = manifest.listeners.enumerated().map { index, text in
      Listener(
        descriptor: FileDescriptor(raw: Manifest.Descriptors.firstListener + Int32(index)), text: text,
        isTCP: !text.hasPrefix("unix:"))
    }
    let worker = Worker(
      manifest: manifest, configuration: configuration, listeners: listeners, memory: memory)
    worker.report = { message in
      Array(message.utf8).withUnsafeBytes { view in
        let flags = Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)
        if Glibc.send(control.raw, view.baseAddress, view.count, flags) < 0 {
          Log.shared.write(.error, "the supervisor could not be told: \(message): \(SystemError("send"))")
        }
      }
    }
    try worker.prepare(culprits: manifest.culprits)
    worker.startAccepting()
    try send("ready", on: control)
    waitForEnd(control)
    drain(worker, within: configuration.host.drainTimeout.nanoseconds)
    return 0
  }

  private static func send(_ message: String, on control: FileDescriptor) throws(SystemError) {
    try control.writeAll(Array(message.utf8))
  }

  /// Until the supervisor says "drain", or is no more.
  private static func waitForEnd(_ control: FileDescriptor) {
    var buffer = [UInt8](repeating: 0, count: 64)
    while true {
      let count = read(control.raw, &buffer, buffer.count)
      if count < 0 && errno == EINTR { continue }
      if count <= 0 { return }
      if String(decoding: buffer[..<count], as: UTF8.self) == "drain" { return }
    }
  }

  private static func drain(_ worker: Worker, within timeout: UInt64) {
    let deadline = Clock.monotonic() &+ timeout
    worker.drain()
    while worker.isRunning && Clock.monotonic() < deadline { usleep(2000) }
    worker.stop(by: min(deadline, Clock.monotonic() &+ 1_000_000_000))
  }
}

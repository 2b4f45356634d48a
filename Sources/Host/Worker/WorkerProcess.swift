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
    let isPassing = waitForEnd(control, worker)
    drain(worker, isPassing: isPassing, within: configuration.host.drainTimeout.nanoseconds)
    return 0
  }

  private static func send(_ message: String, on control: FileDescriptor) throws(SystemError) {
    try control.writeAll(Array(message.utf8))
  }

  /// Until the supervisor says "drain" or "handover", or is no more. True if connections are passed on.
  private static func waitForEnd(_ control: FileDescriptor, _ worker: Worker) -> Bool {
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      var passed: Int32 = -1
      let count = shim_receive_descriptor(control.raw, &buffer, buffer.count, &passed)
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { return false }
      let message = String(decoding: buffer[..<count], as: UTF8.self)
      let socket = passed >= 0 ? FileDescriptor(raw: passed) : nil
      switch (message, socket) {
      case ("drain", _): return false
      case ("adopt", let socket?): worker.adopt(from: socket)
      case ("handover", let socket?):
        worker.handOver(on: socket)
        return true
      default:
        socket?.close()
        Log.shared.write(.warning, "worker: unknown message '\(message)'")
      }
    }
  }

  /// Lets requests in flight come to their end, then closes what the plugins have open.
  private static func drain(_ worker: Worker, isPassing: Bool, within timeout: UInt64) {
    let deadline = Clock.monotonic() &+ timeout
    if !isPassing { worker.drain() }
    while worker.isRunning && Clock.monotonic() < deadline { usleep(2000) }
    worker.stop(by: min(deadline, Clock.monotonic() &+ 1_000_000_000))
  }
}

import Glibc
import LinuxShims

/// A worker as its supervisor sees it.
struct WorkerHandle {
  let pid: pid_t
  let generation: Int
  let control: FileDescriptor
  let configuration: Configuration
  let startedAt: UInt64
  var state = State.starting

  enum State { case starting, serving, draining(since: UInt64) }

  /// Starts a worker of this executable.
  static func start(
    _ manifest: Manifest, configuration: Configuration, listeners: [Listener], memory: SharedMemory
  ) throws(SystemError) -> WorkerHandle {
    var pair: [Int32] = [-1, -1]
    let type = Int32(SOCK_SEQPACKET.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    try checked("socketpair") { socketpair(AF_UNIX, type, 0, &pair) }
    let ours = FileDescriptor(raw: pair[0])
    let theirs = FileDescriptor(raw: pair[1])
    defer { theirs.close() }
    do throws(SystemError) {
      let text = try FileDescriptor.memory(named: "bulkhead-manifest", holding: manifest.bytes)
      defer { text.close() }
      var descriptors = [
        (from: theirs, to: Manifest.Descriptors.control), (from: memory.descriptor, to: Manifest.Descriptors.sharedMemory),
        (from: text, to: Manifest.Descriptors.manifest),
      ]
      for (index, listener) in listeners.enumerated() {
        descriptors.append((from: listener.descriptor, to: Manifest.Descriptors.firstListener + Int32(index)))
      }
      var environment = Environment.all
      // The Swift runtime's own handler would take the signals before anybody else could.
      environment["SWIFT_BACKTRACE"] = "enable=no"
      let pid = try Spawn.start(
        Executable.path, ["worker"], environment: environment, descriptors: descriptors)
      return WorkerHandle(
        pid: pid, generation: manifest.generation, control: ours, configuration: configuration,
        startedAt: Clock.monotonic())
    } catch {
      ours.close()
      throw error
    }
  }

  /// Best effort: a worker that is gone already has nothing to be told.
  func tell(_ message: String) {
    Array(message.utf8).withUnsafeBytes { view in
      _ = Glibc.send(control.raw, view.baseAddress, view.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
    }
  }

  func tell(_ message: String, with descriptor: FileDescriptor) throws(SystemError) {
    let sent = Array(message.utf8).withUnsafeBytes {
      shim_send_descriptor(control.raw, $0.baseAddress, $0.count, descriptor.raw)
    }
    if sent < 0 { throw SystemError("sendmsg") }
  }

  /// A message, "" if the worker is gone, nil if there is none now.
  func hear() -> String? {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = recv(control.raw, &buffer, buffer.count, Int32(MSG_DONTWAIT))
    if count < 0 { return errno == EAGAIN || errno == EINTR ? nil : "" }
    return String(decoding: buffer[..<count], as: UTF8.self)
  }
}

/// The host's own program file.
enum Executable {
  /// By the kernel's link, which holds also when the file was replaced by a newer one.
  static let path = "/proc/self/exe"
}

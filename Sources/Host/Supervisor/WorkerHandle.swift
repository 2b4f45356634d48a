import Glibc
import LinuxShims

/// A worker as its supervisor sees it: its process, and what it has said.
final class WorkerHandle {
  let pid: pid_t
  let generation: Int
  let control: FileDescriptor
  let configuration: Configuration
  let manifest: Manifest
  let startedAt = Clock.monotonic()
  struct Failure: Sendable, Equatable {
    var reason: Quarantine.Reason
    var message: String
  }

  /// Plugins that did not load, start or prove themselves.
  var failed: [String: Failure] = [:]
  /// What is wrong with the settings that it was to start plugins with; nil if nothing is.
  var rejection: String?
  /// It is not to serve: a library is rolled back first, or a thread of it is lost.
  var isToBeMadeAgain = false
  /// Who asked what it has not answered yet, oldest first; nil for nobody.
  var questions: [ControlServer.Client?] = []
  /// When it last answered a beat, or began.
  var heardAt = Clock.monotonic()
  private(set) var beatAskedAt: UInt64 = 0
  private var beat = 0
  /// How often it has said what makes no sense, and when that was last told.
  var nonsense = 0
  var toldOfNonsenseAt: UInt64 = 0
  /// It executes another program.
  var isReplaced = false
  /// What it has lost that it needs to take connections; nil if nothing.
  var unfit: String?
  /// Killed because it had come to a standstill.
  var isHung = false
  /// A plugin's fault has spoilt it. Later faults in it take no plugin out.
  var isTainted = false
  /// The plugin that did not start in its time, and that time.
  var late: (plugin: String, limit: Duration)?

  /// What it writes to its standard output and error.
  let output: WorkerOutput

  /// Where it stood before its end.
  struct End {
    /// Nil if it was killed for being late.
    var signal: String?
    var backtrace: [String]
  }
  var end: End?

  private init(
    pid: pid_t, control: FileDescriptor, output: WorkerOutput, configuration: Configuration,
    manifest: Manifest
  ) {
    self.output = output
    self.pid = pid
    self.control = control
    self.configuration = configuration
    self.manifest = manifest
    generation = manifest.generation
  }

  /// Starts a worker of this executable.
  static func start(
    _ manifest: Manifest, configuration: Configuration, listeners: [Listener], memory: SharedMemory
  ) throws(SystemError) -> WorkerHandle {
    let (ours, theirs) = try socketPair()
    defer { theirs.close() }
    do throws(SystemError) {
      let output = try WorkerOutput()
      var isStarted = false
      defer {
        output.writing.close()
        if !isStarted { output.reading.close() }
      }
      let text = try FileDescriptor.memory(named: "bulkhead-manifest", holding: manifest.bytes)
      defer { text.close() }
      var descriptors = [
        (from: theirs, to: Manifest.Descriptors.control),
        (from: memory.descriptor, to: Manifest.Descriptors.sharedMemory),
        (from: text, to: Manifest.Descriptors.manifest),
        (from: FileDescriptor(raw: STDERR_FILENO), to: Manifest.Descriptors.log),
        (from: output.writing, to: STDOUT_FILENO), (from: output.writing, to: STDERR_FILENO),
      ]
      for (index, listener) in listeners.enumerated() {
        descriptors.append((from: listener.descriptor, to: Manifest.Descriptors.firstListener + Int32(index)))
      }
      var environment = Environment.all
      // The Swift runtime's own handler would take the signals before anybody else could.
      environment["SWIFT_BACKTRACE"] = "enable=no"
      MemoryChecker.prepare(&environment)
      let pid = try Spawn.start(
        Executable.path, ["worker"], environment: environment, descriptors: descriptors,
        blocked: OperatorSignals.all)
      isStarted = true
      return WorkerHandle(
        pid: pid, control: ours, output: output, configuration: configuration, manifest: manifest)
    } catch {
      ours.close()
      throw error
    }
  }

  /// Two connected ends that keep packets whole.
  static func socketPair() throws(SystemError) -> (FileDescriptor, FileDescriptor) {
    var pair: [Int32] = [-1, -1]
    let type = Int32(SOCK_SEQPACKET.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    try checked("socketpair") { socketpair(AF_UNIX, type, 0, &pair) }
    return (FileDescriptor(raw: pair[0]), FileDescriptor(raw: pair[1]))
  }

  /// Best effort: a worker that is gone already has nothing to be told.
  func tell(_ message: String) {
    Array(message.utf8).withUnsafeBytes { view in
      let flags = Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)
      guard Glibc.send(control.raw, view.baseAddress, view.count, flags) < 0, errno != EPIPE,
        errno != ECONNRESET
      else { return }
      let word = String(message.utf8.prefix { $0 != 0x20 }) ?? ""
      Log.shared.write(
        .warning, "generation \(generation) could not be told '\(word)': \(SystemError("send"))")
    }
  }

  /// The same with a descriptor, which stays open here.
  func tell(_ message: String, with descriptor: FileDescriptor) throws(SystemError) {
    let bytes = Array(message.utf8)
    try checked("sendmsg") { Int32(shim_send_descriptor(control.raw, bytes, bytes.count, descriptor.raw)) }
  }

  /// Tells it something that it answers, on behalf of a client or nobody.
  func ask(_ message: String, for client: ControlServer.Client?) {
    questions.append(client)
    tell(message)
  }

  /// Only the answer to this counts as a sign of life: whoever writes to its descriptor can say anything else.
  func askForBeat(at now: UInt64) {
    beat += 1
    beatAskedAt = now
    tell("ping \(beat)")
  }

  func noteBeat(_ number: Int) {
    if number == beat, beat > 0 { heardAt = Clock.monotonic() }
  }

  enum News: Equatable {
    case message(WorkerMessage)
    case nonsense
    case gone
  }

  /// What it says next; nil if there is nothing now.
  func hear() -> News? {
    while true {
      var result = 0
      let packet = [UInt8](unsafeUninitializedCapacity: WorkerMessage.limit) { buffer, count in
        result = recv(control.raw, buffer.baseAddress, buffer.count, Int32(MSG_DONTWAIT))
        count = max(0, result)
      }
      if result < 0 {
        if errno == EINTR { continue }
        return errno == EAGAIN ? nil : .gone
      }
      if result == 0 { return .gone }
      return WorkerMessage(packet).map { .message($0) } ?? .nonsense
    }
  }
}

/// The host's own program file.
enum Executable {
  /// By the kernel's link, which holds also when the file was replaced by a newer one. Under Valgrind the link leads the
  /// kernel to Valgrind, and only reading it to this program.
  static let path: String =
    MemoryChecker.current == .valgrind ? target(of: "/proc/self/exe") : "/proc/self/exe"

  private static func target(of link: String) -> String {
    var bytes = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = readlink(link, &bytes, bytes.count)
    return count > 0 ? String(decoding: bytes[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self) : link
  }
}

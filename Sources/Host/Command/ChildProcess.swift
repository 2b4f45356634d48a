import Glibc
import LinuxShims

/// How a child process ended, and what it left.
struct ChildOutcome: Sendable, Equatable {
  enum End: Sendable, Equatable {
    case exited(Int32)
    case signalled(Int32)
    /// Killed by us.
    case timedOut
  }

  var end: End
  /// What it wrote to descriptor 3.
  var report: [UInt8]
  /// What it wrote to standard output and error.
  var chatter: [UInt8]

  /// For a message: "ended the process by signal 11 (Segmentation fault)".
  var howItEnded: String {
    switch end {
    case .exited(let status): "ended the process with exit status \(status)"
    case .signalled(let signal):
      "ended the process by signal \(signal) (\(String(cString: strsignal(signal))))"
    case .timedOut: "took too long, and the process was killed"
    }
  }

  /// The last line of what it said, for a message.
  var lastWords: String? {
    let text = String(decoding: chatter, as: UTF8.self)
    return text.split(whereSeparator: \.isNewline).last.map(String.init)
  }
}

/// Runs code that may crash or hang, in a process of its own.
enum ChildProcess {
  /// Where the child reports.
  static let reportDescriptor: Int32 = 3
  /// In bytes, for the report and the chatter each; the rest is read and dropped.
  static let outputLimit = 1 << 20
  /// How often a child is looked after, in milliseconds, when its pipes do not say that it is gone.
  private static let interval: Int32 = 20

  /// Starts a program without input, waits for it, and kills it and its process group when the time is over.
  ///
  /// - Throws: when it cannot be started.
  static func run(
    _ program: String, _ arguments: [String], environment: [String: String], timeLimit: Duration
  ) throws(SystemError) -> ChildOutcome {
    let input = FileDescriptor(raw: try checked("open /dev/null") { open("/dev/null", O_RDONLY | O_CLOEXEC) })
    defer { input.close() }
    let report = try Pipe()
    defer { report.close() }
    let chatter = try Pipe()
    defer { chatter.close() }
    let pid = try Spawn.start(
      program, arguments, environment: environment,
      descriptors: [
        (input, STDIN_FILENO), (chatter.writing, STDOUT_FILENO), (chatter.writing, STDERR_FILENO),
        (report.writing, reportDescriptor),
      ])
    report.closeWriting()
    chatter.closeWriting()
    return wait(for: pid, report: report, chatter: chatter, until: Clock.monotonic() &+ timeLimit.nanoseconds)
  }

  private static func wait(for pid: pid_t, report: Pipe, chatter: Pipe, until deadline: UInt64)
    -> ChildOutcome
  {
    var end: ChildOutcome.End?
    while end == nil {
      var descriptors = [report, chatter].filter(\.isOpen).map {
        pollfd(fd: $0.reading.raw, events: Int16(POLLIN), revents: 0)
      }
      _ = poll(&descriptors, nfds_t(descriptors.count), interval)
      report.read()
      chatter.read()
      var status: Int32 = 0
      if waitpid(pid, &status, WNOHANG) == pid {
        end =
          shim_exited(status) != 0
          ? .exited(shim_exit_code(status)) : .signalled(shim_term_signal(status))
      } else if Clock.monotonic() >= deadline {
        end = .timedOut
        kill(pid, SIGKILL)
        while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
      }
    }
    // Whatever it has started must not outlive it.
    kill(-pid, SIGKILL)
    report.read()
    chatter.read()
    return ChildOutcome(end: end ?? .timedOut, report: report.bytes, chatter: chatter.bytes)
  }
}

/// One direction, from a child to us; our end does not block.
private final class Pipe {
  let reading: FileDescriptor
  let writing: FileDescriptor
  private(set) var bytes: [UInt8] = []
  /// False once the other end is closed.
  private(set) var isOpen = true
  private var isWritingOpen = true

  init() throws(SystemError) {
    var ends: [Int32] = [-1, -1]
    try checked("pipe2") { shim_pipe(&ends) }
    reading = FileDescriptor(raw: ends[0])
    writing = FileDescriptor(raw: ends[1])
    try reading.setNonBlocking()
  }

  func close() {
    reading.close()
    closeWriting()
  }

  func closeWriting() {
    if isWritingOpen { writing.close() }
    isWritingOpen = false
  }

  /// Takes what is there now.
  func read() {
    var chunk = [UInt8](repeating: 0, count: 16 << 10)
    while isOpen {
      let count = Glibc.read(reading.raw, &chunk, chunk.count)
      if count > 0 {
        bytes += chunk[..<min(count, ChildProcess.outputLimit - bytes.count)]
      } else if count == 0 {
        isOpen = false
      } else if errno != EINTR {
        return
      }
    }
  }
}

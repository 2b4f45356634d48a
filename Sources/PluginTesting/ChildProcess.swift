import Foundation
import LinuxShims

/// How a process ended.
public enum ExitStatus: Sendable, Equatable {
  case exited(Int32)
  case killed(signal: Int32)
}

/// What a command printed, and how it ended.
public struct CommandResult: Sendable {
  public var status: ExitStatus
  public var output: String
  public var errors: String
}

/// A child process with its output in files: it is signalled by its own id, never by name, and reaped once.
///
/// Files instead of pipes: no thread is needed to empty them, and what a process said before it died stays.
/// One thread at a time.
public final class ChildProcess {
  public let pid: pid_t
  public let outputPath: String
  public let errorPath: String
  private var status: ExitStatus?

  /// - Parameters:
  ///   - executable: a path.
  ///   - arguments: without the zeroth.
  ///   - environment: the whole of it.
  ///   - directory: the working directory; the output files go there too.
  ///   - name: of its output files.
  ///   - input: a descriptor for its standard input, which is /dev/null otherwise. It has no other of this process.
  /// - Throws: `HarnessError.system` if it can not be spawned.
  public init(
    _ executable: String, _ arguments: [String], environment: [String: String], directory: String,
    name: String, input: Int32? = nil
  ) throws {
    outputPath = "\(directory)/\(name).out"
    errorPath = "\(directory)/\(name).err"
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    let flags = O_WRONLY | O_CREAT | O_TRUNC | O_APPEND
    if let input {
      posix_spawn_file_actions_adddup2(&actions, input, 0)
    } else {
      posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    }
    posix_spawn_file_actions_addopen(&actions, 1, outputPath, flags, 0o600)
    posix_spawn_file_actions_addopen(&actions, 2, errorPath, flags, 0o600)
    ChildProcess.closeAll(from: 3, &actions)

    // The child begins with no signal blocked or ignored, whatever the test runner has done with them.
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    var all = sigset_t()
    sigemptyset(&none)
    sigfillset(&all)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setsigdefault(&attributes, &all)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

    // env(1) sets the working directory, for which posix_spawn has no portable action; then it becomes the
    // executable.
    guard access(executable, X_OK) == 0 else { throw StreamSocket.failure("execute \(executable)") }
    let words = ["env", "--chdir=\(directory)", executable] + arguments
    var argv: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
    var envp: [UnsafeMutablePointer<CChar>?] = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { for pointer in argv + envp { free(pointer) } }
    var child: pid_t = 0
    let code = posix_spawn(&child, "/usr/bin/env", &actions, &attributes, &argv, &envp)
    guard code == 0 else { throw StreamSocket.failure("spawn \(executable)", code) }
    pid = child
  }

  /// Of a child to be spawned, closes every descriptor from `first` on: another test's pipe, held open in a child, would
  /// never end for its reader.
  public static func closeAll(from first: Int32, _ actions: inout posix_spawn_file_actions_t) {
    shim_spawn_close_from(&actions, first)
  }

  /// A process that nobody has ended by now is ended, and reaped.
  deinit {
    if exitStatus() == nil {
      kill(pid, SIGKILL)
      var raw: Int32 = 0
      while waitpid(pid, &raw, 0) < 0 && errno == EINTR {}
    }
  }

  public var output: String { ChildProcess.text(of: outputPath) }
  public var errors: String { ChildProcess.text(of: errorPath) }

  /// How it ended; nil while it runs.
  public func exitStatus() -> ExitStatus? {
    if let status { return status }
    var raw: Int32 = 0
    guard waitpid(pid, &raw, WNOHANG) == pid else { return nil }
    let signal = raw & 0x7f
    status = signal == 0 ? .exited((raw >> 8) & 0xff) : .killed(signal: signal)
    return status
  }

  /// Sends a signal; nothing if it has been reaped, since its id may be another's by then.
  public func send(signal: Int32) { if exitStatus() == nil { kill(pid, signal) } }

  /// - Throws: `HarnessError.timedOut` if it still runs after `limit`.
  public func waitForExit(within limit: Duration) throws -> ExitStatus {
    try wait("the end of process \(pid)", within: limit, every: .milliseconds(3)) { exitStatus() != nil }
    return status ?? .exited(-1)
  }

  private static func text(of path: String) -> String {
    String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
  }
}

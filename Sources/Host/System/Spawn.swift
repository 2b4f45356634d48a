import Glibc
import LinuxShims

/// A child process (posix_spawn(3)).
enum Spawn {
  /// Starts a program with these descriptors and no others, default signal handling, in a process group of its own, so
  /// that a Ctrl-C at the terminal reaches the supervisor alone. Who starts it reaps it, by `Children.reap`.
  ///
  /// - Parameters:
  ///   - descriptors: what the child finds at which number; 0, 1 and 2 are inherited.
  ///   - blocked: the signals that wait until the child unblocks them.
  static func start(
    _ path: String, _ arguments: [String], environment: [String: String],
    descriptors: [(from: FileDescriptor, to: Int32)], blocked: [Int32] = []
  ) throws(SystemError) -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    // A source that has a number among the targets could be overwritten before its turn: a copy beyond them stands for it.
    let end = descriptors.map { $0.to + 1 }.reduce(STDERR_FILENO + 1, max)
    var copies: [FileDescriptor] = []
    defer { for copy in copies { copy.close() } }
    for pair in descriptors {
      var source = pair.from
      if source.raw < end {
        source = try copy(of: source, from: end)
        copies.append(source)
      }
      let code = posix_spawn_file_actions_adddup2(&actions, source.raw, pair.to)
      if code != 0 { throw SystemError("descriptor \(pair.to) of a child", code == EBADF ? EMFILE : code) }
    }
    // What whoever started us has left open.
    let closing = shim_spawn_close_from(&actions, end)
    if closing != 0 { throw SystemError("posix_spawn_file_actions_addclosefrom_np", closing) }
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    let flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF
    posix_spawnattr_setflags(&attributes, Int16(flags))
    posix_spawnattr_setpgroup(&attributes, 0)
    var signals = sigset_t()
    sigemptyset(&signals)
    for signal in blocked { sigaddset(&signals, signal) }
    posix_spawnattr_setsigmask(&attributes, &signals)
    sigfillset(&signals)
    posix_spawnattr_setsigdefault(&attributes, &signals)

    let pid = Children.note {
      withCStrings([path] + arguments) { argv in
        withCStrings(environment.map { "\($0.key)=\($0.value)" }) { envp in
          var pid = pid_t()
          let code = posix_spawn(&pid, path, &actions, &attributes, argv, envp)
          return code == 0 ? pid : -code
        }
      }
    }
    if pid < 0 { throw SystemError("posix_spawn \(path)", -pid) }
    return pid
  }

  private static func copy(of descriptor: FileDescriptor, from end: Int32) throws(SystemError)
    -> FileDescriptor
  {
    do throws(SystemError) {
      return FileDescriptor(
        raw: try checked("copy of a descriptor") { fcntl(descriptor.raw, F_DUPFD_CLOEXEC, end) })
    } catch {
      // EINVAL: `end` itself is past the limit.
      throw SystemError(error.call, error.code == EINVAL ? EMFILE : error.code)
    }
  }

  private static func withCStrings<R>(
    _ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> R
  ) -> R {
    var pointers: [UnsafeMutablePointer<CChar>?] = strings.map { strdup($0) }
    pointers.append(nil)
    defer { for pointer in pointers { free(pointer) } }
    return body(pointers)
  }
}

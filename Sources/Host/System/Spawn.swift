import Glibc

/// A child process (posix_spawn(3)).
enum Spawn {
  /// Starts a program with these descriptors and no others, default signal handling, nothing blocked, in a process
  /// group of its own, so that a Ctrl-C at the terminal reaches the supervisor alone.
  ///
  /// - Parameter descriptors: what the child finds at which number; 0, 1 and 2 are inherited.
  static func start(
    _ path: String, _ arguments: [String], environment: [String: String],
    descriptors: [(from: FileDescriptor, to: Int32)]
  ) throws(SystemError) -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    // In two steps, as a source may have a number that is another's target.
    let far: Int32 = 512
    for (index, pair) in descriptors.enumerated() {
      posix_spawn_file_actions_adddup2(&actions, pair.from.raw, far + Int32(index))
    }
    for (index, pair) in descriptors.enumerated() {
      posix_spawn_file_actions_adddup2(&actions, far + Int32(index), pair.to)
      posix_spawn_file_actions_addclose(&actions, far + Int32(index))
    }
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    let flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF
    posix_spawnattr_setflags(&attributes, Int16(flags))
    posix_spawnattr_setpgroup(&attributes, 0)
    var signals = sigset_t()
    sigemptyset(&signals)
    posix_spawnattr_setsigmask(&attributes, &signals)
    sigfillset(&signals)
    posix_spawnattr_setsigdefault(&attributes, &signals)

    var pid = pid_t()
    let code = withCStrings([path] + arguments) { argv in
      withCStrings(environment.map { "\($0.key)=\($0.value)" }) { envp in
        posix_spawn(&pid, path, &actions, &attributes, argv, envp)
      }
    }
    if code != 0 { throw SystemError("posix_spawn \(path)", code) }
    return pid
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

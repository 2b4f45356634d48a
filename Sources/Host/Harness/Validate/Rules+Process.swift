import Glibc
import LinuxShims

/// The process, which is not the plugin's.
extension Rule {
  static let processRules: [Rule] = [
    Rule(
      id: "signals", title: "signal handlers, masks and timers stay the host's",
      anchor: "Faults      A plugin never unwinds"
    ) { bench throws(Finding) in
      try ProcessCheck.compare(bench, ["signal", "mask", "timer"])
    },
    Rule(
      id: "environment", title: "working directory, umask, locale, environment and limits stay as they are",
      anchor: "The whole of what the host and a plugin share."
    ) { bench throws(Finding) in
      try ProcessCheck.compare(bench, ["directory", "umask", "locale", "variable", "limit", "rounding"])
    },
    Rule(
      id: "children", title: "no child process is left behind",
      anchor: "[main] the worker's main thread, before it serves and after"
    ) { bench throws(Finding) in
      try bench.start()
      for target in try bench.targets(of: .ordinary) { try bench.pass(target) }
      bench.stop()
      var status: Int32 = 0
      let child = waitpid(-1, &status, WNOHANG)
      if child >= 0 {
        throw .broken(
          "it has left a child process: \(child > 0 ? "one that has ended, and nobody waits for" : "one that runs")"
        )
      }
    },
    Rule(
      id: "output", title: "nothing is printed: what is to be said goes to the host's log",
      anchor: "/* One line in the host's log"
    ) { bench throws(Finding) in
      let captured = try ProcessCheck.captureOutput()
      try bench.start()
      for request in [ProbeRequest.ordinary] + ProbeRequest.hostile.prefix(12) {
        for target in try bench.targets(of: request) { try bench.pass(target) }
      }
      bench.stop()
      fflush(nil)
      let bytes: [UInt8]
      do throws(SystemError) { bytes = try captured.readAll() } catch { throw .broken("\(error)") }
      guard bytes.isEmpty else {
        let first = String(decoding: bytes.prefix(200), as: UTF8.self)
        throw .broken(
          "it printed \(bytes.count) bytes to standard output or error: \(first.quotedForMessage)")
      }
    },
    Rule(
      id: "exits", title: "the process is not ended", anchor: "Not called when the process ends by",
      timeLimit: .seconds(180)
    ) { bench throws(Finding) in
      // Whatever ends it, the supervisor of this check sees it.
      try bench.start()
      try bench.exercise()
      bench.stop()
    },
  ]
}

private enum ProcessCheck {
  /// Starts, exercises and stops the plugin, and compares what it must not change.
  static func compare(_ bench: RuleBench, _ kinds: [String]) throws(Finding) {
    let mask = bench.loop.run { _ in ProcessState.mask }
    let before = ProcessState.now
    try bench.start()
    for request in [ProbeRequest.ordinary] + ProbeRequest.hostile.prefix(12) {
      for target in try bench.targets(of: request) { try bench.pass(target) }
    }
    let during = ProcessState.now
    let maskAfter = bench.loop.run { _ in ProcessState.mask }
    bench.stop()
    if kinds.contains("mask"), mask != maskAfter {
      throw .broken("it changed the signal mask of a loop's thread")
    }
    for state in [during, ProcessState.now] {
      for kind in kinds {
        let changed = state.differences(from: before).filter { $0.kind == kind }
        if let first = changed.first { throw .broken("it changed \(first.text)") }
      }
    }
  }

  /// Standard output and error, from now on.
  static func captureOutput() throws(Finding) -> FileDescriptor {
    do throws(SystemError) {
      let file = FileDescriptor(raw: try checked("memfd_create") { shim_memfd("validate-output") })
      try checked("dup2") { dup2(file.raw, STDOUT_FILENO) }
      try checked("dup2") { dup2(file.raw, STDERR_FILENO) }
      return file
    } catch {
      throw .broken("\(error)")
    }
  }
}

/// What of a process is everybody's.
private struct ProcessState {
  private var values: [String: (kind: String, value: String)] = [:]

  struct Difference {
    var kind: String
    var text: String
  }

  static var mask: [UInt8] {
    var set = sigset_t()
    pthread_sigmask(SIG_BLOCK, nil, &set)
    return withUnsafeBytes(of: set) { Array($0) }
  }

  static var now: ProcessState {
    var state = ProcessState()
    func add(_ kind: String, _ name: String, _ value: String) { state.values[name] = (kind, value) }
    for number in 1..<Int32(65) {
      var action = sigaction()
      guard sigaction(number, nil, &action) == 0 else { continue }
      let bytes = withUnsafeBytes(of: action.__sigaction_handler) { Array($0) }
      add("signal", "the handler of signal \(number)", "\(bytes)")
    }
    for (timer, name) in [(ITIMER_REAL, "real"), (ITIMER_VIRTUAL, "virtual"), (ITIMER_PROF, "profiling")] {
      var value = itimerval()
      getitimer(__itimer_which_t(timer.rawValue), &value)
      add(
        "timer", "the \(name) timer",
        value.it_value.tv_sec != 0 || value.it_value.tv_usec != 0 ? "set" : "not set")
    }
    var set = sigset_t()
    pthread_sigmask(SIG_BLOCK, nil, &set)
    add("mask", "the signal mask of the main thread", withUnsafeBytes(of: set) { "\(Array($0))" })
    if let path = getcwd(nil, 0) {
      add("directory", "the working directory", String(cString: path))
      free(path)
    }
    let bits = umask(0)
    umask(bits)
    add("umask", "the umask", String(bits, radix: 8))
    add("locale", "the locale", setlocale(LC_ALL, nil).map { String(cString: $0) } ?? "")
    for (name, value) in Environment.all { add("variable", "the environment variable \(name)", value) }
    add("variable", "the environment", Environment.all.keys.sorted().joined(separator: " "))
    add("rounding", "the rounding mode of the main thread", "\(fegetround())")
    for (resource, name) in [
      (RLIMIT_NOFILE, "open files"), (RLIMIT_CORE, "core files"), (RLIMIT_STACK, "stacks"),
    ] {
      var limit = rlimit()
      getrlimit(__rlimit_resource_t(resource.rawValue), &limit)
      add("limit", "the limit of \(name)", "\(limit.rlim_cur)/\(limit.rlim_max)")
    }
    return state
  }

  func differences(from other: ProcessState) -> [Difference] {
    values.keys.sorted().compactMap { name in
      guard let mine = values[name] else { return nil }
      guard let theirs = other.values[name] else {
        return Difference(kind: mine.kind, text: "\(name): it was not there")
      }
      guard mine.value != theirs.value else { return nil }
      let isLong = mine.value.utf8.count > 80 || mine.kind == "signal"
      return Difference(
        kind: mine.kind,
        text: isLong
          ? name : "\(name) from \(theirs.value.quotedForMessage) to \(mine.value.quotedForMessage)")
    }
  }
}

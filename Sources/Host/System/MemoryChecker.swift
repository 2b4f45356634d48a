import Glibc

/// A checker of memory or threads that this process runs under: AddressSanitizer or ThreadSanitizer, preloaded for a plugin
/// that is built with them, or Valgrind.
///
/// Such a run is an author's, in search of a fault. The checker keeps the fault signals, so that its report names the line.
enum MemoryChecker: String, Sendable, CaseIterable {
  case addressSanitizer = "AddressSanitizer"
  case threadSanitizer = "ThreadSanitizer"
  case valgrind = "Valgrind"

  /// The checker is known by what is loaded; Valgrind's part in the process is preloaded by Valgrind itself.
  static let current: MemoryChecker? =
    if dlsym(nil, "__asan_init") != nil {
      .addressSanitizer
    } else if dlsym(nil, "__tsan_init") != nil {
      .threadSanitizer
    } else if Environment.all["LD_PRELOAD"].map({ strstr($0, "vgpreload_") != nil }) ?? false {
      .valgrind
    } else {
      nil
    }

  /// What is said once.
  var notice: String {
    "\(rawValue) is loaded: its reports go to standard error, and it keeps the fault signals"
  }

  /// What a child needs in its environment so that the checker keeps the fault signals from the host's own handlers. What the
  /// operator has set counts over it. Valgrind sees a fault before any handler, and needs nothing.
  ///
  /// Leaks are not looked for unless asked for: a process of the host ends with threads and plugins as they stand.
  static func prepare(_ environment: inout [String: String]) {
    let name: String
    var options = "handle_segv=2:handle_sigbus=2:handle_sigill=2:handle_sigfpe=2:handle_abort=2"
    switch current {
    case .addressSanitizer:
      name = "ASAN_OPTIONS"
      options += ":detect_leaks=0:use_sigaltstack=0"
    case .threadSanitizer: name = "TSAN_OPTIONS"
    case .valgrind, nil: return
    }
    if let given = environment[name], !given.isEmpty { options += ":\(given)" }
    environment[name] = options
  }

  /// How the first line of a report is known.
  private var beginnings: [String] {
    switch self {
    case .addressSanitizer: ["ERROR: AddressSanitizer", "AddressSanitizer:DEADLYSIGNAL"]
    case .threadSanitizer:
      ["WARNING: ThreadSanitizer", "ERROR: ThreadSanitizer", "ThreadSanitizer:DEADLYSIGNAL"]
    case .valgrind:
      [
        "== Invalid read", "== Invalid write", "== Invalid free", "== Mismatched free", "== Conditional jump",
        "== Use of uninitialised", "== Syscall param", "== Source and destination overlap",
        "== Jump to the invalid",
        "== Process terminating", "== Possible data race",
      ]
    }
  }

  /// So many lines are kept of a report and what follows it.
  private static let longestReport = 100

  /// What the checker has reported, from its first line on; nil if nothing.
  func report(in output: [UInt8]) -> [String]? {
    let lines = String(decoding: output, as: UTF8.self).split(whereSeparator: \.isNewline).map(String.init)
    guard let first = lines.firstIndex(where: { line in beginnings.contains { strstr(line, $0) != nil } })
    else {
      return nil
    }
    let report = Array(lines[first...].prefix(MemoryChecker.longestReport))
    // What follows the sanitizers' summary is their legend.
    guard let last = report.firstIndex(where: { strstr($0, "SUMMARY: ") != nil }) else { return report }
    return Array(report[...last])
  }
}

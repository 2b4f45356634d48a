import Glibc

/// Has another process of this program load a library, so that whatever the library does is only a result.
enum LibraryInspection {
  static let timeLimit = Duration.seconds(15)

  /// - Parameter starts: whether to start the plugin too, with its default settings and a directory that is removed
  ///   afterwards. A start that fails leaves the report with a `failure`.
  /// - Returns: a report with `isLoaded`; or why the library cannot be loaded.
  static func run(_ path: String, starts: Bool) -> Result<LibraryReport, LibraryReport.Failure> {
    do throws(SystemError) {
      guard starts else { return judge(try inspect(path, [])) }
      let directory = try TemporaryDirectory()
      defer { directory.remove() }
      return judge(try inspect(path, ["--state-dir", directory.path]))
    } catch {
      return .failure(LibraryReport.Failure(reason: "load-failed", message: "\(error)"))
    }
  }

  private static func inspect(_ path: String, _ options: [String]) throws(SystemError) -> ChildOutcome {
    var environment = Environment.all
    // A backtrace of the Swift runtime's takes seconds, and is of no use here.
    environment["SWIFT_BACKTRACE"] = "enable=no"
    return try ChildProcess.run(
      Executable.path, ["inspect"] + options + ["--", path], environment: environment, timeLimit: timeLimit)
  }

  /// What a child's end and words come to.
  static func judge(_ outcome: ChildOutcome) -> Result<LibraryReport, LibraryReport.Failure> {
    var report: LibraryReport
    do throws(LibraryReport.Malformed) {
      report = try LibraryReport(reading: outcome.report)
    } catch {
      return .failure(
        LibraryReport.Failure(
          reason: "load-failed", message: "the report of 'inspect' is malformed in line \(error.line)"))
    }
    if !report.isComplete {
      let reason: Quarantine.Reason =
        switch outcome.end {
        case .exited: .exited
        case .signalled: .crashed
        case .timedOut: .hung
        }
      let words = outcome.lastWords.map { "; it last said: \($0)" } ?? ""
      let phase = report.isLoaded ? "starting" : "loading"
      report.failure = LibraryReport.Failure(
        reason: reason.rawValue, message: "\(phase) it \(outcome.howItEnded)\(words)")
    }
    if report.isLoaded { return .success(report) }
    return .failure(
      report.failure ?? LibraryReport.Failure(reason: "load-failed", message: "'inspect' says nothing of it"))
  }
}

import Glibc

/// Has another process of this program load a library, so that whatever the library does is only a result.
enum LibraryInspection {
  static let timeLimit = Duration.seconds(15)

  /// What is asked of the library, once it is loaded.
  enum Question: Sendable, Equatable {
    case nothing
    /// What is wrong with the settings of this section.
    case settings(of: String, configuration: String)
    /// Which routes it has: it is started, with its default settings and a directory that is removed afterwards. A start
    /// that fails leaves the report with a `failure`.
    case routes

    /// What it does meanwhile.
    fileprivate var activity: String {
      switch self {
      case .nothing: "loading"
      case .settings: "checking its settings"
      case .routes: "starting"
      }
    }
  }

  /// - Returns: a report with `isLoaded`; or why the library cannot be loaded.
  static func run(_ path: String, asking question: Question = .nothing) -> Result<
    LibraryReport, LibraryReport.Failure
  > {
    do throws(SystemError) {
      switch question {
      case .nothing: return judge(try inspect(path, []), question)
      case .settings(let section, let configuration):
        return judge(try inspect(path, ["--config", configuration, "--section", section]), question)
      case .routes:
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        return judge(try inspect(path, ["--state-dir", directory.path]), question)
      }
    } catch {
      return .failure(LibraryReport.Failure(reason: "load-failed", message: "\(error)"))
    }
  }

  private static func inspect(_ path: String, _ options: [String]) throws(SystemError) -> ChildOutcome {
    var environment = Environment.all
    // A backtrace of the Swift runtime's takes seconds, and is of no use here.
    environment["SWIFT_BACKTRACE"] = "enable=no"
    MemoryChecker.prepare(&environment)
    return try ChildProcess.run(
      Executable.path, ["inspect"] + options + ["--", path], environment: environment, timeLimit: timeLimit)
  }

  /// What a child's end and words come to.
  static func judge(
    _ outcome: ChildOutcome, _ question: Question = .nothing
  ) -> Result<LibraryReport, LibraryReport.Failure> {
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
      let activity = report.isLoaded ? question.activity : Question.nothing.activity
      report.failure = LibraryReport.Failure(
        reason: reason.rawValue, message: "\(activity) it \(outcome.howItEnded)\(words)")
    }
    if report.isLoaded { return .success(report) }
    return .failure(
      report.failure ?? LibraryReport.Failure(reason: "load-failed", message: "'inspect' says nothing of it"))
  }
}

import Glibc

/// Checks one rule, in a process of its own, and reports `{"verdict":"passed"|"failed"|"skipped","message":…}`.
struct RuleRun {
  private let job: HarnessJob
  private let directory: String
  private let reporter: HarnessReporter

  init(_ job: HarnessJob, directory: String, _ reporter: HarnessReporter) {
    self.job = job
    self.directory = directory
    self.reporter = reporter
  }

  func run() throws(SystemError) {
    guard let rule = Rule.named(job.rule) else {
      throw SystemError("check the rule \(job.rule)", EINVAL)
    }
    signal(SIGPIPE, SIG_IGN)
    Log.shared.configure(level: .error, format: .text)
    let bench = try RuleBench(job, directory: directory, reporter)
    do throws(Finding) {
      try rule.check(bench)
      RuleRun.report(nil, reporter)
    } catch {
      RuleRun.report(error, reporter)
    }
    _exit(0)
  }

  static func report(_ finding: Finding?, _ reporter: HarnessReporter) {
    reporter.say { json in
      switch finding {
      case nil: json.field("verdict", "passed")
      case .broken(let message, let details):
        json.field("verdict", "failed")
        json.field("message", message)
        json.field("details", details)
      case .elsewhere(let rule, let message, let details):
        json.field("verdict", "failed")
        json.field("rule", rule)
        json.field("message", message)
        json.field("details", details)
      case .notApplicable(let why):
        json.field("verdict", "skipped")
        json.field("message", why)
      }
    }
  }
}

import Glibc

struct RuleRun {
  init(_ job: HarnessJob, directory: String, _ reporter: HarnessReporter) {}
  func run() throws(SystemError) { throw SystemError("validate", ENOSYS) }
}
enum ValidateCommand {
  static func run(_ options: ValidateOptions) -> ExitStatus {
    Output.complain("'validate' is not available in this version")
    return .unavailable
  }
}
enum NewCommand {
  static func run(_ options: NewOptions) -> ExitStatus {
    Output.complain("'new' is not available in this version")
    return .unavailable
  }
}

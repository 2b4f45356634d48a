struct RuleRun { init(_ job: HarnessJob, directory: String, _ reporter: HarnessReporter) {}
 func run() throws(SystemError) {} }
enum ValidateCommand { static func run(_ o: ValidateOptions) -> ExitStatus { .unavailable } }
enum NewCommand { static func run(_ o: NewOptions) -> ExitStatus { .unavailable } }

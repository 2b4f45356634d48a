import Glibc

extension Command {
  /// The program: reads the command line, does what it says, and exits.
  static func main() -> Never {
    exit(status(of: Array(CommandLine.arguments.dropFirst())))
  }

  private static func status(of arguments: [String]) -> Int32 {
    switch parse(arguments) {
    case .failure(let error):
      Output.complain("\(error)")
      Output.complain("try 'bulkhead \(error.topic.map { "help \($0)" } ?? "--help")'")
      return ExitStatus.usage.rawValue
    case .success(let command):
      return command.perform()
    }
  }

  private func perform() -> Int32 {
    switch self {
    case .run(let options):
      RunCommand.run(
        configurationPath: ConfigurationLocation.path(given: options.configuration),
        listenOverride: options.listen, isDebugging: options.isDebugging
      ).rawValue
    case .check(let options): CheckCommand.run(options).rawValue
    case .describe(let options): DescribeCommand.run(options).rawValue
    case .status(let options): StatusCommand.run(options).rawValue
    case .tell(let options): OperatorCommand.run(options).rawValue
    case .faults(let options): FaultsCommand.run(options).rawValue
    case .version(let json): VersionCommand.run(json: json).rawValue
    case .completions(let shell): CompletionsCommand.run(shell).rawValue
    case .help(let topic): Output.print(topic.map(HelpText.topic) ?? HelpText.overview()).rawValue
    // Threads may be frozen in plugins: nothing that they hold may be waited for on the way out.
    case .worker: _exit(WorkerProcess.run())
    case .inspect(let options): InspectCommand.run(options).rawValue
    case .test(let options): TestCommand.run(options).rawValue
    case .validate(let options): ValidateCommand.run(options).rawValue
    case .new(let options): NewCommand.run(options).rawValue
    case .bisect(let options): BisectCommand.run(options).rawValue
    case .harness(let directory): HarnessCommand.run(directory).rawValue
    }
  }
}

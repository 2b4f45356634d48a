import Testing

@testable import bulkhead

@Suite("The command line")
struct CommandParsingTests {
  private func parse(_ line: String) -> Result<Command, UsageError> {
    Command.parse(line.split(separator: " ").map(String.init))
  }

  @Test(
    "every command with its options",
    arguments: [
      ("run", Command.run(RunOptions())),
      ("run --config a.conf --listen [::]:80", .run(RunOptions(configuration: "a.conf", listen: "[::]:80"))),
      ("run --listen=unix:/a=b", .run(RunOptions(listen: "unix:/a=b"))),
      ("check", .check(CheckOptions())), ("check --json", .check(CheckOptions(json: true))),
      ("check --config=x", .check(CheckOptions(configuration: "x"))),
      ("describe A", .describe(DescribeOptions(library: "A"))),
      (
        "describe --json A --config c",
        .describe(DescribeOptions(library: "A", configuration: "c", json: true))
      ),
      ("describe -- --odd", .describe(DescribeOptions(library: "--odd"))),
      ("version", .version(json: false)), ("version --json", .version(json: true)),
      ("--version", .version(json: false)),
      ("--help", .help(topic: nil)), ("-h", .help(topic: nil)), ("help", .help(topic: nil)),
      ("help run", .help(topic: .run)), ("run --help", .help(topic: .run)),
      ("check --bogus -h", .help(topic: .check)), ("worker", .worker),
      ("status --json", .status(StatusOptions(json: true))),
      ("status --watch", .status(StatusOptions(watch: .seconds(2)))),
      ("status --watch --json", .status(StatusOptions(json: true, watch: .seconds(2)))),
      ("status --watch 0.5 --json", .status(StatusOptions(json: true, watch: .milliseconds(500)))),
      ("status --watch=250ms", .status(StatusOptions(watch: .milliseconds(250)))),
      ("reload --config c", .tell(OperatorOptions(line: "reload", configuration: "c"))),
      ("reload --force --json", .tell(OperatorOptions(line: "reload force", json: true))),
      ("stop --state-dir d", .tell(OperatorOptions(line: "stop", stateDirectory: "d"))),
      ("faults --state-dir=d x", .faults(FaultsOptions(id: "x", stateDirectory: "d"))),
      ("status --state-dir d", .status(StatusOptions(stateDirectory: "d"))),
      ("stop", .tell(OperatorOptions(line: "stop"))),
      ("quarantine auth --json", .tell(OperatorOptions(line: "quarantine auth", json: true))),
      ("release auth", .tell(OperatorOptions(line: "release auth"))),
      ("bypass heavy", .tell(OperatorOptions(line: "bypass heavy"))),
      ("drain", .tell(OperatorOptions(line: "drain on"))),
      ("drain off --json", .tell(OperatorOptions(line: "drain off", json: true))),
      ("log-level debug", .tell(OperatorOptions(line: "log-level debug"))),
      ("faults", .faults(FaultsOptions())), ("faults 01ab", .faults(FaultsOptions(id: "01ab"))),
      ("inspect --state-dir d -- lib.so", .inspect(InspectOptions(library: "lib.so", stateDirectory: "d"))),
    ])
  func commands(line: String, command: Command) throws {
    #expect(try parse(line).get() == command)
  }

  @Test(
    "a line that makes no sense says what is wrong, and what was meant",
    arguments: [
      ("", "no command"), ("rnu", "did you mean 'run'?"), ("chekc", "did you mean 'check'?"),
      ("--hepl", "unknown option '--hepl'; did you mean '--help'?"), ("statsu", "did you mean 'status'?"),
      ("run --confg x", "unknown option '--confg'; did you mean '--config'?"), ("run x", "does not take 'x'"),
      ("run --config", "--config needs a value: --config FILE"), ("run --config=", "needs a value"),
      ("run --config a --config b", "stands twice"), ("check --json=yes", "takes no value"),
      ("check --json --json", "stands twice"), ("describe", "needs LIB"),
      ("describe a b", "does not take 'b'"),
      ("bypass", "needs MODE"), ("drain of", "'of' is none of on, off"),
      ("bypass al", "none of all, heavy, off; did you mean 'all'?"),
      ("log-level loud", "none of error, warning, info, debug"), ("quarantine", "needs NAME"),
      ("status --watch 0", "out of range"), ("status --watch x", "--watch"),
      ("status --watch --watch 3", "stands twice"), ("status --watch=", "needs a value"),
      ("help nonsense", "unknown command"), ("version 1", "does not take '1'"),
    ])
  func wrong(line: String, says: String) {
    guard case .failure(let error) = parse(line) else {
      Issue.record("accepted")
      return
    }
    #expect(error.description.contains(says), "\(error)")
  }

  @Test("the help names every command and option, and nothing hidden")
  func help() {
    for command in CommandSpecification.all {
      #expect(HelpText.overview().contains("\n  \(command.name) ") == !command.isHidden)
      let topic = HelpText.topic(command)
      for option in command.options { #expect(topic.contains(option.name)) }
    }
  }
}

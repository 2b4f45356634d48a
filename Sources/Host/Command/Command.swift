/// What one invocation of `bulkhead` is asked to do.
enum Command: Sendable, Equatable {
  case run(RunOptions)
  case check(CheckOptions)
  case describe(DescribeOptions)
  case status(StatusOptions)
  /// `reload`, `stop`, `quarantine`, `release`, `bypass`, `drain`, `log-level`.
  case tell(OperatorOptions)
  case faults(FaultsOptions)
  case version(json: Bool)
  case completions(CompletionShell)
  /// Nil for the overview.
  case help(topic: CommandSpecification?)
  /// Started by the supervisor, with descriptors that it leaves open.
  case worker
  /// Started by `check` and `describe`: loads a library, and reports on descriptor 3.
  case inspect(InspectOptions)
  case test(TestOptions)
  case validate(ValidateOptions)
  case new(NewOptions)
  case bisect(BisectOptions)
  /// Started by those four: does the job in this directory, and reports on descriptor 3.
  case harness(directory: String)
}

struct RunOptions: Sendable, Equatable {
  /// Nil for where it is looked for (`ConfigurationLocation`), as in all of these.
  var configuration: String?
  /// Instead of the configuration's `listen`.
  var listen: String?
  /// Plugins and workers may take any time.
  var isDebugging = false
}

struct CheckOptions: Sendable, Equatable {
  var configuration: String?
  var json = false
}

struct DescribeOptions: Sendable, Equatable {
  /// A path, or a bare name as in the configuration.
  var library: String
  /// Where `plugin-path` is looked up for a bare name; nil for the one that `run` takes, if there is one.
  var configuration: String?
  var json = false
}

struct StatusOptions: Sendable, Equatable {
  var configuration: String?
  /// The host's state directory; nil for the one that the configuration names.
  var stateDirectory: String?
  var json = false
  /// Between two looks; nil for one look.
  var watch: Duration?
}

struct OperatorOptions: Sendable, Equatable {
  /// What the host is told: `quarantine auth`.
  var line: String
  var configuration: String?
  var stateDirectory: String?
  var json = false
}

struct FaultsOptions: Sendable, Equatable {
  /// Nil for all of them.
  var id: String?
  var configuration: String?
  var stateDirectory: String?
  var json = false
}

struct InspectOptions: Sendable, Equatable {
  var library: String
  /// Start the plugin too, with this for its files; nil only loads it.
  var stateDirectory: String?
  /// Ask it, too, what is wrong with the settings of the section SECTION in the file CONFIGURATION.
  var configuration: String?
  var section: String?
}

struct TestOptions: Sendable, Equatable {
  /// A path, or a bare name as in the configuration.
  var library: String
  /// Files and directories; empty for those that come with the library.
  var cases: [String] = []
  /// Over those of the files.
  var settings: [RawSetting] = []
  /// Of a fault on record, to run again in place of any case.
  var replay: String?
  /// Only cases whose name holds this.
  var filter: String?
  var configuration: String?
  /// For one case.
  var timeLimit = Duration.seconds(60)
  /// Where to write JUnit XML.
  var junit: String?
  var json = false
}

struct ValidateOptions: Sendable, Equatable {
  var library: String
  var settings: [RawSetting] = []
  /// Of the rules to check; empty for all.
  var only: [String] = []
  /// List the rules, and check nothing.
  var list = false
  var configuration: String?
  var junit: String?
  var json = false
}

struct NewOptions: Sendable, Equatable {
  enum Language: String, Sendable, CaseIterable { case swift, c }

  /// Of the plugin, in kebab-case.
  var name: String
  var language = Language.swift
  /// Where to make it; nil for the name in the working directory.
  var directory: String?
  /// Bulkhead's own package; nil to look for it.
  var sdk: String?
  var json = false
}

struct BisectOptions: Sendable, Equatable {
  /// A file with a request's bytes, or `METHOD PATH`.
  var request: [String]
  /// `Name: value`, of a request that is no file's.
  var fields: [String] = []
  var body: String?
  var configuration: String?
  /// The status that the request should get; nil: any below 500.
  var expected: Int?
  /// For one run of the request.
  var timeLimit = Duration.seconds(15)
  var json = false
}

/// The command line makes no sense.
struct UsageError: Error, Sendable, Equatable, CustomStringConvertible {
  /// One line, for people.
  var description: String
  /// The command whose help will tell.
  var topic: String?
}

/// What one invocation of `bulkhead` is asked to do.
enum Command: Sendable, Equatable {
  case run(RunOptions)
  case check(CheckOptions)
  case describe(DescribeOptions)
  case status(StatusOptions)
  /// `reload`, `stop`, `quarantine`, `release`, `bypass`, `log-level`.
  case tell(OperatorOptions)
  case faults(FaultsOptions)
  case version(json: Bool)
  /// Nil for the overview.
  case help(topic: CommandSpecification?)
  /// Started by the supervisor, with descriptors that it leaves open.
  case worker
  /// Started by `check` and `describe`: loads a library, and reports on descriptor 3.
  case inspect(InspectOptions)
  /// A command that this version knows of, and does not have.
  case unavailable(name: String)
}

struct RunOptions: Sendable, Equatable {
  var configuration = "plugins.conf"
  /// Instead of the configuration's `listen`.
  var listen: String?
}

struct CheckOptions: Sendable, Equatable {
  var configuration = "plugins.conf"
  var json = false
}

struct DescribeOptions: Sendable, Equatable {
  /// A path, or a bare name as in the configuration.
  var library: String
  /// Where `plugin-path` is looked up for a bare name; nil for plugins.conf, if there is one.
  var configuration: String?
  var json = false
}

struct StatusOptions: Sendable, Equatable {
  var configuration = "plugins.conf"
  var json = false
}

struct OperatorOptions: Sendable, Equatable {
  /// What the host is told: `quarantine auth`.
  var line: String
  var configuration = "plugins.conf"
  var json = false
}

struct FaultsOptions: Sendable, Equatable {
  /// Nil for all of them.
  var id: String?
  var configuration = "plugins.conf"
  var json = false
}

struct InspectOptions: Sendable, Equatable {
  var library: String
  /// Start the plugin too, with this for its files; nil only loads it.
  var stateDirectory: String?
}

/// The command line makes no sense.
struct UsageError: Error, Sendable, Equatable, CustomStringConvertible {
  /// One line, for people.
  var description: String
  /// The command whose help will tell.
  var topic: String?
}

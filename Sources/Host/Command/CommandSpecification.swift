/// A command as the parser and the help know it.
struct CommandSpecification: Sendable, Equatable {
  struct Option: Sendable, Equatable {
    /// With its dashes: `--config`.
    var name: String
    /// What stands for its value in the help; nil for a switch.
    var value: String?
    /// One line.
    var help: String
    /// It may stand more than once.
    var isRepeatable = false
    /// It may stand without its value.
    var isValueOptional = false

    /// Its value names a file, a directory or a socket.
    var isPath: Bool { ["FILE", "DIR", "ADDR"].contains(value) }

    /// As the help shows it: `--config FILE`.
    var usage: String {
      guard let value else { return name }
      return isValueOptional ? "\(name) [\(value)]" : "\(name) \(value)"
    }
  }

  var name: String
  /// What stands for its one argument in the help; nil if it takes none.
  var argument: String?
  var isArgumentOptional = false
  /// What stands for the arguments after that one; nil if there are none.
  var furtherArguments: String?
  /// What the argument may be; empty for anything.
  var choices: [String] = []
  /// One line.
  var summary: String
  var details = ""
  var options: [Option] = []
  /// Not for people to type.
  var isHidden = false
}

extension CommandSpecification {
  static let config = Option(
    name: "--config", value: "FILE",
    help: "the configuration; if not given BULKHEAD_CONFIG, plugins.conf or /etc/bulkhead/plugins.conf")
  static let stateDirectory = Option(
    name: "--state-dir", value: "DIR", help: "the running host's, in place of the configuration's")
  static let json = Option(name: "--json", value: nil, help: "print one JSON object")

  static let run = CommandSpecification(
    name: "run", summary: "serve",
    details: """
      Serves until SIGTERM or SIGINT, which finish the requests in flight first. Answers health, version, diagnostics and
      CORS at once, and the paths of plugins when they have started: until then /health says starting. The file and the libraries it names are
      watched, and a change is taken by itself; SIGHUP makes the next generation in any case. PORT in the environment overrides the port of TCP listeners; BYPASS_ALL_MIDDLEWARE=true
      and DISABLE_HEAVY_MIDDLEWARE=true switch middleware off.
      """,
    options: [
      config,
      Option(
        name: "--listen", value: "ADDR", help: "instead of 'listen': 127.0.0.1:8080, [::]:80 or unix:/path"),
      Option(
        name: "--debug", value: nil,
        help: "nobody is late, and nothing counts as standing still: for debuggers and memory checkers"),
    ])

  static let check = CommandSpecification(
    name: "check", summary: "validate the configuration and the plugins it names",
    details: """
      Reads the configuration, loads each plugin in a process of its own, and asks it which of its settings it would
      refuse. Prints each problem with its line, and exits with 1 if there is any. Nothing is started.
      """,
    options: [config, json])

  static let describe = CommandSpecification(
    name: "describe", argument: "LIB", summary: "show what a plugin is, serves and takes",
    details: """
      LIB is the path of a library, or a bare name that is looked up in the configuration's plugin-path. It is loaded
      in a process of its own and, if it is a router, started there with its default settings and an empty
      directory, since only then its routes are known.
      """,
    options: [config, json])

  static let status = CommandSpecification(
    name: "status", summary: "show how the running host stands",
    details: """
      Generations, configuration, switches, and the state of each plugin with the reason for it. The host is found by
      --state-dir, BULKHEAD_STATE_DIR or the configuration, also when that is broken. On a terminal the table is as wide as that, and coloured, unless NO_COLOR is set.

      --watch looks again every 2 seconds, or every SECONDS: on a terminal on one screen that Ctrl-C leaves with 0,
      elsewhere with a block of text, or with --json a line, for each look. A host that goes away meanwhile is waited for.
      """,
    options: [
      config, stateDirectory, json,
      Option(
        name: "--watch", value: "SECONDS", help: "look again and again; 2 if not given, 0.1 at least",
        isValueOptional: true),
    ])

  static let reload = CommandSpecification(
    name: "reload", summary: "take the configuration and the libraries as they are now",
    details: """
      Waits until the next generation serves. Exits with 1, and says why, if it does not come to that: the one before
      goes on then. Plugins that failed to start are tried again.

      A change that would take out a plugin that serves, drop a required one or leave nothing to serve is held: the command
      exits with 1 and says what is held. With --force such a change is taken all the same.
      """,
    options: [
      config, stateDirectory, json,
      Option(
        name: "--force", value: nil,
        help: "take a change that would put out what serves, too"),
    ])

  static let stop = CommandSpecification(
    name: "stop", summary: "end the running host",
    details: """
      Requests in flight are finished first. Waits for the end: the next host can be started at once. Exits with 1 if the
      host has not ended some seconds after its drain-timeout.
      """,
    options: [config, stateDirectory, json])

  static let quarantine = CommandSpecification(
    name: "quarantine", argument: "NAME", summary: "take a plugin out of service",
    details: """
      Requests in its scope are answered as its on-failure says, until 'bulkhead release NAME', or until its
      section is changed.
      """,
    options: [config, stateDirectory, json])

  static let release = CommandSpecification(
    name: "release", argument: "NAME", summary: "put a plugin back into service, at once",
    details: "One that has failed is started again, beside what serves, without waiting for its next turn.",
    options: [config, stateDirectory, json])

  static let bypass = CommandSpecification(
    name: "bypass", argument: "MODE", choices: ["all", "heavy", "off"],
    summary: "switch middleware off, or on again: all, heavy or off",
    details: """
      all: no middleware runs; routes, built-ins and CORS do, and protected routes answer 401. heavy: what is marked
      'heavy' is off. Holds until it is changed, or the host ends.
      """,
    options: [config, stateDirectory, json])

  static let drain = CommandSpecification(
    name: "drain", argument: "MODE", isArgumentOptional: true, choices: Draining.allCases.map(\.rawValue),
    summary: "take the host out of readiness, or back in: on (the default) or off",
    details: """
      /health/ready answers 503 with the reason draining, so that a balancer sends its clients elsewhere; all else is
      served as before. Holds until 'bulkhead drain off', or until the host ends.
      """,
    options: [config, stateDirectory, json])

  static let logLevel = CommandSpecification(
    name: "log-level", argument: "LEVEL", choices: ["error", "warning", "info", "debug"],
    summary: "change what is logged: error, warning, info or debug",
    details: "Holds until it is changed, or the host ends.", options: [config, stateDirectory, json])

  static let faults = CommandSpecification(
    name: "faults", argument: "ID", isArgumentOptional: true,
    summary: "list the faults on record, or show one",
    details: """
      The ledger is kept in state-dir/faults, and can be read whether the host runs or not. Beside ID.json stands
      ID.request where a request met the fault.
      """,
    options: [config, stateDirectory, json])

  static let version = CommandSpecification(
    name: "version", summary: "show the version, the commit and the plugin ABI", options: [json])

  static let completions = CommandSpecification(
    name: "completions", argument: "SHELL", choices: CompletionShell.allCases.map(\.rawValue),
    summary: "print the completion script of bash, zsh or fish",
    details: """
      To try it in bash: source <(bulkhead completions bash). 'make install' puts each where its shell looks.
      """)

  static let help = CommandSpecification(
    name: "help", argument: "COMMAND", isArgumentOptional: true,
    summary: "show this, or the help of one command")

  static let worker = CommandSpecification(
    name: "worker", summary: "serve one generation, for the supervisor", isHidden: true)

  static let inspect = CommandSpecification(
    name: "inspect", argument: "LIB", summary: "load a library and report on descriptor 3",
    options: [
      Option(name: "--state-dir", value: "DIR", help: "start the plugin too, with its files there"),
      Option(name: "--config", value: "FILE", help: "with --section: the configuration"),
      Option(name: "--section", value: "NAME", help: "ask it what is wrong with [plugin NAME]"),
    ],
    isHidden: true)

  static let all = [
    run, check, status, reload, stop, quarantine, release, bypass, drain, logLevel, faults, describe, test,
    validate,
    new,
    bisect, completions, version, help, worker, inspect, harness,
  ]
}

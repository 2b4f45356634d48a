/// A command as the parser and the help know it.
struct CommandSpecification: Sendable, Equatable {
  struct Option: Sendable, Equatable {
    /// With its dashes: `--config`.
    var name: String
    /// What stands for its value in the help; nil for a switch.
    var value: String?
    /// One line.
    var help: String
  }

  var name: String
  /// What stands for its one argument in the help; nil if it takes none.
  var argument: String?
  var isArgumentOptional = false
  /// One line.
  var summary: String
  var details = ""
  var options: [Option] = []
  /// Not for people to type.
  var isHidden = false
}

extension CommandSpecification {
  private static let config = Option(
    name: "--config", value: "FILE", help: "the configuration; plugins.conf if not given")
  private static let json = Option(name: "--json", value: nil, help: "print one JSON object")

  static let run = CommandSpecification(
    name: "run", summary: "serve",
    details: """
      Serves until SIGTERM or SIGINT, which finish the requests in flight first. SIGHUP takes a changed
      configuration. PORT in the environment overrides the port of TCP listeners; BYPASS_ALL_MIDDLEWARE=true
      and DISABLE_HEAVY_MIDDLEWARE=true switch middleware off.
      """,
    options: [
      config,
      Option(
        name: "--listen", value: "ADDR", help: "instead of 'listen': 127.0.0.1:8080, [::]:80 or unix:/path"),
    ])

  static let check = CommandSpecification(
    name: "check", summary: "validate the configuration and the plugins it names",
    details: """
      Reads the configuration and loads each plugin in a process of its own. Prints each problem with its line, and
      exits with 1 if there is any. Nothing is started.
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

  static let version = CommandSpecification(
    name: "version", summary: "show the version, the commit and the plugin ABI", options: [json])

  static let help = CommandSpecification(
    name: "help", argument: "COMMAND", isArgumentOptional: true,
    summary: "show this, or the help of one command")

  static let worker = CommandSpecification(
    name: "worker", summary: "serve one generation, for the supervisor", isHidden: true)

  static let inspect = CommandSpecification(
    name: "inspect", argument: "LIB", summary: "load a library and report on descriptor 3",
    options: [Option(name: "--state-dir", value: "DIR", help: "start the plugin too, with its files there")],
    isHidden: true)

  static let all = [run, check, describe, version, help, worker, inspect]

  /// Known by name, so that they are not taken for misspelt ones.
  static let unavailable = [
    "status", "reload", "stop", "quarantine", "release", "bypass", "log-level", "faults", "test", "validate",
    "new",
  ]
}

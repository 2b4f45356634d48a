/// The commands of the harness: what they take, and how their words are read.
extension CommandSpecification {
  private static let set = Option(
    name: "--set", value: "KEY=VALUE", help: "a setting of the plugin, over those of the files; repeatable",
    isRepeatable: true)
  private static let lookup = Option(
    name: "--config", value: "FILE",
    help: "whose plugin-path a bare name is looked up in; the one that run takes if not given")
  private static let junit = Option(name: "--junit", value: "FILE", help: "write JUnit XML there too")

  static let test = CommandSpecification(
    name: "test", argument: "LIB", furtherArguments: "[CASES…]",
    summary: "run a plugin's cases, each in a process of its own",
    details: """
      LIB is the path of a library, or a bare name as in the configuration. CASES are files or directories of *.case; if
      there are none, those that come with the library: cases/NAME beside it, or Plugins/NAME/Cases and Cases in the
      source tree around it. A crash, a hang or an exit of the plugin is a failed case. The last line is 'N passed, N
      failed'; exits with 1 if any failed.

      --replay runs a fault of the ledger again, from the request that stands beside its record, with the settings that
      the plugin has in the configuration: it fails until the plugin is fixed.
      """,
    options: [
      set, Option(name: "--replay", value: "ID", help: "a fault on record, in place of cases"),
      Option(name: "--filter", value: "TEXT", help: "only cases whose name holds this"),
      Option(name: "--time-limit", value: "TIME", help: "for one case; 60s if not given"),
      lookup, junit, json,
    ])

  static let validate = CommandSpecification(
    name: "validate", argument: "LIB",
    summary: "check a plugin against every rule of the boundary, and abuse it",
    details: """
      Each rule is checked in a process of its own: the table and its strings, the settings, hostile requests, calls from
      all loops at once, start and stop, leaks, threads, memory that is not the plugin's, and what it does to the process.
      Each finding names the rule, its place in plugin.h, and the command that does it again. The last line is
      'N passed, N failed'; exits with 1 if any failed.
      """,
    options: [
      set,
      Option(name: "--only", value: "RULE", help: "check this rule alone; repeatable", isRepeatable: true),
      Option(name: "--list", value: nil, help: "list the rules, and check none"), lookup, junit, json,
    ])

  static let new = CommandSpecification(
    name: "new", argument: "plugin", furtherArguments: "NAME", choices: ["plugin"],
    summary: "make a plugin's package, which builds, tests and loads as it stands",
    details: """
      NAME is in kebab-case. The package holds the plugin, its tests, its cases, and a README with the commands.
      """,
    options: [
      Option(name: "--language", value: "LANGUAGE", help: "swift or c; swift if not given"),
      Option(name: "--directory", value: "DIR", help: "where to make it; NAME here if not given"),
      Option(
        name: "--sdk", value: "DIR", help: "Bulkhead's package; if not given, the one around this program"),
      json,
    ])

  static let bisect = CommandSpecification(
    name: "bisect", argument: "REQUEST", furtherArguments: "[PATH]",
    summary: "find the plugins that break a request",
    details: """
      REQUEST is a file with a request's bytes, such as state-dir/faults/ID.request, or a method, and PATH then its target.
      The request is run through subsets of the pipeline, each in a process of its own on a copy of the state
      directory, until the fewest plugins are found with which it breaks. It breaks if the answer is 500 or above, if a
      plugin fails, or if no answer comes in time; with --expect, if the answer has another status. Exits with 0 if
      nothing breaks, and 1 if it names those that do.
      """,
    options: [
      config,
      Option(name: "-H", value: "FIELD", help: "'Name: value'; repeatable", isRepeatable: true),
      Option(name: "--body", value: "TEXT", help: "of a request that is no file's"),
      Option(name: "--expect", value: "STATUS", help: "the status that is right"),
      Option(name: "--time-limit", value: "TIME", help: "for one run; 15s if not given"),
      json,
    ])

  static let harness = CommandSpecification(
    name: "harness", argument: "DIR", summary: "do the job of the harness in a directory", isHidden: true)
}

extension Command {
  static func harness(
    _ specification: CommandSpecification, _ parsed: Arguments
  ) throws(UsageError) -> Command {
    func wrong(_ description: String) -> UsageError {
      UsageError(description: "\(specification.name): \(description)", topic: specification.name)
    }
    func read<T>(_ option: String, _ parse: (String) throws(InvalidValue) -> T) throws(UsageError) -> T? {
      guard let text = parsed.values[option] else { return nil }
      do throws(InvalidValue) { return try parse(text) } catch { throw wrong("\(option) \(error.problem)") }
    }
    let limits: ClosedRange<Duration> = .milliseconds(100) ... .seconds(3600)
    let timeLimit = try read("--time-limit") { text throws(InvalidValue) in
      try ValueText.duration(text, in: limits)
    }
    switch specification {
    case .test:
      var options = TestOptions(library: parsed.argument ?? "", cases: parsed.further)
      options.settings = try settings(parsed, wrong)
      options.replay = parsed.values["--replay"]
      options.filter = parsed.values["--filter"]
      options.configuration = parsed.values["--config"]
      options.timeLimit = timeLimit ?? options.timeLimit
      options.junit = parsed.values["--junit"]
      options.json = parsed.hasJSON
      guard options.replay == nil || options.cases.isEmpty else { throw wrong("takes cases, or --replay") }
      return .test(options)
    case .validate:
      var options = ValidateOptions(library: parsed.argument ?? "")
      options.settings = try settings(parsed, wrong)
      options.only = parsed.repeated["--only"] ?? []
      options.list = parsed.switches.contains("--list")
      options.configuration = parsed.values["--config"]
      options.junit = parsed.values["--junit"]
      options.json = parsed.hasJSON
      return .validate(options)
    case .new:
      guard parsed.further.count == 1 else { throw wrong("needs one NAME: bulkhead new plugin NAME") }
      var options = NewOptions(name: parsed.further[0])
      guard PluginSection.isKebabCase(options.name), options.name.utf8.count <= PluginSection.maximumName
      else {
        throw wrong("\(options.name.quotedForMessage) is no plugin's name: a-z, 0-9 and '-', at most 32")
      }
      options.language =
        try read("--language") { text throws(InvalidValue) in
          try ValueText.choice(text, of: NewOptions.Language.self)
        } ?? .swift
      options.directory = parsed.values["--directory"]
      options.sdk = parsed.values["--sdk"]
      options.json = parsed.hasJSON
      return .new(options)
    default:
      var options = BisectOptions(request: [parsed.argument ?? ""] + parsed.further)
      guard options.request.count <= 2 else { throw wrong("takes a file, or a method and a target") }
      options.fields = parsed.repeated["-H"] ?? []
      options.body = parsed.values["--body"]
      options.configuration = parsed.values["--config"]
      options.expected = try read("--expect") { text throws(InvalidValue) in
        try ValueText.integer(text, in: 200...599)
      }
      options.timeLimit = timeLimit ?? options.timeLimit
      options.json = parsed.hasJSON
      return .bisect(options)
    }
  }

  private static func settings(
    _ parsed: Arguments, _ wrong: (String) -> UsageError
  ) throws(UsageError) -> [RawSetting] {
    var settings: [RawSetting] = []
    for text in parsed.repeated["--set"] ?? [] {
      guard let equals = text.firstIndex(of: "="), equals > text.startIndex else {
        throw wrong("--set \(text.quotedForMessage) is no KEY=VALUE")
      }
      settings.append(
        RawSetting(key: String(text[..<equals]), value: String(text[text.index(after: equals)...]), line: 0))
    }
    return settings
  }
}

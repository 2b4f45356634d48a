extension Command {
  /// Reads a command line; does nothing else.
  ///
  /// Options may stand before and after the argument, as `--name VALUE` or `--name=VALUE`; `--` ends them.
  ///
  /// - Parameter arguments: without the program's name.
  static func parse(_ arguments: [String]) -> Result<Command, UsageError> {
    do throws(UsageError) {
      return .success(try command(arguments))
    } catch {
      return .failure(error)
    }
  }

  private static func command(_ arguments: [String]) throws(UsageError) -> Command {
    guard let name = arguments.first else {
      throw UsageError(description: "no command")
    }
    switch name {
    case "--help", "-h": return .help(topic: nil)
    case "--version": return try version(Arguments(arguments.dropFirst(), for: .version))
    default: break
    }
    guard let specification = CommandSpecification.all.first(where: { $0.name == name }) else {
      throw unknown(name)
    }
    if specification != .worker, wantsHelp(arguments.dropFirst()) { return .help(topic: specification) }
    let parsed = try Arguments(arguments.dropFirst(), for: specification)
    switch specification {
    case .run:
      return .run(
        RunOptions(
          configuration: parsed.values["--config"], listen: parsed.values["--listen"],
          isDebugging: parsed.switches.contains("--debug")))
    case .check:
      return .check(
        CheckOptions(configuration: parsed.values["--config"], json: parsed.hasJSON))
    case .describe:
      return .describe(
        DescribeOptions(
          library: parsed.argument ?? "", configuration: parsed.values["--config"], json: parsed.hasJSON))
    case .status:
      return .status(
        StatusOptions(
          configuration: parsed.values["--config"], stateDirectory: parsed.values["--state-dir"],
          json: parsed.hasJSON, watch: try interval(parsed)))
    case .drain:
      return .tell(
        OperatorOptions(
          line: "drain \(parsed.argument ?? Draining.on.rawValue)",
          configuration: parsed.values["--config"], stateDirectory: parsed.values["--state-dir"],
          json: parsed.hasJSON))
    case .reload, .stop, .quarantine, .release, .bypass, .logLevel:
      return .tell(
        OperatorOptions(
          line: ([specification.name, parsed.argument].compactMap { $0 }
            + (parsed.switches.contains("--force") ? ["force"] : [])).joined(separator: " "),
          configuration: parsed.values["--config"], stateDirectory: parsed.values["--state-dir"],
          json: parsed.hasJSON))
    case .faults:
      return .faults(
        FaultsOptions(
          id: parsed.argument, configuration: parsed.values["--config"],
          stateDirectory: parsed.values["--state-dir"], json: parsed.hasJSON))
    case .version: return try version(parsed)
    case .completions:
      guard let name = parsed.argument, let shell = CompletionShell(rawValue: name) else {
        throw UsageError(description: "completions: needs SHELL", topic: specification.name)
      }
      return .completions(shell)
    case .worker: return .worker
    case .inspect:
      return .inspect(
        InspectOptions(
          library: parsed.argument ?? "", stateDirectory: parsed.values["--state-dir"],
          configuration: parsed.values["--config"], section: parsed.values["--section"]))
    case .test, .validate, .new, .bisect: return try harness(specification, parsed)
    case .harness: return .harness(directory: parsed.argument ?? "")
    default: return try help(on: parsed.argument)
    }
  }

  private static func version(_ arguments: Arguments) throws(UsageError) -> Command {
    .version(json: arguments.hasJSON)
  }

  /// Of `--watch [SECONDS]`: a number of seconds, or a duration as in the configuration.
  private static func interval(_ arguments: Arguments) throws(UsageError) -> Duration? {
    guard let text = arguments.values["--watch"] else {
      return arguments.switches.contains("--watch") ? .seconds(2) : nil
    }
    do throws(InvalidValue) {
      let limits: ClosedRange<Duration> = .milliseconds(100) ... .seconds(86_400)
      guard text.utf8.allSatisfy({ ValueText.isDigit($0) || $0 == UInt8(ascii: ".") }) else {
        return try ValueText.duration(text, in: limits)
      }
      let interval = Duration.seconds(try ValueText.number(text))
      guard limits.contains(interval) else {
        throw InvalidValue("\(text) is out of range: 0.1 to 86400 seconds")
      }
      return interval
    } catch {
      throw UsageError(description: "status: --watch \(error.problem)", topic: "status")
    }
  }

  private static func help(on topic: String?) throws(UsageError) -> Command {
    guard let topic else { return .help(topic: nil) }
    if let specification = CommandSpecification.all.first(where: { $0.name == topic }) {
      return .help(topic: specification)
    }
    throw unknown(topic)
  }

  private static func unknown(_ name: String) -> UsageError {
    let what = name.hasPrefix("-") ? "option" : "command"
    let names = CommandSpecification.all.filter { !$0.isHidden }.map(\.name)
    let hint = NearestName.hint(for: name, among: what == "command" ? names : ["--help", "--version"])
    return UsageError(description: "unknown \(what) \(name.quotedForMessage)\(hint)")
  }

  private static func wantsHelp(_ arguments: ArraySlice<String>) -> Bool {
    arguments.prefix { $0 != "--" }.contains { $0 == "--help" || $0 == "-h" }
  }
}

/// The words behind the command, held against its specification.
struct Arguments {
  var values: [String: String] = [:]
  var switches: Set<String> = []
  var argument: String?
  /// After that one.
  var further: [String] = []
  /// Of options that may stand more than once.
  var repeated: [String: [String]] = [:]

  var hasJSON: Bool { switches.contains("--json") }

  init(_ words: ArraySlice<String>, for command: CommandSpecification) throws(UsageError) {
    func wrong(_ description: String) -> UsageError {
      UsageError(description: "\(command.name): \(description)", topic: command.isHidden ? nil : command.name)
    }

    var rest = words
    var areOptionsOver = false
    while let word = rest.popFirst() {
      guard !areOptionsOver, word.hasPrefix("-"), word != "-" else {
        guard command.argument != nil, argument == nil || command.furtherArguments != nil else {
          throw wrong("does not take \(word.quotedForMessage)")
        }
        if argument == nil { argument = word } else { further.append(word) }
        continue
      }
      if word == "--" {
        areOptionsOver = true
        continue
      }
      let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      guard let option = command.options.first(where: { $0.name == parts[0] }) else {
        let names = command.options.map(\.name) + ["--help"]
        throw wrong(
          "unknown option \(parts[0].quotedForMessage)\(NearestName.hint(for: parts[0], among: names))")
      }
      guard values[option.name] == nil, !switches.contains(option.name) else {
        throw wrong("\(option.name) stands twice")
      }
      guard let placeholder = option.value else {
        guard parts.count == 1 else { throw wrong("\(option.name) takes no value") }
        switches.insert(option.name)
        continue
      }
      if option.isValueOptional, parts.count == 1, rest.first?.hasPrefix("-") ?? true {
        switches.insert(option.name)
        continue
      }
      guard let value = parts.count == 2 ? parts[1] : rest.popFirst(), !value.isEmpty else {
        throw wrong("\(option.name) needs a value: \(option.name) \(placeholder)")
      }
      if option.isPath, let character = value.firstControlCharacter {
        throw wrong(
          "\(option.name) \(value.quotedForMessage) has the control character \(character.codePoint)")
      }
      if option.isRepeatable {
        repeated[option.name, default: []].append(value)
      } else {
        values[option.name] = value
      }
    }
    guard command.argument == nil || command.isArgumentOptional || argument?.isEmpty == false else {
      throw wrong("needs \(command.argument ?? "")")
    }
    if let argument, !command.choices.isEmpty, !command.choices.contains(argument) {
      throw wrong(
        "\(argument.quotedForMessage) is none of \(command.choices.joined(separator: ", "))"
          + NearestName.hint(for: argument, among: command.choices))
    }
    if let argument, argument.firstControlCharacter != nil {
      throw wrong("\(argument.quotedForMessage) is no name")
    }
  }
}

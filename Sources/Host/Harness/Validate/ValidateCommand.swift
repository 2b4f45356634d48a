import Glibc

/// `bulkhead validate LIB`: checks a plugin against every rule, each in a process of its own.
enum ValidateCommand {
  static func run(_ options: ValidateOptions) -> ExitStatus {
    let rules: [Rule]
    switch selected(options.only) {
    case .failure(let problem):
      Output.complain("validate: \(problem.description)")
      return .usage
    case .success(let found): rules = found
    }
    if options.list { return list(rules, json: options.json) }
    let path: String
    switch HarnessLibrary.locate(options.library, configuration: options.configuration) {
    case .failure(let status): return status
    case .success(let found): path = found
    }
    if let missing = HarnessLibrary.missing(path) {
      Output.complain("validate: \(path): \(missing)")
      return .no
    }
    var library = HarnessLibrary(
      path: path, pluginPath: FilePaths(ofFile: path).directory, report: LibraryReport())
    var problem: String?
    switch LibraryInspection.run(path) {
    case .failure(let failure): problem = failure.message
    case .success(let report): library.report = report
    }
    let settings = ValidateSettings.complete(options.settings, for: library)
    return run(rules, library, loading: problem, settings, options)
  }

  struct Problem: Error, CustomStringConvertible {
    var description: String
  }

  private static func selected(_ names: [String]) -> Result<[Rule], Problem> {
    for name in names where Rule.named(name) == nil {
      let hint = NearestName.hint(for: name, among: Rule.all.map(\.id))
      return .failure(
        Problem(description: "there is no rule \(name.quotedForMessage)\(hint); --list shows them"))
    }
    return .success(names.isEmpty ? Rule.all : Rule.all.filter { names.contains($0.id) })
  }

  private static func list(_ rules: [Rule], json isJSON: Bool) -> ExitStatus {
    guard isJSON else {
      return Output.print(TextTable.text(rules.map { [$0.id, $0.place, $0.title] }))
    }
    var json = JSONWriter()
    json.object { object in
      object.array("rules") { list in
        for rule in rules {
          list.object {
            $0.field("id", rule.id)
            $0.field("place", rule.place)
            $0.field("title", rule.title)
          }
        }
      }
    }
    return Output.print(json.text + "\n")
  }

  private static func run(
    _ rules: [Rule], _ library: HarnessLibrary, loading problem: String?, _ settings: [RawSetting],
    _ options: ValidateOptions
  ) -> ExitStatus {
    let subject = problem == nil ? library.subject : library.stem
    var summary = HarnessSummary(library: library.path, subject: subject)
    if !options.json {
      let written = Output.print("\(subject) (\(library.path))\n")
      guard written == .success else { return written }
    }
    var deferred: [(index: Int, owner: String, result: HarnessResult)] = []
    for rule in rules {
      var result = HarnessResult(name: "\(rule.id): \(rule.title)", place: rule.place, took: .zero)
      let began = Clock.monotonic()
      var owner: String?
      let isTold = summary.results.contains { $0.failure != nil || $0.skipped != nil }
      if let why = skipReason(rule, library, loading: problem, isTold: isTold, settings) {
        result.skipped = why
      } else {
        owner = check(rule, library, settings, &result)
        if problem != nil { skipIfTold(&result, in: summary) }
      }
      result.took = .nanoseconds(Int64(clamping: Clock.monotonic() &- began))
      // What another rule tells is told once.
      if let owner, owner != rule.id, rules.contains(where: { $0.id == owner }) {
        deferred.append((summary.results.count, owner, result))
        result.failure = nil
        result.skipped = "the plugin breaks '\(owner)', which stands in the way"
      }
      summary.results.append(result)
      guard !options.json else { continue }
      let written = Output.print(HarnessSummary.text(result))
      guard written == .success else { return written }
    }
    // Unless that other rule found nothing wrong.
    for (index, owner, result) in deferred where !hasFailed(owner, rules, summary) {
      summary.results[index] = result
      if !options.json {
        let written = Output.print(HarnessSummary.text(result))
        guard written == .success else { return written }
      }
    }
    return TestCommand.finish(
      summary, suite: "bulkhead.validate.\(library.stem)", json: options.json, junit: options.junit)
  }

  /// Why a library does not load is no matter of each rule that would load it: the first one tells it.
  private static func skipIfTold(_ result: inout HarnessResult, in summary: HarnessSummary) {
    guard let failure = result.failure,
      let first = summary.results.first(where: { $0.failure?.message == failure.message })
    else { return }
    result.failure = nil
    result.skipped = "the library does not load: see '\(first.name.prefix { $0 != ":" })'"
  }

  private static func hasFailed(_ id: String, _ rules: [Rule], _ summary: HarnessSummary) -> Bool {
    zip(rules, summary.results).contains { $0.id == id && $1.failure != nil }
  }

  private static func skipReason(
    _ rule: Rule, _ library: HarnessLibrary, loading problem: String?, isTold: Bool, _ settings: [RawSetting]
  ) -> String? {
    guard rule.needs != .file else { return nil }
    if let problem { return isTold ? "the library does not load" : "the library does not load: \(problem)" }
    guard rule.needs == .start else { return nil }
    let missing = library.report.settings.first { setting in
      setting.isRequired && setting.defaultText == nil && !settings.contains { $0.key == setting.name }
    }
    return missing.map { "it needs a setting: --set \($0.name)=…" }
  }

  /// - Returns: the rule whose matter a failure is, if it is not this one's.
  private static func check(
    _ rule: Rule, _ library: HarnessLibrary, _ settings: [RawSetting], _ result: inout HarnessResult
  ) -> String? {
    var job = HarnessJob(kind: .rule)
    job.library = library.path
    job.pluginPath = library.pluginPath
    job.settings = settings
    job.rule = rule.id
    var command = ["bulkhead", "validate", library.path, "--only", rule.id]
    for setting in settings { command += ["--set", "\(setting.key)=\(setting.value)"] }
    var owner: String?
    do throws(SystemError) {
      let outcome = try job.run(within: rule.timeLimit)
      owner = judge(outcome, &result)
    } catch {
      result.failure = HarnessResult.Failure(message: "\(error)")
    }
    result.failure?.repeatCommand = ShellWords.line(command)
    return owner
  }

  private static func judge(_ outcome: ChildOutcome, _ result: inout HarnessResult) -> String? {
    guard let verdict = outcome.lines.last(where: { $0["verdict"].string != nil }) else {
      result.failure = HarnessResult.Failure(message: "it \(outcome.howItEnded)", details: outcome.tail)
      if case .exited = outcome.end { return "exits" }
      return nil
    }
    switch verdict["verdict"].string {
    case "passed": break
    case "skipped": result.skipped = verdict["message"].string ?? "not applicable"
    default:
      result.failure = HarnessResult.Failure(
        message: verdict["message"].string ?? "failed",
        details: verdict["details"].array.compactMap(\.string))
    }
    return verdict["rule"].string
  }
}

/// The settings that a plugin is started with by the rules.
enum ValidateSettings {
  /// Those given, over those of the first of its cases that starts it: so that what is checked is the plugin as it is
  /// used, and what it requires is there.
  static func complete(_ given: [RawSetting], for library: HarnessLibrary) -> [RawSetting] {
    guard case .success(let files) = CaseFiles.find([], of: library) else { return given }
    for path in files {
      guard case .success(let file) = CaseFile.load(path),
        let entry = file.cases.first(where: { $0.start == nil })
      else { continue }
      let general = file.sections.filter { $0.title == "[plugin]" }.flatMap(\.lines)
      let own = general.filter { line in !entry.settings.contains { $0.key == line.key } } + entry.settings
      let names = library.report.settings.map(\.name)
      return given
        + own.filter { line in names.contains(line.key) && !given.contains { $0.key == line.key } }
        .compactMap { value(of: $0, path) }
    }
    return given
  }

  private static func value(of line: CaseFile.SettingLine, _ path: String) -> RawSetting? {
    let text = ConfigurationText(
      reading: Array("[plugin x]\n\(line.text)\n".utf8), path: path,
      substitution: Substitution(environment: Environment.all, directory: FilePaths(ofFile: path).directory))
    guard let entry = text.sections.first?.entries.first else { return nil }
    return RawSetting(key: entry.key, value: entry.value, line: 0)
  }
}

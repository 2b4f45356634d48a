import Glibc

/// `bulkhead test LIB [CASES…]`: runs a plugin's cases, each in a process of its own.
enum TestCommand {
  static func run(_ options: TestOptions) -> ExitStatus {
    let library: HarnessLibrary
    switch HarnessLibrary.find(options.library, configuration: options.configuration) {
    case .failure(let status): return status
    case .success(let found): library = found
    }
    if let id = options.replay { return ReplayCommand.run(id, library, options) }
    let files: [String]
    switch CaseFiles.find(options.cases, of: library) {
    case .failure(let problem):
      Output.complain(problem.description)
      return .usage
    case .success(let found): files = found
    }
    var loaded: [CaseFile] = []
    var problems: [ConfigurationError] = []
    for path in files {
      switch CaseFile.load(path) {
      case .failure(let errors): problems += errors.errors
      case .success(let file): loaded.append(file)
      }
    }
    guard problems.isEmpty else {
      for problem in problems { Output.complain("\(problem)") }
      return .configuration
    }
    return run(loaded, library, options)
  }

  private static func run(
    _ files: [CaseFile], _ library: HarnessLibrary, _ options: TestOptions
  ) -> ExitStatus {
    var summary = HarnessSummary(library: library.path, subject: library.subject)
    var heading = "\(library.subject) (\(library.path))\n"
    for file in files {
      for (index, entry) in file.cases.enumerated()
      where options.filter.map({ Template.contains(entry.name, $0) }) ?? true {
        let result = run(entry, index, file, library, options)
        summary.results.append(result)
        guard !options.json else { continue }
        let written = Output.print(heading + HarnessSummary.text(result))
        heading = ""
        guard written == .success else { return written }
      }
    }
    guard !summary.results.isEmpty else {
      Output.complain("no case is named like \((options.filter ?? "").quotedForMessage)")
      return .usage
    }
    return finish(summary, suite: "bulkhead.test.\(library.name)", json: options.json, junit: options.junit)
  }

  /// Writes the reports, and prints the last line.
  static func finish(_ summary: HarnessSummary, suite: String, json: Bool, junit: String?) -> ExitStatus {
    if let junit {
      do throws(SystemError) {
        try StateDirectory.replace(junit, with: Array(JUnitReport.xml(summary, suite: suite).utf8))
      } catch {
        Output.complain("the report could not be written: \(error)")
        return .unavailable
      }
    }
    return Output.print(json ? summary.json : summary.lastLine + "\n", then: summary.status)
  }

  // MARK: One case

  private static func run(
    _ entry: Case, _ index: Int, _ file: CaseFile, _ library: HarnessLibrary, _ options: TestOptions
  ) -> HarnessResult {
    var job = HarnessJob(kind: .runCase)
    job.library = library.path
    job.pluginPath = library.pluginPath
    job.settings = options.settings
    job.file = file.path
    job.index = index
    job.timeLimit = options.timeLimit
    let began = Clock.monotonic()
    var result = HarnessResult(name: entry.name, place: "\(file.path):\(entry.line)", took: .zero)
    do throws(SystemError) {
      let outcome = try job.run(within: options.timeLimit)
      result.failure = failure(of: outcome, file: file.path)
      if let checker = MemoryChecker.current, let report = checker.report(in: outcome.chatter) {
        result.failure = HarnessResult.Failure(
          message: result.failure?.message ?? "all went well, but for what \(checker.rawValue) reports",
          place: result.failure?.place, details: report.map { "| \($0)" })
      }
    } catch {
      result.failure = HarnessResult.Failure(message: "\(error)")
    }
    result.took = .nanoseconds(Int64(clamping: Clock.monotonic() &- began))
    var command = ["bulkhead", "test", library.path, file.path, "--filter", entry.name]
    for setting in options.settings { command += ["--set", "\(setting.key)=\(setting.value)"] }
    result.failure?.repeatCommand = ShellWords.line(command)
    return result
  }

  /// What a child's end and words come to; nil if the case passed.
  static func failure(of outcome: ChildOutcome, file: String) -> HarnessResult.Failure? {
    let lines = outcome.lines
    let chatter = outcome.tail
    if let verdict = lines.first(where: { $0["verdict"].string != nil }) {
      if verdict["verdict"].string == "passed" {
        if lines.contains(where: { $0["stopped"].boolean == true }) { return nil }
        return HarnessResult.Failure(
          message: "all went well, but while it was stopped the plugin \(outcome.howItEnded)",
          details: chatter)
      }
      var details: [String] = []
      if let answer = verdict["answer"].string { details.append(answer) }
      details += CaseFault.lines(verdict["fault"])
      return HarnessResult.Failure(
        message: verdict["message"].string ?? "failed",
        place: verdict["line"].integer.map { "\(file):\($0)" },
        details: details)
    }
    let lastStep = lines.compactMap { $0["step"].integer }.last
    let moment =
      lines.contains { $0["started"].boolean == true }
      ? lastStep.map { "after the step on line \($0)" } ?? "in the first step" : "while it started"
    return HarnessResult.Failure(
      message: "\(moment) the plugin \(outcome.howItEnded)", place: lastStep.map { "\(file):\($0)" },
      details: chatter)
  }
}

/// How a fault is shown below a failed case.
enum CaseFault {
  static func lines(_ fault: JSONValue) -> [String] {
    guard let reason = fault["reason"].string else { return [] }
    let request = fault["request"].string.map { " in \($0)" } ?? ""
    return ["fault: \(reason)\(request): \(fault["message"].string ?? "")"]
      + frames(fault["backtrace"].array.compactMap(\.string))
  }

  /// Of a backtrace the frames down to the host's own.
  static func frames(_ backtrace: [String]) -> [String] {
    backtrace.prefix { !$0.hasSuffix(" in exe") && !$0.hasSuffix(" in bulkhead") }.prefix(24).map {
      "    \($0)"
    }
  }
}

extension ChildOutcome {
  /// The last lines of what it printed.
  var tail: [String] {
    let lines = String(decoding: chatter, as: UTF8.self).split(whereSeparator: \.isNewline)
    return lines.suffix(6).map { "| \($0.prefix(300))" }
  }
}

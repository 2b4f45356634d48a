/// `bulkhead check`: what would go wrong, before it does.
enum CheckCommand {
  /// What became of one plugin.
  struct CheckedPlugin: Sendable, Equatable {
    var name: String
    var libraryPath: String
    /// Nil if the library could not be loaded.
    var version: String?
    var kind: String?
  }

  struct Findings: Sendable, Equatable {
    var plugins: [CheckedPlugin] = []
    /// The first ones.
    var problems: [ConfigurationError] = []
    /// How many there are beyond those.
    var more = 0
  }

  static func run(_ options: CheckOptions) -> ExitStatus {
    let path = ConfigurationLocation.path(given: options.configuration)
    let findings = check(
      ConfigurationFile.read(path: path, environment: Environment.all),
      path: path,
      digests: { paths throws(SystemError) in try LibraryDigest.compute(paths) },
      inspect: {
        LibraryInspection.run(
          $0.libraryPath, asking: .settings(of: $0.name, configuration: path))
      })
    let text =
      options.json ? json(findings, path: path) : text(findings, path: path)
    return Output.print(text, then: findings.problems.isEmpty ? .success : .no)
  }

  /// What is wrong with the text, and with each library that it names where it does say which.
  ///
  /// - Parameters:
  ///   - digests: SHA-256 of files, by path.
  ///   - inspect: loads a plugin's library where it can do no harm, and asks it about its settings.
  static func check(
    _ reading: ConfigurationFile.Reading, path: String,
    digests: ([String]) throws(SystemError) -> [(path: String, sha256: String)],
    inspect: (PluginConfiguration) -> Result<LibraryReport, LibraryReport.Failure>
  ) -> Findings {
    var findings = Findings()
    var problems = reading.errors
    var routers: [PluginConfiguration] = []
    for plugin in reading.configuration.plugins where !plugin.libraryPath.isEmpty {
      guard reading.isPluginPathKnown || plugin.library.contains("/") else { continue }
      var checked = CheckedPlugin(name: plugin.name, libraryPath: plugin.libraryPath)
      func complain(_ message: String) {
        problems.add(path: path, line: plugin.line, "[plugin \(plugin.name)] \(message)")
      }
      if let problem = pinProblem(of: plugin, digests: digests) { complain(problem) }
      switch inspect(plugin) {
      case .failure(let failure): complain("\(failure.reason): \(failure.message)")
      case .success(let report):
        checked.version = report.plugin?.version
        checked.kind = report.plugin?.kind
        if report.plugin?.capabilities.contains("routes") == true, plugin.mode != .off {
          routers.append(plugin)
        }
        let given = CORSInheritance.settings(
          plugin.settings, from: reading.configuration.corsEntries, schema: report.settings,
          decidesCORS: report.plugin?.capabilities.contains("decides-cors") == true)
        let settings = SettingsCheck.check(
          given, against: report.settings, path: path, section: plugin.name,
          sectionLine: plugin.line)
        if case .failure(let errors) = settings { problems.add(errors) }
        for problem in report.problems {
          problems.add(path: path, line: problem.line > 0 ? problem.line : nil, problem.message)
        }
        if let failure = report.failure { complain("\(failure.reason): \(failure.message)") }
      }
      findings.plugins.append(checked)
    }
    for (first, second) in MountCheck.conflicts(among: routers) {
      problems.add(
        path: path, line: reading.mountLines[second.name] ?? second.line,
        MountCheck.message(of: second, and: first, line: reading.mountLines[first.name] ?? first.line))
    }
    findings.problems = problems.first
    findings.more = problems.count - findings.problems.count
    return findings
  }

  private static func pinProblem(
    of plugin: PluginConfiguration,
    digests: ([String]) throws(SystemError) -> [(path: String, sha256: String)]
  ) -> String? {
    guard let pin = plugin.sha256 else { return nil }
    do throws(SystemError) {
      // A file that is not there is for the loader to complain of.
      guard let found = try digests([plugin.libraryPath]).first?.sha256, found != pin else { return nil }
      return "digest-mismatch: pinned to \(pin), the file has \(found)"
    } catch {
      return "digest-mismatch: the file's digest is not known: \(error)"
    }
  }
}

// MARK: Rendering

extension CheckCommand {
  static func text(_ findings: Findings, path: String) -> String {
    var text = findings.problems.map { "\($0)\n" }.joined()
    if findings.more > 0 { text += "and \(findings.more) more error\(findings.more == 1 ? "" : "s")\n" }
    switch findings.problems.count + findings.more {
    case 0:
      let count = findings.plugins.count
      text += "\(path): no problem; \(count) plugin\(count == 1 ? "" : "s")\n"
    case 1: text += "1 problem\n"
    case let count: text += "\(count) problems\n"
    }
    return text
  }

  static func json(_ findings: Findings, path: String) -> String {
    var json = JSONWriter()
    json.object {
      $0.field("config", path)
      $0.field("ok", findings.problems.isEmpty)
      $0.array("problems") { list in
        for problem in findings.problems {
          list.object {
            $0.field("path", problem.path)
            $0.field("line", problem.line)
            $0.field("message", problem.message)
          }
        }
      }
      if findings.more > 0 { $0.field("more_problems", findings.more) }
      $0.array("plugins") { list in
        for plugin in findings.plugins {
          list.object {
            $0.field("name", plugin.name)
            $0.field("library", plugin.libraryPath)
            $0.field("version", plugin.version)
            $0.field("kind", plugin.kind)
          }
        }
      }
    }
    return json.text + "\n"
  }
}

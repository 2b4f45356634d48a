import Glibc

/// `bulkhead describe LIB`: what a library is, serves and takes.
enum DescribeCommand {
  static func run(_ options: DescribeOptions) -> ExitStatus {
    let path: String
    switch libraryPath(options) {
    case .failure(let errors):
      for error in errors.errors { Output.complain("\(error)") }
      return .configuration
    case .success(let found): path = found
    }
    switch LibraryInspection.run(path, asking: .routes) {
    case .failure(let failure):
      if options.json { return Output.print(json(failure, path: path), then: .no) }
      Output.complain("\(path): \(failure.reason): \(failure.message)")
      return .no
    case .success(let report):
      return Output.print(options.json ? json(report, path: path) : text(report, path: path))
    }
  }

  /// A path is itself; a bare name is looked up as the configuration would.
  static func libraryPath(_ options: DescribeOptions) -> Result<String, ConfigurationErrors> {
    let library = options.library
    if library.contains("/") || (library.hasSuffix(".so") && access(library, F_OK) == 0) {
      // Without a slash, dlopen(3) would look in the system's directories.
      return .success(library.contains("/") ? library : "./\(library)")
    }
    let file = ConfigurationLocation.path(given: options.configuration)
    var pluginPath = HostConfiguration().pluginPath
    if options.configuration != nil || ConfigurationLocation.isThere(file) {
      switch ConfigurationFile.load(path: file, environment: Environment.all) {
      case .failure(let errors): return .failure(errors)
      case .success(let configuration): pluginPath = configuration.host.pluginPath
      }
    }
    return .success(
      PluginSection.libraryPath(library, pluginPath: pluginPath, paths: FilePaths(directory: "")))
  }
}

// MARK: Rendering

extension DescribeCommand {
  static func text(_ report: LibraryReport, path: String) -> String {
    guard let plugin = report.plugin else { return "" }
    var text = """
      \(plugin.name) \(plugin.version)
      \(plugin.summary.visible)

      \(HelpText.table([
        ("library", path), ("ABI", plugin.abi), ("kind", plugin.kind),
        ("capabilities", plugin.capabilities.joined(separator: ", ")),
      ]))

      """
    if let failure = report.failure {
      text +=
        "\nRoutes are not known, since it did not start: \(failure.reason): \(failure.message.visible)\n"
    } else if !report.routes.isEmpty {
      text += "\nRoutes, below its mount\n"
      text += HelpText.table(report.routes.map { ("\($0.method) /\($0.pattern)".visible, $0.access) }) + "\n"
    }
    if !report.settings.isEmpty {
      text += "\nSettings\n"
      for setting in report.settings {
        text += "  \(setting.name) = \(valueText(of: setting))\n"
        if !setting.help.isEmpty { text += "      \(setting.help.visible)\n" }
      }
    }
    return text
  }

  private static func valueText(of setting: SettingSchema) -> String {
    var traits = [
      setting.choices.isEmpty ? setting.type.name : setting.choices.joined(separator: " | ").visible
    ]
    if setting.isRequired { traits.append("required") }
    if setting.isSecret { traits.append("secret") }
    if setting.isRepeatable { traits.append("repeatable") }
    if let text = setting.defaultText { traits.append("default \(text.isEmpty ? "empty" : text.visible)") }
    return traits.joined(separator: ", ")
  }

  static func json(_ report: LibraryReport, path: String) -> String {
    var json = JSONWriter()
    json.object {
      $0.field("library", path)
      $0.field("name", report.plugin?.name)
      $0.field("version", report.plugin?.version)
      $0.field("summary", report.plugin?.summary)
      $0.field("abi", report.plugin?.abi)
      $0.field("kind", report.plugin?.kind)
      $0.field("capabilities", report.plugin?.capabilities ?? [])
      $0.array("routes") { list in
        for route in report.routes {
          list.object {
            $0.field("method", route.method)
            $0.field("pattern", route.pattern)
            $0.field("access", route.access)
            $0.field("execution", route.execution)
            $0.field("body", route.body)
          }
        }
      }
      $0.array("settings") { list in
        for setting in report.settings { list.object { write(setting, to: &$0) } }
      }
      if let failure = report.failure { $0.object("start_failure") { write(failure, to: &$0) } }
    }
    return json.text + "\n"
  }

  private static func write(_ setting: SettingSchema, to json: inout JSONWriter) {
    json.field("name", setting.name)
    json.field("type", setting.type.name)
    json.field("required", setting.isRequired)
    json.field("secret", setting.isSecret)
    json.field("repeatable", setting.isRepeatable)
    json.field("default", setting.defaultText)
    json.field("choices", setting.choices)
    json.field("help", setting.help)
  }

  private static func write(_ failure: LibraryReport.Failure, to json: inout JSONWriter) {
    json.field("reason", failure.reason)
    json.field("message", failure.message)
  }

  static func json(_ failure: LibraryReport.Failure, path: String) -> String {
    var json = JSONWriter()
    json.object {
      $0.field("library", path)
      $0.object("failure") { write(failure, to: &$0) }
    }
    return json.text + "\n"
  }
}

import Glibc

/// The plugins.conf of one case, put together from the file's sections, the case's own settings, and `--set`.
struct CaseConfiguration {
  var file: CaseFile
  var settings: [CaseFile.SettingLine]
  var job: HarnessJob
  /// Of the section of the plugin under test.
  var pluginName: String
  var stateDirectory: String

  /// Reads it as any configuration is read.
  func read(environment: [String: String]) -> Result<Configuration, ConfigurationErrors> {
    ConfigurationFile.parse(text: text, path: file.path, environment: environment)
  }

  var text: String {
    var text = section("[host]", hostLines)
    let cors = file.sections.filter { $0.title == "[cors]" }.flatMap(\.lines)
    if !cors.isEmpty { text += section("[cors]", cors.map(\.text)) }
    text += section(
      "[plugin \(Companion.name)]", ["library = /proc/self/exe", "applies-to = all", "timeout = 60s"])
    for other in file.sections where other.title.hasPrefix("[plugin") {
      if other.title == "[plugin]" {
        text += section("[plugin \(pluginName)]", pluginLines)
      } else {
        text += section(other.title, other.lines.map(\.text))
      }
    }
    if !file.sections.contains(where: { $0.title == "[plugin]" }) {
      text += section("[plugin \(pluginName)]", pluginLines)
    }
    return text
  }

  private func section(_ title: String, _ lines: [String]) -> String {
    ([title] + lines).joined(separator: "\n") + "\n\n"
  }

  private var hostLines: [String] {
    let given = file.sections.filter { $0.title == "[host]" }.flatMap(\.lines)
    let defaults = [
      ("threads", "2"), ("log-level", "warning"), ("trusted-proxies", "127.0.0.1"),
      ("plugin-path", job.pluginPath),
    ]
    return given.map(\.text) + ["state-dir = \(ConfigurationText.quoted(stateDirectory))"]
      + defaults.filter { key, value in !value.isEmpty && !given.contains { $0.key == key } }.map {
        key, value in
        "\(key) = \(ConfigurationText.quoted(value))"
      }
  }

  /// Of one key, `--set` counts before the case, and the case before the file.
  private var pluginLines: [String] {
    let general = file.sections.filter { $0.title == "[plugin]" }.flatMap(\.lines)
    let given = job.settings.map {
      CaseFile.SettingLine(key: $0.key, text: "\($0.key) = \(ConfigurationText.quoted($0.value))")
    }
    let own = settings.filter { line in !given.contains { $0.key == line.key } }
    let rest = general.filter { line in !(given + own).contains { $0.key == line.key } }
    return ["library = \(ConfigurationText.quoted(job.library))"]
      + (rest + own + given).filter { $0.key != "library" }.map(\.text)
  }
}

extension ConfigurationText {
  /// A value that reads as exactly this text.
  static func quoted(_ value: String) -> String {
    var text = "\""
    for scalar in value.unicodeScalars {
      switch scalar {
      case "\"", "\\", "$": text += "\\\(scalar)"
      case "\n": text += "\\n"
      case "\r": text += "\\r"
      case "\t": text += "\\t"
      default: text.unicodeScalars.append(scalar)
      }
    }
    return text + "\""
  }
}

extension Plugin {
  /// What the library says of the settings of its section beyond their types, in place of a start; nothing, if they do not
  /// fit its schema, or it has no such check.
  ///
  /// Thread: main, as for a start.
  func problems(findsIn library: PluginLibrary, environment: PluginEnvironment) -> [ConfigurationError] {
    guard let extensions = library.table.pointee.extension,
      let found = extensions(library.table, BH_SETTINGS_CHECK)?.assumingMemoryBound(
        to: bh_settings_check.self),
      let check = found.pointee.check,
      case .success(let values) = SettingsCheck.check(
        configuration.settings, against: library.schema, path: environment.configurationPath, section: name,
        sectionLine: configuration.line)
    else { return [] }
    _ = takeError()
    let status = ABIValues.withStart(of: self, values, environment) { check(library.table, $0) }
    guard status != BH_OK else { return [] }
    let words = takeError() ?? "the check of its settings returned \(status), with no message"
    return words.split(separator: "\n").map { words in
      let line = line(of: String(words))
      return ConfigurationError(
        path: environment.configurationPath, line: line > 0 ? line : nil, message: "[plugin \(name)] \(words)"
      )
    }
  }

  /// - Parameter words: `KEY: what is wrong` or `KEY = VALUE: what is wrong`; or of the section as a whole.
  private func line(of words: String) -> Int {
    let key = words.prefix { $0 != ":" && $0 != " " }
    let given = configuration.settings.filter { $0.key == key }
    // Of several lines with the key, the one that is quoted.
    let quoted = given.first { !$0.value.isEmpty && Template.contains(words, $0.value) }
    return (quoted ?? given.first)?.line ?? configuration.line
  }
}

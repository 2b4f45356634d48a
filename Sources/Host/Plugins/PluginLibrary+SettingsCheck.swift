extension PluginLibrary {
  /// What the library says of settings that fit its schema: why a start would refuse them. Nothing, if it has no such check.
  ///
  /// Thread: main, as for a start.
  func refusals(
    of values: [SettingValue], to plugin: Plugin, _ environment: PluginEnvironment
  ) -> [ConfigurationError] {
    guard let extensions = table.pointee.extension,
      let found = extensions(table, BH_SETTINGS_CHECK)?.assumingMemoryBound(to: bh_settings_check.self),
      let check = found.pointee.check
    else { return [] }
    _ = plugin.takeError()
    let status = ABIValues.withStart(of: plugin, values, environment) { check(table, $0) }
    guard status != BH_OK else { return [] }
    let words = plugin.takeError() ?? "the check of its settings returned \(status), with no message"
    return words.split(separator: "\n").map { words in
      let line = plugin.configuration.line(of: String(words))
      return ConfigurationError(
        path: environment.configurationPath, line: line > 0 ? line : nil,
        message: "[plugin \(plugin.name)] \(words)")
    }
  }
}

extension PluginConfiguration {
  /// Where it stands that `words` are about: `KEY: what is wrong` or `KEY = VALUE: what is wrong`; or the section.
  fileprivate func line(of words: String) -> Int {
    let key = words.prefix { $0 != ":" && $0 != " " }
    let given = settings.filter { $0.key == key }
    // Of several lines with the key, the one that is quoted.
    let quoted = given.first { !$0.value.isEmpty && Template.contains(words, $0.value) }
    return (quoted ?? given.first)?.line ?? line
  }
}

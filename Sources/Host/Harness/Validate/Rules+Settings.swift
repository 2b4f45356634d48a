import Glibc

/// The settings that a plugin declares, and what it does with values of them.
extension Rule {
  static let settingsRules: [Rule] = [
    Rule(
      id: "settings-schema",
      title: "settings of known types, named once in kebab-case, none of the host's own keys",
      anchor: "const char *name;          /* kebab-case; none of the host's own keys */", needs: .file
    ) { bench throws(Finding) in
      let table = try RawTable.table(bench)
      let schema: [SettingSchema]
      do throws(PluginFailure) { schema = try PluginLibrary.schema(of: table) } catch {
        throw .broken(error.message)
      }
      for (index, setting) in schema.enumerated() {
        let flags = table.pointee.settings[index]?.pointee.flags ?? 0
        let known = UInt32(BH_SETTING_REQUIRED | BH_SETTING_SECRET | BH_SETTING_REPEATABLE)
        guard flags & ~known == 0 else {
          throw .broken("the flags of '\(setting.name)' have bits that mean nothing")
        }
        guard !setting.help.isEmpty, !setting.help.contains(where: \.isNewline) else {
          throw .broken("the help of '\(setting.name)' is empty, or has more than one line")
        }
      }
      if schema.isEmpty { throw .notApplicable("it takes no setting") }
    },
    Rule(
      id: "settings-defaults", title: "defaults are values of their type, and a secret has none",
      anchor: "const char *default_value;", needs: .library
    ) { bench throws(Finding) in
      let library = try bench.load()
      guard !library.schema.isEmpty else { throw .notApplicable("it takes no setting") }
      for setting in library.schema {
        for choice in setting.choices {
          do throws(InvalidValue) { _ = try SettingValue.readAll(choice, as: setting) } catch {
            throw .broken("the choice \(choice.quotedForMessage) of '\(setting.name)' \(error.problem)")
          }
        }
        guard let text = setting.defaultText else { continue }
        do throws(InvalidValue) { _ = try SettingValue.readAll(text, as: setting) } catch {
          throw .broken("the default of '\(setting.name)' \(error.problem)")
        }
        if setting.isRequired {
          throw .broken("'\(setting.name)' is required, and has a default: it is never missing")
        }
        // A word that names a store is no secret; what a token or key would be, everybody would know.
        if setting.isSecret, text.utf8.count >= 16 {
          throw .broken(
            "'\(setting.name)' is secret, and has a default that everybody can read in the library")
        }
      }
    },
    Rule(
      id: "settings-values", title: "it starts, or says why not, with any value that its schema accepts",
      anchor: "One value, checked against its schema", timeLimit: .seconds(120)
    ) { bench throws(Finding) in
      let library = try bench.load()
      guard !library.schema.isEmpty else { throw .notApplicable("it takes no setting") }
      // If it does not start with what it was given, there is nothing to vary.
      try bench.start()
      bench.stop()
      for setting in library.schema {
        for value in SettingExtremes.values(of: setting) {
          let raw = RawSetting(key: setting.name, value: value, line: 0)
          let errors = CheckedHost.errorCount
          switch try bench.tryStart([raw]) {
          case .success: bench.stop()
          case .failure(let failure):
            let shown = "\(setting.name) = \(String(value.prefix(40)))"
            if failure.reason == .startFailed, CheckedHost.errorCount == errors {
              throw .broken("with \(shown.quotedForMessage) its start failed, and it said no reason")
            }
          }
        }
      }
    },
  ]
}

/// Values at the ends of what a type holds.
private enum SettingExtremes {
  static func values(of setting: SettingSchema) -> [String] {
    guard setting.choices.isEmpty else { return setting.choices }
    switch setting.type {
    case .string:
      return [
        "", " ", "/", "\u{1f600}\u{fffd}", "%s%s%n", "a\tb", "-1", String(repeating: "a", count: 60_000),
        String(repeating: "\u{e9} ", count: 500),
      ]
    case .integer: return ["0", "-1", "1", "\(Int64.max)", "\(Int64.min)", "2147483648"]
    case .number: return ["0", "-1", "0.5", "1e308", "-1e308"]
    case .boolean: return ["true", "false"]
    case .duration: return ["0s", "1ns", "250ms", "100d"]
    case .size: return ["0", "1", "1k", "1023g"]
    case .list: return ["", "a", "a, b, c", (0..<1000).map { "item\($0)" }.joined(separator: ",")]
    }
  }
}

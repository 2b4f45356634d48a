/// Holds a plugin's own keys against what its library declares.
enum SettingsCheck {
  /// The values that the plugin is started with, or everything that is wrong with them.
  ///
  /// - Parameters:
  ///   - settings: what stands in the file, in its order.
  ///   - schema: what the library declares; the first of two entries of one name counts.
  ///   - path: of the file, for messages.
  ///   - section: the plugin's name.
  ///   - sectionLine: where a missing setting is reported; 0 if there is no such line.
  /// - Returns: in the order of the schema; of one name, in the order of the file. A list gives a value an item.
  static func check(
    _ settings: [RawSetting], against schema: [SettingSchema], path: String, section: String, sectionLine: Int
  ) -> Result<[SettingValue], ConfigurationErrors> {
    var errors = ConfigurationErrorList()
    func complain(_ message: @autoclosure () -> String, _ line: Int) {
      errors.add(path: path, line: line > 0 ? line : nil, message())
    }

    let names = schema.map(\.name)
    let known = Set(names)
    let byKey = Dictionary(grouping: settings, by: \.key)
    for setting in settings where !known.contains(setting.key) {
      complain(
        "unknown key \(setting.key.quotedForMessage) in [plugin \(section)]"
          + NearestName.hint(for: setting.key, among: names + PluginSection.keys.all), setting.line)
    }

    var values: [SettingValue] = []
    var done: Set<String> = []
    for entry in schema where done.insert(entry.name).inserted {
      let given = byKey[entry.name] ?? []
      if given.isEmpty {
        if let text = entry.defaultText {
          do throws(InvalidValue) {
            values += try SettingValue.readAll(text, as: entry)
          } catch {
            complain("the plugin's own default for '\(entry.name)' \(error.problem)", sectionLine)
          }
        } else if entry.isRequired {
          complain("[plugin \(section)] has no '\(entry.name)': \(purpose(of: entry))", sectionLine)
        }
        continue
      }
      if given.count > 1, !entry.isRepeatable {
        for second in given.dropFirst() {
          complain(
            "'\(entry.name)' stands twice in [plugin \(section)]; the first is on line \(given[0].line)",
            second.line)
        }
      }
      for setting in given {
        do throws(InvalidValue) {
          values += try SettingValue.readAll(setting.value, as: entry)
        } catch {
          // The problem quotes the value.
          let hidden = "is not a valid \(entry.type.name) (the value is not shown)"
          let problem = entry.isSecret ? hidden : error.problem
          complain("'\(entry.name)' \(problem)", setting.line)
        }
      }
    }
    return errors.isEmpty ? .success(values) : .failure(ConfigurationErrors(errors))
  }

  private static func purpose(of entry: SettingSchema) -> String {
    entry.help.isEmpty ? "a \(entry.type.name), required" : entry.help
  }
}

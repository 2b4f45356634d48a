/// One setting that a plugin takes, as its library declares it (`bh_setting_schema`).
struct SettingSchema: Sendable, Equatable {
  /// Numbered as `bh_setting_type` is.
  enum Kind: UInt32, Sendable, CaseIterable {
    case string = 0
    case integer, number, boolean, duration, size, list

    /// As `describe` shows it.
    var name: String { "\(self)" }
  }

  /// Kebab-case.
  var name: String
  var type: Kind
  var isRequired = false
  /// The value is shown nowhere.
  var isSecret = false
  /// The key may stand on several lines.
  var isRepeatable = false
  /// As it would stand in the file; nil for none.
  var defaultText: String?
  /// The values accepted; empty for any of the type. Of a list, the items accepted.
  var choices: [String] = []
  /// One line.
  var help = ""
}

/// One value of a plugin's own, checked against its schema: from the file, or the schema's default.
struct SettingValue: Sendable, Equatable {
  var name: String
  var type: SettingSchema.Kind
  /// As written; of a list, one item.
  var text: String
  /// Of integers; 0 or 1 of booleans; nanoseconds of durations; bytes of sizes; else 0.
  var integer: Int64 = 0
  /// Of numbers, and of integers too; else 0.
  var number = 0.0

  /// Reads `text` as the schema says, choices included; a list must have been taken apart.
  static func read(_ text: String, as schema: SettingSchema) throws(InvalidValue) -> SettingValue {
    if !schema.choices.isEmpty {
      _ = try ValueText.choice(text, of: schema.choices.map { ($0, $0) })
    }
    var value = SettingValue(name: schema.name, type: schema.type, text: text)
    switch schema.type {
    case .string, .list: break
    case .integer:
      value.integer = try ValueText.integer(text, in: Int64.min...Int64.max)
      value.number = Double(value.integer)
    case .number: value.number = try ValueText.number(text)
    case .boolean: value.integer = try ValueText.boolean(text) ? 1 : 0
    case .duration: value.integer = try ValueText.nanoseconds(text)
    case .size: value.integer = try ValueText.size(text)
    }
    return value
  }

  /// All values that stand for `text`: one, or as many as a list has items.
  static func readAll(_ text: String, as schema: SettingSchema) throws(InvalidValue) -> [SettingValue] {
    guard schema.type == .list else { return [try read(text, as: schema)] }
    var values: [SettingValue] = []
    for item in try ValueText.list(text) { values.append(try read(item, as: schema)) }
    return values
  }
}

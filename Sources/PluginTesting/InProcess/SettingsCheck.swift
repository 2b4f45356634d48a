import PluginABI

/// Checks settings against a plugin's schema as the host does, and lends them as the ABI has them.
struct SettingsCheck {
  struct Value {
    let name: String
    let type: bh_setting_type
    let text: String
    var integer: Int64 = 0
    var number: Double = 0
  }

  private(set) var values: [Value] = []

  /// - Throws: ``StartFailure/badSettings(_:)``.
  init(_ given: [(name: String, value: String)], schema: [bh_setting_schema]) throws {
    let names = schema.map { String(cString: $0.name) }
    if let unknown = given.first(where: { !names.contains($0.name) }) {
      throw StartFailure.badSettings(
        "unknown setting '\(unknown.name)'; there are: \(names.joined(separator: ", "))")
    }
    for (name, setting) in zip(names, schema) {
      var texts = given.filter { $0.name == name }.map(\.value)
      if texts.count > 1, setting.flags & UInt32(BH_SETTING_REPEATABLE) == 0 {
        throw StartFailure.badSettings("'\(name)' is given \(texts.count) times")
      }
      if texts.isEmpty, let text = setting.default_value { texts = [String(cString: text)] }
      if texts.isEmpty, setting.flags & UInt32(BH_SETTING_REQUIRED) != 0 {
        throw StartFailure.badSettings("'\(name)' is required")
      }
      for text in texts { try add(name, text, setting) }
    }
  }

  private mutating func add(_ name: String, _ text: String, _ setting: bh_setting_schema) throws {
    guard Int(setting.type) != Int(BH_SETTING_LIST) else {
      for item in text.split(separator: ",") {
        try addOne(
          name, item.trimmingPrefix(while: \.isWhitespace).trimmingSuffix(while: \.isWhitespace), setting)
      }
      return
    }
    try addOne(name, text, setting)
  }

  private mutating func addOne(_ name: String, _ text: String, _ setting: bh_setting_schema) throws {
    if let choices = setting.choices.map({ String(cString: $0) }),
      !choices.split(separator: "|").contains(where: { $0 == text })
    {
      throw StartFailure.badSettings("'\(name)' is '\(text)', and must be one of \(choices)")
    }
    var value = Value(name: name, type: setting.type, text: text)
    let isValid: Bool
    switch Int(setting.type) {
    case Int(BH_SETTING_INTEGER): isValid = value.set(integer: Int64(text))
    case Int(BH_SETTING_NUMBER): isValid = value.set(number: Double(text))
    case Int(BH_SETTING_BOOLEAN): isValid = value.set(integer: Self.boolean(text))
    case Int(BH_SETTING_DURATION): isValid = value.set(integer: Self.scaled(text, by: Self.durationUnits))
    case Int(BH_SETTING_SIZE): isValid = value.set(integer: Self.scaled(text, by: Self.sizeUnits))
    default: isValid = true
    }
    guard isValid else { throw StartFailure.badSettings("'\(name)' cannot be '\(text)'") }
    values.append(value)
  }

  private static let durationUnits: [String: Int64] = [
    "ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000, "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
  ]
  private static let sizeUnits: [String: Int64] = ["": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30]

  private static func boolean(_ text: String) -> Int64? {
    switch text {
    case "true", "yes", "on": 1
    case "false", "no", "off": 0
    default: nil
    }
  }

  private static func scaled(_ text: String, by units: [String: Int64]) -> Int64? {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    if text == "0" { return 0 }
    guard let count = Int64(digits), let unit = units[String(text.dropFirst(digits.count)).lowercased()]
    else {
      return nil
    }
    let (product, isTooLarge) = count.multipliedReportingOverflow(by: unit)
    return isTooLarge ? nil : product
  }
}

extension SettingsCheck.Value {
  fileprivate mutating func set(integer value: Int64?) -> Bool {
    integer = value ?? 0
    return value != nil
  }

  fileprivate mutating func set(number value: Double?) -> Bool {
    number = value ?? 0
    return value != nil
  }
}

extension Substring {
  fileprivate func trimmingPrefix(while isIn: (Character) -> Bool) -> Substring { drop(while: isIn) }

  fileprivate func trimmingSuffix(while isIn: (Character) -> Bool) -> String {
    String(String(reversed()).drop(while: isIn).reversed())
  }
}

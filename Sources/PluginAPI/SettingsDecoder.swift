/// Decodes a plugin's settings type from the values that the host has checked.
struct SettingsDecoder: Decoder {
  /// One value: what the file says, and what the host has read it as.
  struct Value {
    let kind: Setting.Kind
    let text: String
    let integer: Int64
    let number: Double
  }

  let values: [String: [Value]]
  var codingPath: [any CodingKey] { [] }
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  /// - Throws: ``SettingsError``, naming the key.
  static func decode<Settings: PluginSettings>(
    _ type: Settings.Type, from values: [String: [Value]]
  ) throws -> Settings {
    do {
      return try Settings(from: SettingsDecoder(values: values))
    } catch let error as DecodingError {
      throw SettingsError(error)
    }
  }

  func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedDecodingContainer<Key> {
    KeyedDecodingContainer(SettingsContainer<Key>(values: values))
  }

  func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
    throw SettingsError(key: "", reason: "a settings type has named properties")
  }

  func singleValueContainer() throws -> any SingleValueDecodingContainer {
    throw SettingsError(key: "", reason: "a settings type has named properties")
  }
}

/// The section: properties by their keys.
private struct SettingsContainer<Key: CodingKey>: KeyedDecodingContainerProtocol {
  let values: [String: [SettingsDecoder.Value]]
  var codingPath: [any CodingKey] { [] }
  var allKeys: [Key] { values.keys.compactMap { Key(stringValue: $0) } }

  func contains(_ key: Key) -> Bool { values[kebabCase(key.stringValue)] != nil }

  func decodeNil(forKey key: Key) -> Bool { !contains(key) }

  func decode<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T {
    let name = kebabCase(key.stringValue)
    return try SettingDecoder(key: name, values: values[name] ?? []).decode(type)
  }

  func nestedContainer<Nested: CodingKey>(
    keyedBy type: Nested.Type, forKey key: Key
  ) throws -> KeyedDecodingContainer<Nested> {
    throw SettingsError(key: kebabCase(key.stringValue), reason: "settings do not nest")
  }

  func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
    let name = kebabCase(key.stringValue)
    return SettingList(key: name, values: values[name] ?? [])
  }

  func superDecoder() throws -> any Decoder { SettingsDecoder(values: values) }

  func superDecoder(forKey key: Key) throws -> any Decoder { SettingsDecoder(values: values) }
}

/// The values of one key.
private struct SettingDecoder: Decoder, SingleValueDecodingContainer {
  let key: String
  let values: [SettingsDecoder.Value]
  var codingPath: [any CodingKey] { [SettingKey(stringValue: key)] }
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  func container<Nested: CodingKey>(keyedBy type: Nested.Type) throws -> KeyedDecodingContainer<Nested> {
    throw SettingsError(key: key, reason: "settings do not nest")
  }

  func unkeyedContainer() -> any UnkeyedDecodingContainer { SettingList(key: key, values: values) }

  func singleValueContainer() throws -> any SingleValueDecodingContainer { self }

  func decodeNil() -> Bool { values.isEmpty }

  func decode<T: Decodable>(_ type: T.Type) throws -> T {
    // `Duration` would decode itself from two integers.
    if type == Duration.self, let duration = try duration() as? T { return duration }
    return try T(from: self)
  }

  func decode(_ type: Bool.Type) throws -> Bool {
    let value = try one()
    guard value.kind == .boolean else { throw mismatch(value, wanted: "true or false") }
    return value.integer != 0
  }

  func decode(_ type: String.Type) throws -> String { try one().text }

  func decode(_ type: Double.Type) throws -> Double {
    let value = try one()
    switch value.kind {
    case .number: return value.number
    case .integer, .size: return Double(value.integer)
    default: throw mismatch(value, wanted: "a number")
    }
  }

  func decode(_ type: Float.Type) throws -> Float { Float(try decode(Double.self)) }
  func decode(_ type: Int.Type) throws -> Int { try integer() }
  func decode(_ type: Int8.Type) throws -> Int8 { try integer() }
  func decode(_ type: Int16.Type) throws -> Int16 { try integer() }
  func decode(_ type: Int32.Type) throws -> Int32 { try integer() }
  func decode(_ type: Int64.Type) throws -> Int64 { try integer() }
  func decode(_ type: UInt.Type) throws -> UInt { try integer() }
  func decode(_ type: UInt8.Type) throws -> UInt8 { try integer() }
  func decode(_ type: UInt16.Type) throws -> UInt16 { try integer() }
  func decode(_ type: UInt32.Type) throws -> UInt32 { try integer() }
  func decode(_ type: UInt64.Type) throws -> UInt64 { try integer() }

  private func integer<T: FixedWidthInteger>() throws -> T {
    let value = try one()
    guard value.kind == .integer || value.kind == .size else { throw mismatch(value, wanted: "an integer") }
    guard let exact = T(exactly: value.integer) else {
      throw SettingsError(key: key, reason: "\(value.text) is not within \(T.min)...\(T.max)")
    }
    return exact
  }

  private func duration() throws -> Duration {
    let value = try one()
    guard value.kind == .duration else { throw mismatch(value, wanted: "a duration") }
    return .nanoseconds(value.integer)
  }

  private func one() throws -> SettingsDecoder.Value {
    guard let first = values.first else { throw SettingsError(key: key, reason: "is missing") }
    guard values.count == 1 else {
      throw SettingsError(key: key, reason: "has \(values.count) values, and the plugin takes one")
    }
    return first
  }

  private func mismatch(_ value: SettingsDecoder.Value, wanted: String) -> SettingsError {
    SettingsError(
      key: key, reason: "'\(value.text)' is declared as \(value.kind), and the plugin reads \(wanted)")
  }
}

/// The values of a list or of a repeatable key, in the order of the file.
private struct SettingList: UnkeyedDecodingContainer {
  let key: String
  let values: [SettingsDecoder.Value]
  private(set) var currentIndex = 0

  init(key: String, values: [SettingsDecoder.Value]) {
    self.key = key
    self.values = values
  }

  var codingPath: [any CodingKey] { [SettingKey(stringValue: key)] }
  var count: Int? { values.count }
  var isAtEnd: Bool { currentIndex == values.count }

  mutating func decodeNil() throws -> Bool { false }

  mutating func decode<T: Decodable>(_ type: T.Type) throws -> T {
    guard !isAtEnd else { throw SettingsError(key: key, reason: "has only \(values.count) values") }
    defer { currentIndex += 1 }
    return try SettingDecoder(key: key, values: [values[currentIndex]]).decode(type)
  }

  mutating func nestedContainer<Nested: CodingKey>(
    keyedBy type: Nested.Type
  ) throws -> KeyedDecodingContainer<Nested> {
    throw SettingsError(key: key, reason: "settings do not nest")
  }

  mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
    throw SettingsError(key: key, reason: "settings do not nest")
  }

  mutating func superDecoder() throws -> any Decoder { SettingDecoder(key: key, values: values) }
}

private struct SettingKey: CodingKey {
  let stringValue: String
  var intValue: Int? { nil }
  init(stringValue: String) { self.stringValue = stringValue }
  init?(intValue: Int) { nil }
}

extension SettingsError {
  /// What the compiler's own `Decodable` code throws, e.g. for an enum without such a case.
  fileprivate init(_ error: DecodingError) {
    switch error {
    case .dataCorrupted(let context), .typeMismatch(_, let context), .valueNotFound(_, let context):
      self.init(key: context.codingPath.last?.stringValue ?? "", reason: context.debugDescription)
    case .keyNotFound(let key, _):
      self.init(key: kebabCase(key.stringValue), reason: "is missing")
    @unknown default:
      self.init(key: "", reason: String(describing: error))
    }
  }
}

/// `signupCredits` → `signup-credits`, `jwksURL` → `jwks-url`, `baseURLPath` → `base-url-path`.
func kebabCase(_ name: String) -> String {
  let letters = Array(name)
  var result = ""
  for (index, letter) in letters.enumerated() {
    if letter.isUppercase, index > 0 {
      let before = letters[index - 1]
      let startsWord = !before.isUppercase && before != "-"
      let endsAcronym = before.isUppercase && index + 1 < letters.count && letters[index + 1].isLowercase
      if startsWord || endsAcronym { result.append("-") }
    }
    result += letter.lowercased()
  }
  return result
}

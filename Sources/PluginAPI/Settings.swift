/// One setting that a plugin takes: a key of its section in `plugins.conf`. The host checks what is written there
/// against it, before the plugin sees it.
public struct Setting: Sendable {
  /// How a value is written, and what it may be.
  public enum Kind: Sendable {
    /// As it stands.
    case string
    /// `42`. Decodes as an integer type.
    case integer
    /// `0.5`. Decodes as `Double`.
    case number
    /// `true`/`false`, `yes`/`no`, `on`/`off`. Decodes as `Bool`.
    case boolean
    /// `250ms`, `5s`, `2m`, `1h`, `7d`. Decodes as `Duration`.
    case duration
    /// `16k`, `1m`, `2g`. Decodes as an integer type, in bytes.
    case size
    /// Comma-separated. Decodes as an array.
    case list
  }

  /// In kebab-case, and none of the host's own keys.
  public let name: String
  public let kind: Kind
  /// As it would stand in the file.
  public let defaultValue: String?
  public let isRequired: Bool
  /// The value is shown nowhere.
  public let isSecret: Bool
  /// The key may stand on several lines. Decodes as an array, in the order of the file.
  public let isRepeatable: Bool
  /// The values accepted; empty: any of the kind.
  public let choices: [String]
  /// One line for operators.
  public let help: String

  public init(
    _ name: String, _ kind: Kind, default: String? = nil, required: Bool = false, secret: Bool = false,
    repeatable: Bool = false, choices: [String] = [], help: String
  ) {
    self.name = name
    self.kind = kind
    self.defaultValue = `default`
    self.isRequired = required
    self.isSecret = secret
    self.isRepeatable = repeatable
    self.choices = choices
    self.help = help
  }
}

/// A plugin's own settings type.
///
/// Decoded by its property names: `signupCredits` is the key `signup-credits`. Properties may be `String`, `Bool`, the
/// integer types, `Double`, `Duration`, an enum with `String` raw values, an optional of these, or an array of these for
/// lists and repeatable keys. A property that is not optional and no array needs a setting that is required or has a
/// default.
public protocol PluginSettings: Decodable, Sendable {
  /// What the plugin takes. The order is that of the documentation.
  static var schema: [Setting] { get }

  /// What the schema cannot say: ranges, forms, what belongs together. By default nothing.
  ///
  /// Called before ``Plugin/init(_:)``, and alone by `bulkhead check`: makes, opens and keeps nothing, and does not ask what may
  /// be away for a while, such as a database.
  ///
  /// Thread: main.
  /// - Throws: ``SettingsError``, which names the key; any other error is taken to be of the whole section.
  func check() throws
}

extension PluginSettings {
  public func check() throws {}
}

/// The settings of a plugin that has none.
public struct NoSettings: PluginSettings {
  public static var schema: [Setting] { [] }
}

/// A setting that does not fit the plugin's settings type.
public struct SettingsError: Error, Equatable, CustomStringConvertible {
  /// The key as it stands in the file.
  public let key: String
  /// What is wrong with it.
  public let reason: String

  public init(key: String, reason: String) {
    self.key = key
    self.reason = reason
  }

  public var description: String { "setting '\(key)': \(reason)" }
}

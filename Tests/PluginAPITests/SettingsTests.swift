import PluginAPI
import PluginTesting
import Synchronization
import Testing

private enum Flavour: String, Decodable { case sweet, sour }

private struct Everything: PluginSettings {
  var aString: String
  var signupCredits: Int
  var small: UInt8
  var ratio: Double
  var isOn: Bool
  var accessLifetime: Duration
  var maxBody: Int
  var origins: [String]
  var limit: [String]
  var flavour: Flavour
  var flavours: [Flavour]
  var jwksURL: String?
  var pause: Duration?

  static let schema = [
    Setting("a-string", .string, required: true, help: "h"),
    Setting("signup-credits", .integer, default: "100", help: "h"),
    Setting("small", .integer, default: "7", help: "h"),
    Setting("ratio", .number, default: "0.5", help: "h"),
    Setting("is-on", .boolean, default: "no", help: "h"),
    Setting("access-lifetime", .duration, default: "15m", help: "h"),
    Setting("max-body", .size, default: "16k", help: "h"),
    Setting("origins", .list, help: "h"),
    Setting("limit", .string, repeatable: true, help: "h"),
    Setting("flavour", .string, default: "sweet", choices: ["sweet", "sour"], help: "h"),
    Setting("flavours", .list, help: "h"),
    Setting("jwks-url", .string, help: "h"),
    Setting("pause", .duration, help: "h"),
  ]
}

/// Hands its settings out.
private struct Reader<Settings: PluginSettings>: Middleware {
  static var plugin: PluginDescription { PluginDescription(name: "reader", version: "1.0.0") }
  init(_ start: Start<Settings>) { Sink.current(start.settings) }
}

private enum Sink {
  @TaskLocal static var current: @Sendable (any PluginSettings) -> Void = { _ in }
}

private func decode<Settings: PluginSettings>(_ type: Settings.Type, _ fields: Fields) throws -> Settings {
  let found = Mutex<(any PluginSettings)?>(nil)
  let keep: @Sendable (any PluginSettings) -> Void = { settings in found.withLock { $0 = settings } }
  try Sink.$current.withValue(keep) {
    _ = try InProcessHost(.of(Reader<Settings>.self), settings: fields)
  }
  return try #require(found.withLock { $0 } as? Settings)
}

private struct WrongType: PluginSettings {
  var lifetime: Int
  static let schema = [Setting("lifetime", .duration, default: "1s", help: "h")]
}

private struct Unset: PluginSettings {
  var lifeTime: String
  static let schema = [Setting("life-time", .string, help: "h")]
}

private struct TooSmall: PluginSettings {
  var count: UInt8
  static let schema = [Setting("count", .integer, required: true, help: "h")]
}

private struct NoCase: PluginSettings {
  var flavour: Flavour
  static let schema = [Setting("flavour", .string, required: true, help: "h")]
}

private struct Even: PluginSettings {
  var count: Int
  static let schema = [Setting("count", .integer, default: "2", help: "h")]
  func check() throws {
    guard count.isMultiple(of: 2) else { throw SettingsError(key: "count", reason: "\(count) is odd") }
  }
}

private struct SeveralForOne: PluginSettings {
  var limit: String
  static let schema = [Setting("limit", .string, repeatable: true, help: "h")]
}

@Suite("Settings")
struct SettingsTests {
  @Test("defaults are decoded as if they were written")
  func defaults() throws {
    let settings = try decode(Everything.self, ["a-string": "x"])
    #expect(settings.aString == "x")
    #expect(settings.signupCredits == 100)
    #expect(settings.small == 7)
    #expect(settings.ratio == 0.5)
    #expect(!settings.isOn)
    #expect(settings.accessLifetime == .seconds(900))
    #expect(settings.maxBody == 16384)
    #expect(settings.origins == [])
    #expect(settings.limit == [])
    #expect(settings.flavour == .sweet)
    #expect(settings.flavours == [])
    #expect(settings.jwksURL == nil)
    #expect(settings.pause == nil)
  }

  @Test("what is written goes before the default")
  func written() throws {
    let settings = try decode(
      Everything.self,
      [
        "a-string": "", "signup-credits": "-3", "ratio": "2", "is-on": "on", "access-lifetime": "250ms",
        "max-body": "2g", "origins": "https://a.example, https://b.example", "limit": "5/1m",
        "limit": "100/1h",
        "flavour": "sour", "flavours": "sour,sweet", "jwks-url": "https://keys.example", "pause": "1h",
      ])
    #expect(settings.aString == "")
    #expect(settings.signupCredits == -3)
    #expect(settings.ratio == 2)
    #expect(settings.isOn)
    #expect(settings.accessLifetime == .milliseconds(250))
    #expect(settings.maxBody == 2 << 30)
    #expect(settings.origins == ["https://a.example", "https://b.example"])
    #expect(settings.limit == ["5/1m", "100/1h"])
    #expect(settings.flavour == .sour)
    #expect(settings.flavours == [.sour, .sweet])
    #expect(settings.jwksURL == "https://keys.example")
    #expect(settings.pause == .seconds(3600))
  }

  @Test("a setting that does not fit the type fails the start, and is named")
  func mismatches() {
    #expect(throws: failure("lifetime", "'1s' is declared as duration, and the plugin reads an integer")) {
      try decode(WrongType.self, [:])
    }
    #expect(throws: failure("life-time", "is missing")) { try decode(Unset.self, [:]) }
    #expect(throws: failure("count", "256 is not within 0...255")) {
      try decode(TooSmall.self, ["count": "256"])
    }
    #expect(throws: failure("limit", "has 2 values, and the plugin takes one")) {
      try decode(SeveralForOne.self, ["limit": "1", "limit": "2"])
    }
    let noCase = #expect(throws: StartFailure.self) { try decode(NoCase.self, ["flavour": "salty"]) }
    #expect(noCase?.description.hasPrefix("start-failed: setting 'flavour': ") == true)
    #expect(noCase?.description.contains("salty") == true)
  }

  @Test("what the settings' own check refuses fails the start")
  func check() throws {
    #expect(try decode(Even.self, [:]).count == 2)
    #expect(throws: failure("count", "3 is odd")) { try decode(Even.self, ["count": "3"]) }
  }

  private func failure(_ key: String, _ reason: String) -> StartFailure {
    .startFailed("setting '\(key)': \(reason)")
  }

  @Test(
    "the schema is checked before the plugin is started",
    arguments: [
      (["colour": "red"], "unknown setting 'colour'"),
      ([:], "'a-string' is required"),
      (["a-string": "x", "signup-credits": "many"], "'signup-credits' cannot be 'many'"),
      (["a-string": "x", "is-on": "maybe"], "'is-on' cannot be 'maybe'"),
      (["a-string": "x", "access-lifetime": "5"], "'access-lifetime' cannot be '5'"),
      (["a-string": "x", "max-body": "1x"], "'max-body' cannot be '1x'"),
      (["a-string": "x", "flavour": "salty"], "'flavour' is 'salty', and must be one of sweet|sour"),
    ] as [([String: String], String)])
  func schema(settings: [String: String], reason: String) {
    let failure = #expect(throws: StartFailure.self) { try decode(Everything.self, Fields(settings)) }
    #expect(
      failure?.description.hasPrefix("bad-settings: \(reason)") == true, "\(String(describing: failure))")
  }
}

import Testing

@testable import bulkhead

@Suite("Plugins' own settings")
struct SettingsTests {
  private let schema = [
    SettingSchema(name: "secret", type: .string, isRequired: true, isSecret: true, help: "the signing key"),
    SettingSchema(name: "ttl", type: .duration, defaultText: "15m"),
    SettingSchema(
      name: "algorithms", type: .list, defaultText: "hs256, hs384", choices: ["hs256", "hs384", "none"]),
    SettingSchema(name: "limit", type: .string, isRepeatable: true),
    SettingSchema(name: "burst", type: .integer),
    SettingSchema(name: "ratio", type: .number),
    SettingSchema(name: "strict", type: .boolean),
    SettingSchema(name: "cache", type: .size),
    SettingSchema(name: "pin", type: .integer, isSecret: true),
  ]

  private func check(_ settings: [(String, String)]) -> Result<[SettingValue], ConfigurationErrors> {
    SettingsCheck.check(
      settings.enumerated().map { RawSetting(key: $1.0, value: $1.1, line: 10 + $0) }, against: schema,
      path: "plugins.conf", section: "auth", sectionLine: 9)
  }

  private func errors(_ settings: [(String, String)]) -> [String] {
    switch check(settings) {
    case .success: []
    case .failure(let errors): errors.errors.map(\.description)
    }
  }

  @Test("values of every type, defaults, repeated keys and lists, in the order of the schema")
  func values() throws {
    let values = try check([
      ("limit", "a"), ("burst", "-5"), ("ratio", "2.5e1"), ("strict", "on"), ("cache", "4k"), ("secret", "s"),
      ("limit", "b"),
    ]).get()
    #expect(
      values == [
        SettingValue(name: "secret", type: .string, text: "s"),
        SettingValue(name: "ttl", type: .duration, text: "15m", integer: 900_000_000_000),
        SettingValue(name: "algorithms", type: .list, text: "hs256"),
        SettingValue(name: "algorithms", type: .list, text: "hs384"),
        SettingValue(name: "limit", type: .string, text: "a"),
        SettingValue(name: "limit", type: .string, text: "b"),
        SettingValue(name: "burst", type: .integer, text: "-5", integer: -5, number: -5),
        SettingValue(name: "ratio", type: .number, text: "2.5e1", number: 25),
        SettingValue(name: "strict", type: .boolean, text: "on", integer: 1),
        SettingValue(name: "cache", type: .size, text: "4k", integer: 4096),
      ])
  }

  @Test("an unknown key is an error with the nearest of the plugin's and the host's names")
  func unknown() {
    #expect(
      errors([("secret", "s"), ("aplies-to", "all"), ("burts", "1")]) == [
        "plugins.conf:11: unknown key 'aplies-to' in [plugin auth]; did you mean 'applies-to'?",
        "plugins.conf:12: unknown key 'burts' in [plugin auth]; did you mean 'burst'?",
      ])
  }

  @Test("a missing setting, a second one, and one of the wrong kind")
  func wrong() {
    #expect(errors([]) == ["plugins.conf:9: [plugin auth] has no 'secret': the signing key"])
    #expect(
      errors([
        ("secret", "s"), ("ttl", "soon"), ("burst", "1"), ("burst", "2"), ("algorithms", "hs256, hs265"),
      ]) == [
        "plugins.conf:11: 'ttl' is 'soon', which is no duration: write 250ms, 5s, 2m, 1h or 7d",
        "plugins.conf:13: 'burst' stands twice in [plugin auth]; the first is on line 12",
        "plugins.conf:14: 'algorithms' is 'hs265', which is none of hs256, hs384, none; did you mean 'hs256'?",
      ])
  }

  @Test("no message holds a secret")
  func secrets() {
    let found = errors([("secret", "s"), ("pin", "hunter2")])
    #expect(found == ["plugins.conf:11: 'pin' is not a valid integer (the value is not shown)"])
  }

  @Test("a description redacts what is secret, or not known not to be")
  func description() throws {
    let text = """
      [host]
      diagnostics = token
      admin-token = topsecret
      [plugin auth]
      library = A
      secret = topsecret
      limit = redis://user:topsecret@host/0
      unknown = topsecret
      [plugin lost]
      library = B
      secret = topsecret
      """
    let configuration = try ConfigurationFile.parse(text: text, path: "plugins.conf").get()
    let described = configuration.describe(schemas: ["auth": schema])
    #expect(described.map(\.title) == ["[host]", "[plugin auth]", "[plugin lost]"])
    #expect(!"\(described)".contains("topsecret"))
    let auth = Dictionary(uniqueKeysWithValues: described[1].values.map { ($0.key, $0.value) })
    #expect(auth["secret"] == "[redacted]")
    #expect(auth["limit"] == "redis://user:[redacted]@host/0")
    #expect(auth["ttl"] == "15m")
    #expect(auth["library"] == "A")
    #expect(described[2].values.last == .init(key: "secret", value: "[redacted]"))
  }

  @Test(
    "passwords in addresses are cut out, and nothing else",
    arguments: [
      ("postgres://u:p@h/db", "postgres://u:[redacted]@h/db"),
      ("postgres://h:5432/db", "postgres://h:5432/db"),
      ("https://a.example/x?y=b@c", "https://a.example/x?y=b@c"), ("redis://:p@h", "redis://:[redacted]@h"),
      ("u:p@h", "u:p@h"), ("postgres://u:p/x@h/db", "postgres://u:[redacted]@h/db"),
    ])
  func passwords(text: String, shown: String) {
    #expect(Configuration.withoutPassword(text) == shown)
  }
}

import Testing

@testable import bulkhead

@Suite("The policy of [cors], for a plugin that decides CORS")
struct CORSInheritanceTests {
  private let cors = [
    RawSetting(key: "origins", value: "https://a.example", line: 2),
    RawSetting(key: "max-age", value: "1m", line: 3),
    RawSetting(key: "private-network", value: "yes", line: 4),
  ]
  private let schema = [
    SettingSchema(name: "origins", type: .list), SettingSchema(name: "max-age", type: .duration),
    SettingSchema(name: "policy", type: .string, isRepeatable: true),
  ]

  private func settings(_ own: [RawSetting], decidesCORS: Bool = true) -> [RawSetting] {
    CORSInheritance.settings(own, from: cors, schema: schema, decidesCORS: decidesCORS)
  }

  @Test("it gets the keys that its schema has, with their lines in [cors], before its own")
  func taken() {
    let policy = RawSetting(key: "policy", value: "/x", line: 9)
    #expect(settings([policy]) == [cors[0], cors[1], policy])
  }

  @Test("with any key of [cors] in its own section it gets none, if only one that it does not know")
  func ofItsOwn() {
    for key in ["origins", "max-age", "private-network", "expose"] {
      let own = [RawSetting(key: key, value: "", line: 9)]
      #expect(settings(own) == own)
    }
  }

  @Test("a plugin that does not decide CORS gets none")
  func others() {
    #expect(settings([], decidesCORS: false).isEmpty)
  }

  @Test("a [cors] that is refused is nothing to take over, and the plugins' sections are the same without it")
  func refused() throws {
    let text = "[plugin cors]\nlibrary = CORSPlugin\n"
    func read(_ cors: String) -> Configuration {
      ConfigurationFile.read(bytes: Array((text + cors).utf8), path: "p").configuration
    }
    #expect(read("[cors]\norigins = *\ncredentials = yes\n").corsEntries.isEmpty)
    let good = read("[cors]\norigins = *\nmax-age = 5m\n")
    #expect(
      good.corsEntries == [
        RawSetting(key: "origins", value: "*", line: 4), RawSetting(key: "max-age", value: "5m", line: 5),
      ])
    // An edit of [cors] is none of the plugin's section: it ends no quarantine.
    #expect(good.plugins[0].identity(sha256: nil) == read("").plugins[0].identity(sha256: nil))
  }

  @Test("it is shown in the plugin's section")
  func described() throws {
    let text = "[cors]\norigins = https://a.example\n[plugin cors]\nlibrary = CORSPlugin\n"
    let sections = try ConfigurationFile.parse(text: text, path: "p").get()
      .describe(schemas: ["cors": schema], deciders: ["cors"])
    #expect(sections[2].values.contains(.init(key: "origins", value: "https://a.example")))
  }
}

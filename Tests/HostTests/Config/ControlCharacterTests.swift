import Testing

@testable import bulkhead

@Suite("plugins.conf: control characters")
struct ControlCharacterTests {
  private func errors(_ text: String, _ character: String, path: String = "p.conf") -> [String] {
    switch ConfigurationFile.parse(text: text, path: path, environment: ["A": "a\(character)b"]) {
    case .success: []
    case .failure(let errors): errors.errors.map(\.description)
    }
  }

  @Test(
    "no value of the host's holds one, by whatever way it came in",
    arguments: ["\n", "\r", "\u{1b}", "\u{7f}", "\u{85}", "\u{2028}"])
  func refused(character: String) {
    let values = [
      "listen = unix:/run/${A}", "state-dir = /s/${A}", "plugin-path = ${A}", "admin-token = ${A}",
      "probe = GET /${A} 200", "trusted-proxies = 10.0.0.1${A}", "log-level = ${A}",
    ]
    for value in values {
      let found = errors("[host]\n\(value)\n", character)
      #expect(found.count == 1, "\(value): \(found)")
      #expect(found.first?.hasPrefix("p.conf:2: '") == true, "\(value): \(found)")
      #expect(found.first?.contains("control character U+") == true, "\(value): \(found)")
    }
    for value in [
      "library = /l/${A}", "library = ${A}", "library = A\nmount = /${A}", "library = A\npaths = /${A}",
    ] {
      let found = errors("[plugin a]\n\(value)\n", character)
      #expect(found.count == 1, "\(value): \(found)")
      #expect(found.first?.contains("control character U+") == true, "\(value): \(found)")
    }
    #expect(errors("[cors]\norigins = https://a.example, ${A}\n", character).count == 1)
  }

  @Test("an escape in quotes is no way around it, nor is a tab in a path")
  func escapes() {
    #expect(errors("[host]\nlisten = \"unix:/run/a\\nbare\"\n", "").first?.contains("U+000A") == true)
    #expect(errors("[host]\nstate-dir = \"/a\\tb\"\n", "").first?.contains("U+0009") == true)
    #expect(errors("[host]\ntrusted-proxies = 10.0.0.1,\t10.0.0.2\n", "").isEmpty)
  }

  @Test("a plugin's own setting may hold line ends: a key in PEM does")
  func ownSettings() throws {
    let text = "[plugin a]\nlibrary = A\nkey = ${A}\n"
    let configuration = try ConfigurationFile.parse(text: text, path: "p", environment: ["A": "a\nb\n"]).get()
    #expect(configuration.plugins[0].settings.map(\.value) == ["a\nb\n"])
  }

  @Test("the file's own path has none, nor has --listen")
  func path() {
    let found = errors("", "", path: "/srv/a\nb/plugins.conf")
    #expect(found.count == 1)
    #expect(found.first?.contains("U+000A") == true, "\(found)")
    #expect(found.first?.contains("\n") == false, "\(found)")
    let listen = ConfigurationFile.read(bytes: [], path: "p", listenOverride: "unix:/run/a\nb").errors.first
    #expect(listen.first?.message.contains("U+000A") == true, "\(listen)")
  }

  @Test("a command line takes none in a path")
  func commandLine() {
    for words in [
      ["check", "--config", "a\nb"], ["run", "--listen=unix:/\r"], ["stop", "--state-dir", "a\u{85}"],
    ] {
      guard case .failure(let error) = Command.parse(words) else {
        Issue.record("accepted: \(words)")
        continue
      }
      #expect(error.description.contains("control character"), "\(error)")
    }
  }
}

import Testing

@testable import bulkhead

@Suite("bulkhead check")
struct CheckCommandTests {
  private let digest = String(repeating: "a", count: 64)

  private func check(_ text: String) -> CheckCommand.Findings {
    CheckCommand.check(
      ConfigurationFile.parse(text: text, path: "/etc/plugins.conf"), path: "/etc/plugins.conf",
      digests: { paths throws(SystemError) in paths.map { ($0, String(repeating: "b", count: 64)) } },
      inspect: { plugin in
        plugin.libraryPath.hasSuffix("libGood.so")
          ? .success(
            LibraryReport(
              plugin: .init(
                name: "good", version: "1.0.0", summary: "", abi: "1.0", kind: "router",
                capabilities: ["routes"]),
              settings: [SettingSchema(name: "ttl", type: .duration, isRequired: true)], isLoaded: true,
              isComplete: true))
          : .failure(LibraryReport.Failure(reason: "crashed", message: "it died"))
      })
  }

  @Test("a configuration without a problem")
  func good() {
    let findings = check("[plugin a]\nlibrary = Good\nttl = 5s")
    #expect(findings.problems.isEmpty)
    #expect(findings.plugins.map(\.kind) == ["router"])
    #expect(CheckCommand.text(findings, path: "p") == "p: no problem; 1 plugin\n")
    #expect(
      CheckCommand.json(findings, path: "p")
        == #"{"config":"p","ok":true,"problems":[],"plugins":[{"name":"a","library":"/etc/.build/release/libGood.so","version":"1.0.0","kind":"router"}]}"#
        + "\n")
  }

  @Test("every problem of every plugin: loading, pin, settings")
  func bad() {
    let findings = check(
      """
      [plugin a]
      library = Bad
      [plugin b]
      library = Good
      sha256 = \(digest)
      tll = 5s
      """)
    #expect(
      findings.problems.map(\.description) == [
        "/etc/plugins.conf:1: [plugin a] crashed: it died",
        "/etc/plugins.conf:3: [plugin b] digest-mismatch: pinned to \(digest), the file has "
          + String(repeating: "b", count: 64),
        "/etc/plugins.conf:3: [plugin b] has no 'ttl': a duration, required",
        "/etc/plugins.conf:6: unknown key 'tll' in [plugin b]; did you mean 'ttl'?",
      ])
    #expect(CheckCommand.text(findings, path: "p").hasSuffix("\n4 problems\n"))
  }

  @Test("a file with errors is not gone on with")
  func malformed() {
    let findings = check("[plugin a]\nlibrary = Bad\nmode = on")
    #expect(findings.problems.map(\.line) == [3])
    #expect(findings.plugins.isEmpty)
  }
}

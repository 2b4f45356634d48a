import Testing

@testable import bulkhead

@Suite("bulkhead check")
struct CheckCommandTests {
  private let digest = String(repeating: "a", count: 64)

  private func check(_ text: String) -> CheckCommand.Findings {
    CheckCommand.check(
      ConfigurationFile.read(bytes: Array(text.utf8), path: "/etc/plugins.conf"), path: "/etc/plugins.conf",
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

  @Test("errors of the text and of what plugins declare are told together, in the order of the lines")
  func malformed() {
    let findings = check("[plugin a]\nlibrary = Good\ntll = 5s\n[host]\nthreads = 0\n[plugin b]\nmode = on")
    #expect(findings.problems.map(\.line) == [1, 3, 5, 6, 7], "\(findings.problems)")
    #expect(findings.plugins.map(\.name) == ["a"])
  }

  @Test(
    "two routers at one mount are told with both lines; one that is off, and a mount within another, is none")
  func mounts() {
    func problems(_ second: String) -> [String] {
      check(
        "[plugin a]\nlibrary = Good\nttl = 5s\nmount = /api\n[plugin b]\nlibrary = Good\nttl = 5s\n\(second)\n"
      ).problems.map(\.description)
    }
    #expect(
      problems("mount = /api/") == [
        "/etc/plugins.conf:8: [plugin b] 'mount' is '/api', which [plugin a] has on line 4: each router needs a mount of "
          + "its own"
      ])
    #expect(problems("mount = /api/v1").isEmpty)
    #expect(problems("mount = /api\nmode = off").isEmpty)
    #expect(problems("").isEmpty)
  }

  @Test("where bare names lead is not guessed at when plugin-path is wrong")
  func pluginPathUnknown() {
    let findings = check(
      "[host]\nplugin-path = ${NOWHERE}\n[plugin a]\nlibrary = Bad\n[plugin b]\nlibrary = /Bad")
    #expect(findings.problems.map(\.line) == [2, 5], "\(findings.problems)")
  }
}

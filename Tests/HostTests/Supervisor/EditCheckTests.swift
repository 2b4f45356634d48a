import Testing

@testable import bulkhead

@Suite("What an edit leaves out")
struct EditCheckTests {
  private static let text = """
    # The shop.
    [host]
    listen = 127.0.0.1:8081

    [plugin cors]
    library = CORSPlugin

    # What earns the money.
    [plugin domain]
    library = DomainRoutes
    mount = /api/v1
    required = true

    """

  private func source(_ text: String) throws -> ConfigurationSource {
    ConfigurationSource(
      configuration: try ConfigurationFile.parse(text: text, path: "p.conf").get(), text: Array(text.utf8))
  }

  private func judge(_ text: String, after serving: String = EditCheckTests.text) throws -> EditCheck.Verdict
  {
    let next = try source(text)
    let serving = try source(serving)
    return EditCheck.judge(next, after: serving, bound: serving.configuration.host.listen)
  }

  private func reasons(_ text: String, after serving: String = EditCheckTests.text) throws -> [String] {
    guard case .drops(let items) = try judge(text, after: serving) else { return [] }
    return items.map { "\($0.plugin ?? "-") \($0.reason)" }
  }

  @Test("an edit that leaves nothing out fits")
  func fits() throws {
    let text = EditCheckTests.text
    #expect(try judge(text) == .fits)
    #expect(try judge(text + "[plugin more]\nlibrary = More\n") == .fits)
    #expect(try judge(text.replacing("CORSPlugin", with: "OtherPlugin")) == .fits)
    #expect(try judge(text.replacing("[plugin cors]\nlibrary = CORSPlugin\n", with: "")) == .fits)
    #expect(try judge(text.replacing("8081\n", with: "8082\nlisten = 127.0.0.1:8081\n")) == .fits)
  }

  @Test(
    "an empty file, and one of comments, drop everything", arguments: ["", "# The shop.\n", "\n\n", "# The"])
  func empty(text: String) throws {
    let found = try reasons(text)
    #expect(found.contains("- dropped"), "\(found)")
  }

  @Test("a required plugin's section, the last plugin, [host] and every address are not dropped by the way")
  func drops() throws {
    let text = EditCheckTests.text
    #expect(try reasons(text.replacing("[plugin domain]", with: "[plugin other]")) == ["domain dropped"])
    #expect(try reasons("[host]\nlisten = 127.0.0.1:8081\n") == ["- dropped"])
    #expect(try reasons(text.replacing("8081", with: "9090")) == ["- dropped"])
    let front = text.replacing("[host]\nlisten = 127.0.0.1:8081\n", with: "")
    #expect(try reasons(front).contains("- dropped"))
    #expect(
      try judge(text.replacing("required = true", with: "mode = off")) == .fits, "by the operator's wish")
  }

  @Test("a file that ends within a line of the one that serves is half-written")
  func cutInLine() throws {
    let text = EditCheckTests.text
    let end = try #require(text.range(of: "mount = /api/v1"))
    #expect(try reasons(String(text[..<end.upperBound].dropLast(3))).contains("- half-written"))
  }

  @Test("a file that ends between two lines of a section may be half-written; between two sections it is not")
  func cutInSection() throws {
    let serving = EditCheckTests.text.replacing("required = true\n", with: "heavy = true\n")
    let end = try #require(serving.range(of: "mount = /api/v1\n"))
    #expect(try judge(String(serving[..<end.upperBound]), after: serving) == .mayBeCut)
    #expect(try judge(String(serving[..<end.upperBound].dropLast()), after: serving) == .mayBeCut)
    let section = try #require(serving.range(of: "# What"))
    #expect(try judge(String(serving[..<section.lowerBound]), after: serving) == .fits)
  }
}

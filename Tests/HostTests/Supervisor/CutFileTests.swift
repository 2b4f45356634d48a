import Testing

@testable import bulkhead

@Suite("A file that was cut off")
struct CutFileTests {
  private static let serving = """
    # The shop.
    [host]
    listen = 127.0.0.1:8081
    [plugin cors]
    library = CORSPlugin

    # What earns the money.
    [plugin domain]
    library = DomainRoutes
    mount = /api/v1
    tag = fourteen
    heavy = true

    """

  private func judge(_ next: String, after serving: String = CutFileTests.serving) -> CutFile.Cut {
    CutFile.judge(Array(next.utf8)[...], after: Array(serving.utf8)[...])
  }

  /// What comes before a text of the file, and that itself.
  private func through(_ end: String, of text: String = CutFileTests.serving) throws -> String {
    String(text[..<(try #require(text.range(of: end)).upperBound)])
  }

  @Test("the beginning of what serves, by where it ends")
  func beginning() throws {
    #expect(judge("", after: "x = 1\n") == .inSection)
    #expect(try judge(through("mount = /ap")) == .inLine)
    #expect(try judge(through("mount = /api/v1")) == .inSection)
    #expect(try judge(through("mount = /api/v1\n")) == .inSection)
    #expect(try judge(through("[plugin domain]")) == .inSection)
    #expect(try judge(through("CORSPlugin\n")) == .none, "between two sections")
    #expect(judge(CutFileTests.serving) == .none)
    #expect(judge("y\n", after: "x\nz") == .none)
  }

  @Test("the beginning of a text that never served is held against what serves, section by section")
  func beginningOfAnother() throws {
    let next = CutFileTests.serving.replacing("# The shop.", with: "# The shop, since Monday.")
      .replacing("CORSPlugin\n", with: "CORSPlugin\nheavy = true\n")
    #expect(judge(next) == .none)
    #expect(try judge(through("mount = /ap", of: next)) == .inLine)
    #expect(try judge(through("mount = /api/v1", of: next)) == .inSection)
    #expect(try judge(through("mount = /api/v1\n", of: next)) == .inSection)
    #expect(try judge(through("[plugin domain]\n", of: next)) == .inSection)
    #expect(try judge(through("tag = four", of: next)) == .inLine)
  }

  @Test("a last line that is open, where each line of what serves has its end, may be cut off")
  func openLine() throws {
    let next = CutFileTests.serving.replacing("fourteen\nheavy = true\n", with: "fifteen\nheavy = true\n")
    #expect(try judge(through("tag = fif", of: next)) == .inSection)
    let open = CutFileTests.serving + "timeout = 2s"
    #expect(judge(open) == .inSection)
    #expect(judge(open, after: String(CutFileTests.serving.dropLast())) == .none, "its editor leaves it so")
  }

  @Test("lines that are changed, added, or taken away from the midst of the last section are edits")
  func edits() {
    let text = CutFileTests.serving
    #expect(judge(text.replacing("tag = fourteen\n", with: "")) == .none)
    #expect(judge(text.replacing("heavy = true", with: "heavy = false")) == .none)
    #expect(judge(text + "timeout = 2s\n") == .none)
    #expect(judge(text + "[plugin more]\nlibrary = More\n") == .none)
    #expect(judge(text.replacing("\n", with: "\r\n")) == .none)
    #expect(judge(text.replacing("heavy = true", with: "mode = off")) == .none)
    #expect(judge(text.replacing("heavy = true\n", with: "")) == .inSection)
  }
}

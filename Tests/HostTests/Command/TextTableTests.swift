import Testing

@testable import bulkhead

@Suite("Tables for a terminal")
struct TextTableTests {
  private let table = TextTable(
    columns: [
      .init(title: "NAME"), .init(title: "NOTE", isOptional: true, dropRank: 1),
      .init(title: "COUNT", isRightAligned: true, dropRank: 2), .init(title: "PROSE", isFlexible: true),
    ],
    rows: [
      ["a", .none, "7", "short"],
      ["longer", .none, "12345", "a sentence that goes on for longer than most"],
    ])

  @Test("columns are as wide as they need; numbers end under one another; what nobody fills is left out")
  func layout() {
    #expect(
      table.lines(width: nil, isStyled: false) == [
        "NAME    COUNT  PROSE",
        "a           7  short",
        "longer  12345  a sentence that goes on for longer than most",
      ])
  }

  @Test("a narrow terminal first cuts the prose, then goes without columns, and last cuts lines")
  func narrow() {
    #expect(
      table.lines(width: 40, isStyled: false) == [
        "NAME    COUNT  PROSE", "a           7  short", "longer  12345  a sentence that goes on …",
      ])
    #expect(
      table.lines(width: 25, isStyled: false) == [
        "NAME    PROSE", "a       short", "longer  a sentence that…",
      ])
    #expect(table.lines(width: 4, isStyled: false).allSatisfy { $0.displayWidth <= 4 })
  }

  @Test("no line is wider than the terminal, whatever its width", arguments: 1...70)
  func width(_ width: Int) {
    for line in table.lines(width: width, isStyled: false) {
      #expect(line.displayWidth <= width)
      #expect(!line.hasSuffix(" "))
    }
  }

  @Test("styles add escape sequences, and move nothing")
  func styles() {
    var styled = table
    styled.rows[0][0] = .init("a", .bad)
    let plain = table.lines(width: 40, isStyled: false)
    let lines = styled.lines(width: 40, isStyled: true)
    #expect(lines[1] == "\u{1b}[31ma\u{1b}[0m           7  short")
    #expect(lines[0] == "\u{1b}[1mNAME\u{1b}[0m    \u{1b}[1mCOUNT\u{1b}[0m  \u{1b}[1mPROSE\u{1b}[0m")
    #expect(lines[2] == plain[2])
    #expect(styled.lines(width: 40, isStyled: false) == plain)
  }

  @Test(
    "what a terminal would obey is not shown",
    arguments: [
      ("plain", "plain"), ("a\nb\tc", "a b c"), ("\u{1b}[2Jx", "\u{fffd}[2Jx"),
      ("\u{9b}31m", "\u{fffd}31m"), ("\u{202e}txt", "\u{fffd}txt"), ("del\u{7f}", "del\u{fffd}"),
    ])
  func visible(text: String, shown: String) {
    #expect(text.visible == shown)
    #expect(TextTable.Cell(text).text == shown)
  }

  @Test("wide characters take two columns")
  func wide() {
    #expect("火事".displayWidth == 4)
    #expect("火事だ".truncated(to: 5) == "火事…")
    #expect("火事だ".truncated(to: 4) == "火…")
    #expect("naïve".truncated(to: 5) == "naïve")
    #expect("naïve".truncated(to: 4) == "naï…")
    #expect("x".truncated(to: 0) == "")
  }
}

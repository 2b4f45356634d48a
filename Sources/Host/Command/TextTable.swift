/// Cells in columns, as wide as they need and the terminal allows. A value: what it shows depends on nothing else.
struct TextTable {
  struct Column {
    var title: String
    /// Numbers end under one another.
    var isRightAligned = false
    /// Left out where no row has anything to say in it.
    var isOptional = false
    /// Where the terminal is too narrow, the column with the highest goes first; nil stays to the end.
    var dropRank: Int?
    /// Cut before anything is left out: the one that holds prose.
    var isFlexible = false
  }

  struct Cell: ExpressibleByStringLiteral {
    /// Without control characters (`String.visible`).
    var text: String
    var style = TextStyle.plain

    init(_ text: String, _ style: TextStyle = .plain) {
      self.text = text.visible
      self.style = style
    }

    init(stringLiteral text: String) { self.init(text) }

    /// Nothing to say.
    static let none: Cell = "-"
    var isNone: Bool { text.isEmpty || text == "-" }
  }

  var columns: [Column]
  var rows: [[Cell]]

  /// Prose is cut to this before a column is left out.
  private static let flexibleMinimum = 16
  private static let gap = "  "

  /// The title's line, and one for each row; nothing is padded at the end of a line.
  ///
  /// - Parameters:
  ///   - width: in columns of the terminal; nil for no limit.
  ///   - isStyled: with escape sequences.
  func lines(width: Int?, isStyled: Bool) -> [String] {
    var shown = columns.indices.filter { index in
      !columns[index].isOptional || rows.contains { !$0[index].isNone }
    }
    var widths = columns.indices.map { index in
      rows.reduce(columns[index].title.displayWidth) { max($0, $1[index].text.displayWidth) }
    }
    if let width { fit(&shown, &widths, into: width) }
    let titles = columns.map { Cell($0.title, .strong) }
    return ([titles] + rows).map { line($0, shown, widths, width, isStyled) }
  }

  /// Rows of plain text in columns, each as wide as its widest, a line each.
  static func text(_ rows: [[String]]) -> String {
    guard let first = rows.first else { return "" }
    let table = TextTable(
      columns: first.map { Column(title: $0.visible) }, rows: rows.dropFirst().map { $0.map { Cell($0) } })
    return table.lines(width: nil, isStyled: false).map { $0 + "\n" }.joined()
  }

  private func fit(_ shown: inout [Int], _ widths: inout [Int], into width: Int) {
    func excess() -> Int {
      shown.reduce(TextTable.gap.count * (shown.count - 1)) { $0 + widths[$1] } - width
    }
    func shrink(to minimum: Int) {
      guard let index = shown.first(where: { columns[$0].isFlexible }) else { return }
      widths[index] -= max(0, min(excess(), widths[index] - minimum))
    }
    shrink(to: TextTable.flexibleMinimum)
    while excess() > 0 {
      let candidates = shown.filter { columns[$0].dropRank != nil }
      guard let next = candidates.max(by: { (columns[$0].dropRank ?? 0) < (columns[$1].dropRank ?? 0) })
      else { break }
      shown.removeAll { $0 == next }
    }
    shrink(to: 1)
  }

  private func line(
    _ cells: [Cell], _ shown: [Int], _ widths: [Int], _ width: Int?, _ isStyled: Bool
  ) -> String {
    var line = StyledLine(width: width, isStyled: isStyled)
    for (position, index) in shown.enumerated() {
      let text = cells[index].text.truncated(to: widths[index])
      let padding = String(repeating: " ", count: widths[index] - text.displayWidth)
      if position > 0 { line.append(TextTable.gap) }
      if columns[index].isRightAligned { line.append(padding) }
      line.append(text, cells[index].style)
      if !columns[index].isRightAligned { line.append(padding) }
    }
    return line.text
  }
}

/// One line of the terminal in the making: never wider than it, and without blanks at its end.
struct StyledLine {
  /// Nil for no limit.
  let width: Int?
  let isStyled: Bool
  private(set) var text = ""
  private var used = 0
  private var blanks = ""

  init(width: Int?, isStyled: Bool) {
    self.width = width
    self.isStyled = isStyled
  }

  mutating func append(_ more: String, _ style: TextStyle = .plain) {
    guard more.contains(where: { $0 != " " }) else {
      blanks += more
      return
    }
    let room = width.map { $0 - used - blanks.count } ?? .max
    guard room > 0 else { return }
    let cut = more.truncated(to: room)
    text += blanks + (isStyled ? style.applied(to: cut) : cut)
    used += blanks.count + cut.displayWidth
    blanks = ""
  }
}

/// How a piece of text is shown on a terminal (ECMA-48, select graphic rendition).
enum TextStyle: String {
  case plain = ""
  case strong = "1"
  case faint = "2"
  case good = "32"
  case warning = "33"
  case bad = "31"
  case worst = "1;31"

  func applied(to text: String) -> String {
    self == .plain || text.isEmpty ? text : "\u{1b}[\(rawValue)m\(text)\u{1b}[0m"
  }
}

extension String {
  /// Without what a terminal would obey: a plugin's message may hold anything. Line ends and tabs become blanks,
  /// other control and format characters U+FFFD.
  var visible: String {
    guard unicodeScalars.contains(where: \.isUnsafeOnTerminal) else { return self }
    var shown = String.UnicodeScalarView()
    for scalar in unicodeScalars {
      switch scalar {
      case "\n", "\r", "\t": shown.append(" ")
      default: shown.append(scalar.isUnsafeOnTerminal ? "\u{fffd}" : scalar)
      }
    }
    return String(shown)
  }

  /// In columns of a terminal.
  var displayWidth: Int { reduce(0) { $0 + $1.displayWidth } }

  /// At most so many columns of a terminal, with `…` for what is cut.
  func truncated(to width: Int) -> String {
    // What has no more bytes than there are columns has no more columns either.
    guard utf8.count > width, displayWidth > width else { return self }
    guard width > 0 else { return "" }
    var kept = ""
    var used = 0
    for character in self {
      guard used + character.displayWidth < width else { break }
      kept.append(character)
      used += character.displayWidth
    }
    return kept + "…"
  }
}

extension Unicode.Scalar {
  fileprivate var isUnsafeOnTerminal: Bool {
    if value < 0x7f { return value < 0x20 }
    switch properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate: return true
    default: return false
    }
  }
}

extension Character {
  /// Two for what East Asian Width (UAX #11) calls wide, and pictures.
  var displayWidth: Int {
    guard let first = unicodeScalars.first?.value, first >= 0x1100 else { return 1 }
    switch first {
    case 0x1100...0x115f, 0x2e80...0xa4cf, 0xac00...0xd7a3, 0xf900...0xfaff, 0xfe30...0xfe6f, 0xff00...0xff60,
      0xffe0...0xffe6, 0x1f300...0x1f64f, 0x1f680...0x1f6ff, 0x1f900...0x1f9ff, 0x20000...0x3fffd:
      return 2
    default: return 1
    }
  }
}

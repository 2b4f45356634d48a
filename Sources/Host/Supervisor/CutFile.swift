/// Whether a file of the configuration was cut off, or is still being written: it ends where the one that serves goes on.
///
/// What was cut may be another text than the one that serves, which its writer has changed further up: the last section that
/// it has is held against the same section of the one that serves.
enum CutFile {
  enum Cut: Equatable {
    case none
    case inLine
    /// It may be: an operator can have removed the lines that are missing.
    case inSection
  }

  private typealias Line = ArraySlice<UInt8>
  private static let newline = UInt8(ascii: "\n")

  /// - Parameters:
  ///   - next: the file as it is now.
  ///   - serving: the file as it was when it came to serve.
  static func judge(_ next: ArraySlice<UInt8>, after serving: ArraySlice<UInt8>) -> Cut {
    let cut = judgeAsPrefix(next, of: serving)
    guard cut != .inLine, let end = next.last else { return cut }
    // Who ends each line would not have left the last one open.
    let isOpen = end != newline && serving.last == newline
    let (header, lines) = lastSection(of: next)
    let before = section(header, of: serving)
    if isOpen, let last = lines.last, !before.contains(last),
      before.contains(where: { $0.starts(with: last) })
    {
      return .inLine
    }
    if isOpen || lacksEnd(lines, of: before) { return .inSection }
    return cut
  }

  /// The same for the beginning of the very text that serves.
  private static func judgeAsPrefix(_ next: ArraySlice<UInt8>, of serving: ArraySlice<UInt8>) -> Cut {
    guard next.count < serving.count, serving.starts(with: next) else { return .none }
    let rest = serving.dropFirst(next.count)
    let isLineWhole = next.last == newline || rest.first == newline || rest.starts(with: [0x0d, newline])
    guard isLineWhole || next.isEmpty else { return .inLine }
    guard let following = rest.split(separator: newline).map(trimmed).first(where: saysSomething) else {
      return .none
    }
    return isHeader(following) ? .none : .inSection
  }

  /// The last key that the section had is not there any more, nor did another take its place.
  private static func lacksEnd(_ lines: [Line], of before: [Line]) -> Bool {
    func has(_ lines: [Line], _ line: Line) -> Bool { lines.contains { key(of: $0) == key(of: line) } }
    guard let end = before.last, !has(lines, end) else { return false }
    return lines.last.map { has(before, $0) } ?? true
  }

  // MARK: Lines

  private static func lastSection(of text: ArraySlice<UInt8>) -> (header: Line?, lines: [Line]) {
    let lines = text.split(separator: newline).map(trimmed).filter(saysSomething)
    guard let start = lines.lastIndex(where: isHeader) else { return (nil, lines) }
    return (lines[start], Array(lines[(start + 1)...]))
  }

  /// - Parameter header: nil for what stands before the first section.
  private static func section(_ header: Line?, of text: ArraySlice<UInt8>) -> [Line] {
    let lines = text.split(separator: newline).map(trimmed).filter(saysSomething)[...]
    guard let header else { return Array(lines.prefix { !isHeader($0) }) }
    guard let start = lines.firstIndex(of: header) else { return [] }
    return Array(lines[(start + 1)...].prefix { !isHeader($0) })
  }

  private static func trimmed(_ line: Line) -> Line {
    let start = line.drop(while: isBlank)
    return start.dropLast(start.reversed().prefix(while: isBlank).count)
  }

  private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0d }
  private static func saysSomething(_ line: Line) -> Bool {
    line.first.map { $0 != UInt8(ascii: "#") } ?? false
  }
  private static func isHeader(_ line: Line) -> Bool { line.first == UInt8(ascii: "[") }
  private static func key(of line: Line) -> Line { trimmed(line.prefix { $0 != UInt8(ascii: "=") }) }
}

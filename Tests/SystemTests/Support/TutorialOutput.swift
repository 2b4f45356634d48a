import Foundation

/// What a tutorial says that a command prints.
struct TutorialOutput {
  private let lines: [String]

  /// - Parameter text: `…` stands for anything within a line, and on a line of its own for any lines, or none.
  init(_ text: String) { lines = Self.lines(of: text) }

  func matches(_ output: String) -> Bool {
    // By what is left of both, from the end: whether the lines from `row` on match those of the output from `column` on.
    let actual = Self.lines(of: output)
    var below = [Bool](repeating: false, count: actual.count + 1)
    below[actual.count] = true
    for line in lines.reversed() {
      var here = [Bool](repeating: false, count: actual.count + 1)
      for column in stride(from: actual.count, through: 0, by: -1) {
        if line == "…" {
          here[column] = below[column] || (column < actual.count && here[column + 1])
        } else if column < actual.count {
          here[column] = below[column + 1] && Self.matches(line, actual[column])
        }
      }
      below = here
    }
    return below[0]
  }

  /// A line, whose `…` stand for any characters.
  private static func matches(_ expected: String, _ actual: String) -> Bool {
    let parts = expected.components(separatedBy: "…")
    guard parts.count > 1 else { return expected == actual }
    guard actual.hasPrefix(parts[0]) else { return false }
    var rest = actual.dropFirst(parts[0].count)
    for part in parts.dropFirst().dropLast() where !part.isEmpty {
      guard let found = rest.range(of: part) else { return false }
      rest = rest[found.upperBound...]
    }
    return rest.hasSuffix(parts[parts.count - 1])
  }

  /// Without spaces at the ends of lines, nor empty lines at the end: neither can be seen. Nor can be that a field of HTTP
  /// ends with CR LF, which is one character to Swift.
  private static func lines(of text: String) -> [String] {
    var lines = text.replacingOccurrences(of: "\r\n", with: "\n").split(
      separator: "\n", omittingEmptySubsequences: false
    ).map { line in
      String(line.reversed().drop { $0.isWhitespace }.reversed())
    }
    while lines.last == "" { lines.removeLast() }
    return lines
  }
}

/// The ports of a document, and the free ones that stand for them in this run: two runs do not meet, nor does a run meet
/// what listens on this machine already.
///
/// A number that follows `127.0.0.1:` anywhere in the document is a port, and is replaced wherever it stands alone.
/// So it is in the `plugins.conf` of the clone.
struct TutorialPorts {
  private var chosen: [(written: String, actual: String)] = []

  init(of document: String) throws {
    let pattern = try NSRegularExpression(pattern: #"127\.0\.0\.1:([0-9]{2,5})\b"#)
    let whole = NSRange(document.startIndex..., in: document)
    for match in pattern.matches(in: document, range: whole) {
      guard let range = Range(match.range(at: 1), in: document) else { continue }
      let written = String(document[range])
      if !chosen.contains(where: { $0.written == written }) {
        chosen.append((written, try Self.free(besides: chosen.map(\.actual))))
      }
    }
  }

  func replaced(in text: String) throws -> String {
    // All at once: one's replacement may be another's number.
    guard !chosen.isEmpty else { return text }
    let alternatives = chosen.map(\.written).joined(separator: "|")
    let pattern = try NSRegularExpression(pattern: "(?<![\\w.])(?:\(alternatives))(?![\\w])")
    var result = text
    for match in pattern.matches(in: text, range: NSRange(text.startIndex..., in: text)).reversed() {
      guard let range = Range(match.range, in: result) else { continue }
      let written = String(result[range])
      guard let port = chosen.first(where: { $0.written == written }) else { continue }
      result.replaceSubrange(range, with: port.actual)
    }
    return result
  }

  struct NoFreePort: Error {}

  /// Below those that the kernel gives away by itself, so that nobody else is given it before it is bound.
  private static func free(besides taken: [String]) throws -> String {
    for _ in 0..<200 {
      let port = UInt16.random(in: 10_240..<32_768)
      if !taken.contains(String(port)), canBind(port) { return String(port) }
    }
    throw NoFreePort()
  }

  private static func canBind(_ port: UInt16) -> Bool {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    return withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
      }
    }
  }
}

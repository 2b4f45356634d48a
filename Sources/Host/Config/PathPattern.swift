import Glibc

/// A pattern for normalised paths: whole segments from the start, `*` for exactly one, and everything below.
///
/// `/api/*/users` covers `/api/v1/users`, `/api/v1/users/` and `/api/v1/users/7`, and neither `/api/users` nor
/// `/api/v1/users2`. `/` covers every path. Letters are compared with case.
struct PathPattern: Sendable, Equatable {
  /// Without the slash at the end: empty for `/`.
  private let bytes: [UInt8]

  /// As in the file, without a slash at the end.
  var text: String { bytes.isEmpty ? "/" : String(decoding: bytes, as: UTF8.self) }

  /// Nil if the text is no pattern; `parse` says why.
  init?(_ text: String) {
    do { self = try PathPattern.parse(text) } catch { return nil }
  }

  private init(bytes: [UInt8]) { self.bytes = bytes }

  static func parse(_ text: String) throws(InvalidValue) -> PathPattern {
    PathPattern(bytes: try normalised(text, allowsWildcard: true))
  }

  /// A plugin's mount: a path without wildcards or a slash at the end, and empty for `/`.
  static func parseMount(_ text: String) throws(InvalidValue) -> String {
    String(decoding: try normalised(text, allowsWildcard: false), as: UTF8.self)
  }

  /// Whether the pattern covers `path`, which is normalised and without query. Allocates nothing; any thread.
  func matches(_ path: UnsafeRawBufferPointer) -> Bool {
    bytes.withUnsafeBytes { pattern in
      guard let first = path.first, first == Self.slash else { return false }
      var p = 0
      var at = 0
      while p < pattern.count {
        // Both stand on a slash, or the path is over.
        guard at < path.count, path[at] == Self.slash else { return false }
        p += 1
        at += 1
        if pattern[p] == Self.star {
          let start = at
          while at < path.count, path[at] != Self.slash { at += 1 }
          if at == start { return false }
          p += 1
        } else {
          while p < pattern.count, pattern[p] != Self.slash {
            guard at < path.count, path[at] == pattern[p] else { return false }
            p += 1
            at += 1
          }
        }
      }
      return at == path.count || path[at] == Self.slash
    }
  }

  private static let slash = UInt8(ascii: "/")
  private static let star = UInt8(ascii: "*")

  /// Segments of what RFC 3986 section 3.3 allows unencoded, so that each path has one spelling, the one that
  /// requests are normalised to.
  private static func normalised(_ text: String, allowsWildcard: Bool) throws(InvalidValue) -> [UInt8] {
    guard text.utf8.first == slash else {
      throw InvalidValue("has \(text.quotedForMessage), which does not begin with '/'")
    }
    guard text.utf8.count <= 1024 else { throw InvalidValue("is longer than 1024 bytes") }
    var segments = text.utf8.dropFirst().split(separator: slash, omittingEmptySubsequences: false)
    if segments.last?.isEmpty == true { segments.removeLast() }
    for segment in segments {
      let problem: String? =
        switch Array(segment) {
        case []: "which has an empty segment"
        case [UInt8(ascii: ".")], [UInt8(ascii: "."), UInt8(ascii: ".")]: "which has a dot segment"
        case [star] where allowsWildcard: nil
        case [star]: "but '*' has no place here"
        case [star, star]: "but '**' is not needed: a pattern covers everything below it"
        case let bytes where bytes.contains(star): "but '*' stands for a whole segment"
        case let bytes: bytes.first { !isPlain($0) }.map(complaint)
        }
      if let problem { throw InvalidValue("has \(text.quotedForMessage), \(problem)") }
    }
    return segments.flatMap { [slash] + $0 }
  }

  private static func isPlain(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"):
      true
    default: "-._~!$&'()+,;=:@".utf8.contains(byte)
    }
  }

  private static func complaint(_ byte: UInt8) -> String {
    switch byte {
    case UInt8(ascii: "?"), UInt8(ascii: "#"): "which goes on after the path"
    case UInt8(ascii: "%"), 0x80...: "which has characters that are percent-encoded in a path; use '*'"
    case UInt8(ascii: "{"), UInt8(ascii: "}"): "but a parameter is written '*' here"
    default: "which has \(String(UnicodeScalar(byte)).quotedForMessage), not allowed in a path"
    }
  }
}

/// A path by whole segments: `*` stands for one segment, and a pattern covers everything below what it names.
///
/// `/api/v1/auth` covers `/api/v1/auth` and `/api/v1/auth/login`, but not `/api/v1/authors`.
public struct PathPattern: Sendable, Equatable {
  /// As written.
  public let text: String
  /// Nil for `*`.
  private let segments: [[UInt8]?]

  /// - Parameter text: begins with a slash; nil is returned if it does not, or if it has an empty segment, a
  ///   query, or a `*` beside other characters. A slash at the end changes nothing.
  public init?(_ text: String) {
    guard text.hasPrefix("/"), !text.contains("?"), !text.contains("#") else { return nil }
    var parts = text.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
    if parts.last == "" { parts.removeLast() }
    guard !parts.contains(where: { $0.isEmpty || ($0 != "*" && $0.contains("*")) }) else { return nil }
    self.text = text
    segments = parts.map { $0 == "*" ? nil : Array($0.utf8) }
  }

  /// Whether it covers a path: one that it names, or one below.
  ///
  /// - Parameter path: normalised, as the host hands it out.
  public func matches(_ path: UnsafeRawBufferPointer) -> Bool { end(of: path) != nil }

  /// Whether it names a path, and does not only cover it from above. A slash at the path's end changes nothing.
  ///
  /// - Parameter path: normalised, as the host hands it out.
  public func matchesWhole(_ path: UnsafeRawBufferPointer) -> Bool {
    end(of: path).map { $0 >= path.count } ?? false
  }

  /// Where what is below begins, past the path's end if nothing is; nil if the path is not covered.
  private func end(of path: UnsafeRawBufferPointer) -> Int? {
    var start = 1
    for segment in segments {
      guard start < path.count else { return nil }
      var end = start
      while end < path.count, path[end] != UInt8(ascii: "/") { end += 1 }
      if let segment {
        guard end - start == segment.count, path[start..<end].elementsEqual(segment) else { return nil }
      } else if end == start {
        return nil
      }
      start = end + 1
    }
    return start
  }
}

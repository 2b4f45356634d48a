extension PathPattern {
  private var parts: [Substring] { text.split(separator: "/") }

  /// True if both cover the same paths.
  public func hasSameSegments(as other: PathPattern) -> Bool { parts == other.parts }

  /// Longer goes before shorter; of two as long, the first segment in which they differ decides, and a name
  /// goes before `*`.
  public func isMoreSpecific(than other: PathPattern) -> Bool {
    let (mine, theirs) = (parts, other.parts)
    if mine.count != theirs.count { return mine.count > theirs.count }
    for (one, another) in zip(mine, theirs) where one != another {
      return another == "*"
    }
    return false
  }
}

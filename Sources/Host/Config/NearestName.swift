/// Finds what somebody who mistyped a name most likely meant.
enum NearestName {
  /// The name nearest to `text`, if one is near enough to be a slip of the fingers: at most a third of its letters,
  /// and at least one, differ; or else the only name that begins with it. Case, and '_' for '-', do not count. Of
  /// equally near names the first.
  static func of(_ text: String, among names: [String]) -> String? {
    let written = folded(text)
    var nearest: (name: String, distance: Int)?
    for name in names {
      let candidate = folded(name)
      let limit = max(1, max(written.count, candidate.count) / 3)
      // Names of lengths that differ by more are further apart than that.
      guard abs(written.count - candidate.count) <= limit else { continue }
      let distance = distance(written, candidate)
      guard distance <= limit, distance < candidate.count else { continue }
      if nearest.map({ distance < $0.distance }) ?? true { nearest = (name, distance) }
    }
    if let nearest { return nearest.name }
    let longer = written.count < 3 ? [] : names.filter { folded($0).starts(with: written) }
    return longer.count == 1 ? longer[0] : nil
  }

  /// "; did you mean 'applies-to'?", or nothing.
  static func hint(for text: String, among names: [String]) -> String {
    guard let name = of(text, among: names) else { return "" }
    return "; did you mean '\(name)'?"
  }

  private static func folded(_ text: String) -> [UInt8] {
    // Past this length nothing that we name can be near.
    text.utf8.prefix(128).map { byte in
      switch byte {
      case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte | 0x20
      case UInt8(ascii: "_"): UInt8(ascii: "-")
      default: byte
      }
    }
  }

  /// Damerau–Levenshtein in its restricted form (optimal string alignment): insertions, deletions, substitutions
  /// and swaps of neighbours, no letter touched twice.
  static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
    var beforeLast: [Int] = []
    var last = Array(0...b.count)
    for i in a.indices {
      var row = [i + 1]
      row.reserveCapacity(b.count + 1)
      for j in b.indices {
        var best = min(last[j] + (a[i] == b[j] ? 0 : 1), last[j + 1] + 1, row[j] + 1)
        if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { best = min(best, beforeLast[j - 1] + 1) }
        row.append(best)
      }
      beforeLast = last
      last = row
    }
    return last[b.count]
  }
}

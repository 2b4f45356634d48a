/// Delta debugging: the algorithm ddmin of Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input"
/// (2002).
enum DeltaDebugging {
  /// The elements that are needed for a failure: without any one of those returned, `fails` is false.
  ///
  /// - Parameters:
  ///   - elements: with all of them, `fails` is true.
  ///   - fails: of a subset, in the order of `elements`. Asked at most about `count * count` times.
  /// - Returns: empty if it fails without any.
  static func minimal<Element, Failure: Error>(
    of elements: [Element], fails: ([Element]) throws(Failure) -> Bool
  ) throws(Failure) -> [Element] {
    if try fails([]) { return [] }
    var kept = elements
    var parts = 2
    search: while kept.count > 1 {
      let chunks = split(kept, into: parts)
      // One of the parts alone; of two parts, each is the other's complement.
      for chunk in chunks where try fails(chunk) {
        kept = chunk
        parts = 2
        continue search
      }
      if parts > 2 {
        for index in chunks.indices {
          let rest = Array(chunks.enumerated().filter { $0.offset != index }.map(\.element).joined())
          if try fails(rest) {
            kept = rest
            parts -= 1
            continue search
          }
        }
      }
      if parts >= kept.count { break }
      parts = min(parts * 2, kept.count)
    }
    return kept
  }

  private static func split<Element>(_ elements: [Element], into count: Int) -> [[Element]] {
    (0..<count).map { index in
      Array(elements[(elements.count * index / count)..<(elements.count * (index + 1) / count)])
    }
  }
}

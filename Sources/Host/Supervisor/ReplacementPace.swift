/// How soon a worker may be replaced for what has become of it by itself: it has grown too large, or cannot take connections
/// any more. The next may be no better from its first moment, and replacing it at once, again and again, would serve nobody.
///
/// A pure value, in nanoseconds.
struct ReplacementPace: Sendable {
  static let first: UInt64 = 1_000_000_000
  static let longest: UInt64 = 600_000_000_000

  /// How old a worker has to be; doubled by each that is hardly older, and the first again after one that is.
  private(set) var minimumAge = ReplacementPace.first

  /// True if a worker of this age may be replaced, which it then is.
  mutating func admits(age: UInt64) -> Bool {
    guard age >= minimumAge else { return false }
    minimumAge =
      age < 2 * minimumAge ? min(2 * minimumAge, ReplacementPace.longest) : ReplacementPace.first
    return true
  }

  /// The one before was replaced hardly older than it had to be.
  var isSlowed: Bool { minimumAge > ReplacementPace.first }
}

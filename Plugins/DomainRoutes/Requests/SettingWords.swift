import PluginAPI

/// Reads a setting that is several words: `sketch-1 price 5 max 1024x1024`.
struct SettingWords {
  private var words: ArraySlice<Substring>
  private let key: String
  private let line: String

  init(_ line: String, key: String) {
    self.line = line
    self.key = key
    words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })[...]
  }

  /// The next word.
  /// - Throws: `SettingsError` if there is none.
  mutating func next(_ meaning: String) throws -> String {
    guard let word = words.popFirst() else { throw error("\(meaning) is missing") }
    return String(word)
  }

  /// The next word, as a number.
  mutating func nextNumber(_ meaning: String, in range: ClosedRange<Int>) throws -> Int {
    let word = try next(meaning)
    guard let number = Int(word), range.contains(number) else {
      throw error(
        "\(meaning), '\(word)', is not a whole number from \(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }

  /// The next word; nil at the end.
  mutating func nextOption() -> String? { words.popFirst().map(String.init) }

  /// The rest, as it stands there but for runs of spaces.
  mutating func rest() -> String {
    defer { words = [] }
    return words.joined(separator: " ")
  }

  func error(_ reason: String) -> SettingsError { SettingsError(key: key, reason: "\(reason), in '\(line)'") }
}

/// Dates in settings.
enum CalendarDate {
  /// The beginning of a UTC date, `2027-01-31`, in milliseconds since 1970; nil if there is no such day.
  ///
  /// "days_from_civil" of Howard Hinnant's "chrono-compatible low-level date algorithms".
  static func milliseconds(_ text: String) -> Int64? {
    let parts = text.split(separator: "-", omittingEmptySubsequences: false).map { Int64($0) }
    guard parts.count == 3, text.utf8.count == 10, let year = parts[0], let month = parts[1],
      let day = parts[2],
      1970...9999 ~= year, 1...12 ~= month, 1...length(ofMonth: month, in: year) ~= day
    else { return nil }
    let shiftedYear = month <= 2 ? year - 1 : year
    let era = shiftedYear / 400
    let yearOfEra = shiftedYear - era * 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    return (era * 146_097 + dayOfEra - 719_468) * 86_400_000
  }

  private static func length(ofMonth month: Int64, in year: Int64) -> Int64 {
    switch month {
    case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }
}

/// UTC times as the API writes them.
public enum Timestamp {
  /// RFC 3339 with milliseconds and `Z`: `2025-08-15T09:30:00.000Z`.
  ///
  /// - Parameter milliseconds: since 1970-01-01T00:00:00Z; may be negative.
  public static func rfc3339(milliseconds: Int64) -> String {
    let (day, millisecond) = milliseconds.flooredDivision(by: 86_400_000)
    let (hour, inHour) = millisecond.quotientAndRemainder(dividingBy: 3_600_000)
    let (minute, inMinute) = inHour.quotientAndRemainder(dividingBy: 60_000)
    let (second, fraction) = inMinute.quotientAndRemainder(dividingBy: 1000)
    return date(day: day)
      + "T\(hour.padded(to: 2)):\(minute.padded(to: 2)):\(second.padded(to: 2)).\(fraction.padded(to: 3))Z"
  }

  /// The same from nanoseconds since 1970, cut to milliseconds.
  public static func rfc3339(nanoseconds: Int64) -> String {
    rfc3339(milliseconds: nanoseconds.flooredDivision(by: 1_000_000).quotient)
  }

  /// The UTC date: `2025-08-15`.
  ///
  /// - Parameter milliseconds: since 1970-01-01T00:00:00Z; may be negative.
  public static func date(milliseconds: Int64) -> String {
    date(day: milliseconds.flooredDivision(by: 86_400_000).quotient)
  }

  /// The proleptic Gregorian date of a day counted from 1970-01-01: "civil_from_days" of Howard Hinnant's
  /// "chrono-compatible low-level date algorithms", in eras of 400 years that begin on 1 March.
  private static func date(day: Int64) -> String {
    let (era, dayOfEra) = (day + 719_468).flooredDivision(by: 146_097)
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthFromMarch = (5 * dayOfYear + 2) / 153
    let dayOfMonth = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
    let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    return "\(year.padded(to: 4))-\(month.padded(to: 2))-\(dayOfMonth.padded(to: 2))"
  }
}

extension Int64 {
  /// Division rounding down, so that the remainder is never negative. `divisor` is positive.
  fileprivate func flooredDivision(by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
    let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
    return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
  }

  /// In decimal with leading zeros.
  fileprivate func padded(to width: Int) -> String {
    let digits = String(self)
    return String(repeating: "0", count: Swift.max(0, width - digits.count)) + digits
  }
}

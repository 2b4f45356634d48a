/// Dates as HTTP writes them.
public enum HTTPDate {
  /// Appends an IMF-fixdate (RFC 9110 section 5.6.7), such as `Sun, 06 Nov 1994 08:49:37 GMT`: 29 bytes.
  ///
  /// - Parameter unixSeconds: Seconds since 1970-01-01 00:00 UTC, without leap seconds. What lies outside the years 0
  ///   to 9999, for which the format has no room, is written as the nearest date within them.
  public static func append(_ unixSeconds: Int64, into buffer: inout ByteBuffer) {
    let seconds = min(max(Int(unixSeconds), -62_167_219_200), 253_402_300_799)
    let days = seconds >= 0 ? seconds / 86_400 : -((86_399 - seconds) / 86_400)
    let secondOfDay = seconds - days * 86_400
    let (year, month, day) = civilDate(days)

    // Day 0 was a Thursday; 719,530 is a multiple of 7, and makes the sum positive from year 0 on.
    appendName(weekdays, (days + 4 + 719_530) % 7, into: &buffer)
    buffer.append(", ")
    appendTwoDigits(day, into: &buffer)
    buffer.append(byte: Octets.space)
    appendName(months, month - 1, into: &buffer)
    buffer.append(byte: Octets.space)
    appendTwoDigits(year / 100, into: &buffer)
    appendTwoDigits(year % 100, into: &buffer)
    buffer.append(byte: Octets.space)
    appendTwoDigits(secondOfDay / 3600, into: &buffer)
    buffer.append(byte: UInt8(ascii: ":"))
    appendTwoDigits(secondOfDay / 60 % 60, into: &buffer)
    buffer.append(byte: UInt8(ascii: ":"))
    appendTwoDigits(secondOfDay % 60, into: &buffer)
    buffer.append(" GMT")
  }

  private static var weekdays: StaticString { "SunMonTueWedThuFriSat" }
  private static var months: StaticString { "JanFebMarAprMayJunJulAugSepOctNovDec" }

  private static func appendName(_ names: StaticString, _ index: Int, into buffer: inout ByteBuffer) {
    buffer.append(UnsafeRawBufferPointer(start: names.utf8Start + index * 3, count: 3))
  }

  private static func appendTwoDigits(_ number: Int, into buffer: inout ByteBuffer) {
    buffer.append(byte: 0x30 + UInt8(truncatingIfNeeded: number / 10))
    buffer.append(byte: 0x30 + UInt8(truncatingIfNeeded: number % 10))
  }

  /// The Gregorian date of a day counted from 1970-01-01, for years from 0 on.
  ///
  /// Counts in years that begin on 1 March, so that a leap day is a year's last, and in eras of 400 such years, which
  /// have 146,097 days each. Day 0 of era 0 is 0000-03-01; January and February of year 0 are in the era before.
  private static func civilDate(_ days: Int) -> (year: Int, month: Int, day: Int) {
    let shifted = days + 719_468 + 146_097
    let era = shifted / 146_097
    let dayOfEra = shifted % 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthFromMarch = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
    let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    let year = yearOfEra + (era - 1) * 400 + (month <= 2 ? 1 : 0)
    return (year, month, day)
  }
}

import Foundation

/// The formats of JSON Schema that are checked.
enum Format {
  /// nil: the format is not known.
  static func isValid(_ text: String, as format: String) -> Bool? {
    switch format {
    case "uuid": matches(text, "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")
    case "date": isDate(text)
    case "date-time":
      // RFC 3339 section 5.6.
      matches(
        text, #"^[0-9-]{10}[Tt][0-2][0-9]:[0-5][0-9]:[0-6][0-9](\.[0-9]+)?([Zz]|[+-][0-2][0-9]:[0-5][0-9])$"#)
        && isDate(String(text.prefix(10)))
    case "email": matches(text, #"^[^@\s]+@[^@\s]+$"#)
    case "uri": matches(text, #"^[A-Za-z][A-Za-z0-9+.-]*:[\x21-\x7e]+$"#)
    case "uri-reference": matches(text, #"^[\x21-\x7e]*$"#)
    default: nil
    }
  }

  private static func matches(_ text: String, _ pattern: String) -> Bool {
    text.range(of: pattern, options: .regularExpression) == text.startIndex..<text.endIndex
  }

  /// A day that there is.
  private static func isDate(_ text: String) -> Bool {
    guard matches(text, "^[0-9]{4}-[0-9]{2}-[0-9]{2}$") else { return false }
    let parts = text.split(separator: "-").compactMap { Int($0) }
    var calendar = Calendar(identifier: .gregorian)
    calendar.timeZone = TimeZone(secondsFromGMT: 0) ?? calendar.timeZone
    return DateComponents(calendar: calendar, year: parts[0], month: parts[1], day: parts[2]).isValidDate
  }
}

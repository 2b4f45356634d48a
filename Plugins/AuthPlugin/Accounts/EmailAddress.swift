/// An e-mail address in the one form in which it is kept and compared: trimmed, and all in lower case.
///
/// The part before the @ may by RFC 5321 differ by case alone, but nowhere does; two accounts that differ by nothing else
/// would only help impostors. ASCII only, for the same reason: an international domain is written in its `xn--` form.
struct EmailAddress: Sendable, Equatable {
  let text: String

  /// Nil if the text is no address of the form that browsers accept (HTML, "valid e-mail address"), with a dot in its
  /// domain; or it is longer than mail servers take (RFC 5321 section 4.5.3.1).
  init?(_ text: String) {
    let address = Self.normalised(text)
    let parts = address.split(separator: "@", omittingEmptySubsequences: false)
    guard parts.count == 2, address.utf8.count <= 254, Self.isLocalPart(parts[0].utf8),
      Self.isDomain(parts[1])
    else { return nil }
    self.text = address
  }

  /// The form in which an address is looked up, acceptable or not.
  static func normalised(_ text: String) -> String {
    let isSpace = { (byte: UInt8) in byte == 0x20 || (0x09...0x0D).contains(byte) }
    let start = text.utf8.drop(while: isSpace)
    let end = start.lastIndex { !isSpace($0) }.map { start.index(after: $0) } ?? start.startIndex
    return String(Substring(start[..<end])).lowercased()
  }

  private static func isLocalPart(_ text: Substring.UTF8View) -> Bool {
    (1...64).contains(text.count) && text.allSatisfy { isAlphanumeric($0) || localSymbols.contains($0) }
  }

  private static func isDomain(_ text: Substring) -> Bool {
    let labels = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    return labels.count >= 2
      && labels.allSatisfy { label in
        (1...63).contains(label.count) && label.first != hyphen && label.last != hyphen
          && label.allSatisfy { isAlphanumeric($0) || $0 == hyphen }
      }
  }

  private static func isAlphanumeric(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
      || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
  }

  private static let hyphen = UInt8(ascii: "-")
  private static let localSymbols = Set(".!#$%&'*+/=?^_`{|}~-".utf8)
}

/// Characters that have no place in a path or a name: they end lines, or are obeyed by terminals.
extension String {
  /// The first of Unicode's general category Cc, which has the line feed, the tab and DEL, or U+2028 or U+2029, which end
  /// lines too; nil if there is none.
  var firstControlCharacter: Unicode.Scalar? {
    unicodeScalars.first { scalar in
      switch scalar.value {
      case 0..<0x20, 0x7F..<0xA0, 0x2028, 0x2029: true
      default: false
      }
    }
  }
}

extension Unicode.Scalar {
  /// `U+000A`.
  var codePoint: String {
    let digits = String(value, radix: 16, uppercase: true)
    return "U+" + String(repeating: "0", count: max(0, 4 - digits.utf8.count)) + digits
  }
}

extension ValueText {
  /// A path that can be told on one line.
  static func path(_ text: String) throws(InvalidValue) -> String {
    guard !text.isEmpty else { throw InvalidValue("is empty") }
    if let character = text.firstControlCharacter {
      throw InvalidValue(
        "is \(text.quotedForMessage), a path with the control character \(character.codePoint)")
    }
    return text
  }
}

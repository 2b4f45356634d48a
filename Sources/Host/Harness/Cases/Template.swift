import Glibc

/// Texts with `{{name}}` in them.
enum Template {
  /// Puts captured values in; a name that nothing was captured for stays as it stands.
  static func fill(_ text: String, _ captured: [String: String]) -> String {
    guard contains(text, "{{") else { return text }
    var result: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let open = rest.firstRange(of: "{{"), let close = rest[open.upperBound...].firstRange(of: "}}") {
      result += rest[..<open.lowerBound]
      let name = String(decoding: rest[open.upperBound..<close.lowerBound], as: UTF8.self)
      if let value = captured[ValueText.trimmed(name[...].utf8)] {
        result += value.utf8
      } else {
        result += rest[open.lowerBound..<close.upperBound]
      }
      rest = rest[close.upperBound...]
    }
    return String(decoding: result + rest, as: UTF8.self)
  }

  static func contains(_ text: String, _ part: String) -> Bool {
    part.isEmpty || Array(text.utf8)[...].firstRange(of: part) != nil
  }
}

extension ArraySlice<UInt8> {
  /// Where the text stands first; nil if nowhere, or if it is empty.
  func firstRange(of text: String) -> Range<Int>? {
    let wanted = Array(text.utf8)
    guard let first = wanted.first else { return nil }
    var from = startIndex
    while let start = self[from...].firstIndex(of: first), endIndex - start >= wanted.count {
      if self[start..<(start + wanted.count)].elementsEqual(wanted) { return start..<(start + wanted.count) }
      from = start + 1
    }
    return nil
  }
}

/// A POSIX extended regular expression (regex(7)), by the C library's own.
enum RegularExpression {
  /// What is wrong with a pattern; nil if it is one.
  static func complaint(of pattern: String) -> String? {
    var compiled = regex_t()
    let code = regcomp(&compiled, pattern, REG_EXTENDED)
    guard code != 0 else {
      regfree(&compiled)
      return nil
    }
    var text = [CChar](repeating: 0, count: 256)
    regerror(code, &compiled, &text, text.count)
    return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// The first group, or the whole match if there is none; nil without a match. A text ends at its first NUL.
  static func firstMatch(of pattern: String, in text: String) -> String? {
    var compiled = regex_t()
    guard regcomp(&compiled, pattern, REG_EXTENDED) == 0 else { return nil }
    defer { regfree(&compiled) }
    var places = [regmatch_t](repeating: regmatch_t(), count: 2)
    guard regexec(&compiled, text, places.count, &places, 0) == 0 else { return nil }
    let place = compiled.re_nsub > 0 && places[1].rm_so >= 0 ? places[1] : places[0]
    return String(decoding: Array(text.utf8)[Int(place.rm_so)..<Int(place.rm_eo)], as: UTF8.self)
  }
}

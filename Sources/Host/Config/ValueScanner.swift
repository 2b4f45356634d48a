/// Reads one value: from behind the `=` to the end of its line.
///
///     value    = quoted / plain
///     quoted   = <"> *( character / escape / substitution ) <">   ; only a comment may follow
///     escape   = "\" ( "\" / <"> / "$" / "n" / "r" / "t" )
///     plain    = *( character / substitution )                    ; blanks at its ends do not count
///
/// In a plain value a `#` after a blank begins a comment. A `#` elsewhere, and one after a double quote that is not
/// closed, could be meant either way, and is refused.
struct ValueScanner {
  private var rest: ArraySlice<UInt8>
  private var output: [UInt8] = []
  private var substitution: Substitution

  private init(_ line: ArraySlice<UInt8>, _ substitution: Substitution) {
    rest = line.drop(while: ValueText.isBlank)
    self.substitution = substitution
  }

  /// - Parameters:
  ///   - line: what stands behind the `=`, without the line's end; valid UTF-8.
  ///   - substitution: of the whole file, which keeps count of what it has put in.
  static func scan(
    _ line: ArraySlice<UInt8>, _ substitution: inout Substitution
  ) throws(InvalidValue) -> String {
    var scanner = ValueScanner(line, substitution)
    defer { substitution = scanner.substitution }
    return try scanner.scan()
  }

  private mutating func scan() throws(InvalidValue) -> String {
    if rest.first == UInt8(ascii: "\"") { try scanQuoted() } else { try scanPlain() }
    guard output.count <= ConfigurationText.maximumValue else { throw Substitution.tooLong }
    guard !output.contains(0) else { throw InvalidValue("holds a NUL byte") }
    guard let value = String(validating: output, as: UTF8.self) else {
      throw InvalidValue("is not valid UTF-8")
    }
    return value
  }

  private mutating func scanQuoted() throws(InvalidValue) {
    rest.removeFirst()
    while let byte = rest.first {
      switch byte {
      case UInt8(ascii: "\""):
        rest.removeFirst()
        rest = rest.drop(while: ValueText.isBlank)
        guard rest.isEmpty || rest.first == UInt8(ascii: "#") else {
          throw InvalidValue("goes on after its closing quote; put all of it in quotes, with \\\" inside")
        }
        return
      case UInt8(ascii: "\\"):
        rest.removeFirst()
        try scanEscape()
      case UInt8(ascii: "$"): try scanSubstitution()
      default:
        output.append(byte)
        rest.removeFirst()
      }
    }
    throw InvalidValue("has no closing quote")
  }

  private mutating func scanEscape() throws(InvalidValue) {
    guard let byte = rest.popFirst() else { throw InvalidValue("has no closing quote") }
    switch byte {
    case UInt8(ascii: "\\"), UInt8(ascii: "\""), UInt8(ascii: "$"): output.append(byte)
    case UInt8(ascii: "n"): output.append(UInt8(ascii: "\n"))
    case UInt8(ascii: "r"): output.append(UInt8(ascii: "\r"))
    case UInt8(ascii: "t"): output.append(UInt8(ascii: "\t"))
    default:
      let shown = byte < 0x80 ? String(UnicodeScalar(byte)) : "…"
      throw InvalidValue("has the escape '\\\(shown)'; in quotes there are \\\\ \\\" \\$ \\n \\r \\t")
    }
  }

  private mutating func scanPlain() throws(InvalidValue) {
    // Blanks at the end are dropped, but not those that a substitution brought.
    var kept = 0
    var isAfterBlank = true
    var hasOpenQuote = false
    while let byte = rest.first {
      switch byte {
      case UInt8(ascii: "#"):
        guard isAfterBlank, !hasOpenQuote else {
          throw InvalidValue("has a '#'; put the value in quotes, or a blank before the comment")
        }
        rest = []
      case UInt8(ascii: "$"):
        try scanSubstitution()
        kept = output.count
        isAfterBlank = false
      default:
        output.append(byte)
        rest.removeFirst()
        isAfterBlank = ValueText.isBlank(byte)
        if !isAfterBlank { kept = output.count }
        if byte == UInt8(ascii: "\"") { hasOpenQuote.toggle() }
      }
    }
    output.removeLast(output.count - kept)
  }

  private mutating func scanSubstitution() throws(InvalidValue) {
    let (consumed, value) = try substitution.expand(rest)
    guard output.count + value.count <= ConfigurationText.maximumValue else { throw Substitution.tooLong }
    output += value
    rest = rest.dropFirst(consumed)
  }
}

/// What a JSON text (RFC 8259) is, and where its members are, found in one pass that lets nothing else through than the
/// grammar does.
///
/// Foundation's decoder takes more than JSON (a trailing comma, UTF-16, a number that begins with 0), and builds what it
/// reads before anybody can count it. This stands in front of it: what has an outline is well-formed, no deeper than is
/// allowed, and nothing has been made of it but a list of places.
public struct JSONOutline: Sendable {
  public enum Fault: Error, Equatable {
    /// Not UTF-8, or not JSON; or half a surrogate pair is escaped, which stands for no character (section 8.2).
    case malformed
    case tooDeep
  }

  public enum Kind: Sendable, Equatable { case object, array, string, number, boolean, null }

  /// One member of the outer object. A name may come twice: its last value counts.
  public struct Member: Sendable {
    /// Between the quotes.
    let name: Range<Int>
    let hasEscapes: Bool
    public let value: Range<Int>
    public let kind: Kind
    /// How many arrays and objects are nested in the value, itself included; 0 for what is neither.
    public let depth: Int
    /// How many values an array or object has, those of its own values not counted.
    public let count: Int
  }

  /// How deep Foundation's decoder goes.
  public static let maximumDepth = 512

  /// The text.
  public let bytes: [UInt8]
  /// What the text is as a whole.
  public let kind: Kind
  /// Of an object; else empty.
  public let members: [Member]

  /// Reads a text.
  ///
  /// - Parameter maximumDepth: how deep arrays and objects may be nested.
  public init(_ bytes: [UInt8], maximumDepth: Int = Self.maximumDepth) throws(Fault) {
    do {
      _ = try UTF8Span(validating: bytes.span)
    } catch {
      throw .malformed
    }
    var scanner = JSONScanner(bytes, maximumDepth: maximumDepth)
    kind = try scanner.text()
    members = scanner.members
    self.bytes = bytes
  }

  /// The names of the members, in their order, with the escapes resolved.
  ///
  /// - Throws: `DecodingError`, not for a text that has an outline.
  public func names() throws -> [String] {
    // One call of the decoder for all: there may be thousands.
    let escaped = members.filter(\.hasEscapes).map { bytes[$0.name.lowerBound - 1...$0.name.upperBound] }
    let list = [UInt8(ascii: "[")] + escaped.joined(separator: [UInt8(ascii: ",")]) + [UInt8(ascii: "]")]
    var resolved = try (escaped.isEmpty ? [] : JSONText.decode([String].self, from: list)).makeIterator()
    return members.map { member in
      member.hasEscapes ? resolved.next() ?? "" : String(decoding: bytes[member.name], as: UTF8.self)
    }
  }

  /// A value without the white space between its tokens; else as it stands in the text.
  public func compact(_ value: Range<Int>) -> JSONFragment {
    var compact: [UInt8] = []
    compact.reserveCapacity(value.count)
    var isInString = false
    var isEscaped = false
    for byte in bytes[value] {
      if isInString {
        isInString = isEscaped || byte != UInt8(ascii: "\"")
        isEscaped = !isEscaped && byte == UInt8(ascii: "\\")
      } else if byte <= UInt8(ascii: " ") {
        continue
      } else {
        isInString = byte == UInt8(ascii: "\"")
      }
      compact.append(byte)
    }
    return JSONFragment(valid: String(decoding: compact, as: UTF8.self))
  }
}

/// Writes one JSON text (RFC 8259), without Foundation and without whitespace.
///
///     var json = JSONWriter()
///     json.object {
///       $0.field("name", "auth")
///       $0.array("routes") { $0.element("/login") }
///     }
///
/// Commas, quotes and escapes are the writer's; what the caller answers for is that names stand in objects and
/// elements in arrays. Strings are valid UTF-8 by type: decode bytes with `String(decoding:as:)`, which repairs them.
struct JSONWriter: Sendable {
  /// The text so far, in UTF-8.
  private(set) var bytes: [UInt8] = []
  /// True if a value has been written in the innermost object or array.
  private var needsComma = false

  init(reservingCapacity capacity: Int = 256) {
    bytes.reserveCapacity(capacity)
  }

  /// The text so far.
  var text: String { String(decoding: bytes, as: UTF8.self) }
}

// MARK: Values in an array, or at the top

extension JSONWriter {
  mutating func object(_ body: (inout JSONWriter) -> Void) {
    open("{")
    body(&self)
    close("}")
  }

  mutating func array(_ body: (inout JSONWriter) -> Void) {
    open("[")
    body(&self)
    close("]")
  }

  /// A string, or null.
  mutating func element(_ value: String?) {
    separate()
    if let value { append(quoted: value) } else { append("null") }
    needsComma = true
  }

  /// An integer, or null.
  mutating func element<Integer: BinaryInteger>(_ value: Integer?) {
    separate()
    append(value.map { String($0) } ?? "null")
    needsComma = true
  }

  /// A number, or null: also for what JSON has no text for, infinities and not-a-number.
  mutating func element(_ value: Double?) {
    separate()
    if let value, value.isFinite { append("\(value)") } else { append("null") }
    needsComma = true
  }

  mutating func element(_ value: Bool?) {
    separate()
    append(value.map { $0 ? "true" : "false" } ?? "null")
    needsComma = true
  }

  /// A value that is JSON already. The caller answers for its validity.
  mutating func element(raw json: some Sequence<UInt8>) {
    separate()
    bytes.append(contentsOf: json)
    needsComma = true
  }

  mutating func null() { element(nil as String?) }
}

// MARK: Members of an object

extension JSONWriter {
  mutating func object(_ name: String, _ body: (inout JSONWriter) -> Void) {
    key(name)
    object(body)
  }

  mutating func array(_ name: String, _ body: (inout JSONWriter) -> Void) {
    key(name)
    array(body)
  }

  mutating func field(_ name: String, _ value: String?) {
    key(name)
    element(value)
  }

  mutating func field<Integer: BinaryInteger>(_ name: String, _ value: Integer?) {
    key(name)
    element(value)
  }

  mutating func field(_ name: String, _ value: Double?) {
    key(name)
    element(value)
  }

  mutating func field(_ name: String, _ value: Bool?) {
    key(name)
    element(value)
  }

  /// A list of strings.
  mutating func field(_ name: String, _ values: [String]) {
    array(name) { json in
      for value in values { json.element(value) }
    }
  }

  /// A member whose value is JSON already. The caller answers for its validity.
  mutating func field(_ name: String, raw json: some Sequence<UInt8>) {
    key(name)
    element(raw: json)
  }

  mutating func null(_ name: String) {
    key(name)
    null()
  }

  /// A member's name; its value must follow.
  mutating func key(_ name: String) {
    separate()
    append(quoted: name)
    bytes.append(UInt8(ascii: ":"))
    needsComma = false
  }
}

// MARK: Text

extension JSONWriter {
  private mutating func separate() {
    if needsComma { bytes.append(UInt8(ascii: ",")) }
  }

  private mutating func open(_ bracket: Unicode.Scalar) {
    separate()
    bytes.append(UInt8(ascii: bracket))
    needsComma = false
  }

  private mutating func close(_ bracket: Unicode.Scalar) {
    bytes.append(UInt8(ascii: bracket))
    needsComma = true
  }

  private mutating func append(_ text: String) {
    bytes.append(contentsOf: text.utf8)
  }

  /// RFC 8259 section 7: quotes, backslashes and controls are escaped, all else stands as it is.
  private mutating func append(quoted text: String) {
    bytes.append(UInt8(ascii: "\""))
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"):
        bytes.append(UInt8(ascii: "\\"))
        bytes.append(byte)
      case UInt8(ascii: "\n"): append("\\n")
      case UInt8(ascii: "\r"): append("\\r")
      case UInt8(ascii: "\t"): append("\\t")
      case 0..<0x20, 0x7F:
        append("\\u00")
        bytes.append(Self.hexadecimal[Int(byte >> 4)])
        bytes.append(Self.hexadecimal[Int(byte & 15)])
      default: bytes.append(byte)
      }
    }
    bytes.append(UInt8(ascii: "\""))
  }

  private static let hexadecimal = Array("0123456789abcdef".utf8)
}

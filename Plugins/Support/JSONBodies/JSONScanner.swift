/// Reads JSON by its grammar (RFC 8259 sections 2 to 7), and notes the members of the outer object. Recursion is bounded by
/// `maximumDepth`.
struct JSONScanner {
  private let bytes: [UInt8]
  private let maximumDepth: Int
  private var index = 0
  /// Of the outer object's member that is being read: as in `JSONOutline.Member`.
  private var deepest = 0
  private var count = 0
  private(set) var members: [JSONOutline.Member] = []

  /// - Parameter bytes: valid UTF-8.
  init(_ bytes: [UInt8], maximumDepth: Int) {
    self.bytes = bytes
    self.maximumDepth = maximumDepth
  }

  /// One value, and nothing but white space around it.
  mutating func text() throws(JSONOutline.Fault) -> JSONOutline.Kind {
    skipSpace()
    let kind = try value(in: 0)
    skipSpace()
    guard index == bytes.count else { throw .malformed }
    return kind
  }

  private var byte: UInt8? { index < bytes.count ? bytes[index] : nil }

  private mutating func skipSpace() {
    while let byte, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { index += 1 }
  }

  private mutating func take(_ expected: Unicode.Scalar) -> Bool {
    guard byte == UInt8(ascii: expected) else { return false }
    index += 1
    return true
  }

  private mutating func expect(_ expected: Unicode.Scalar) throws(JSONOutline.Fault) {
    guard take(expected) else { throw .malformed }
  }

  /// - Parameter depth: how many arrays and objects it is in.
  private mutating func value(in depth: Int) throws(JSONOutline.Fault) -> JSONOutline.Kind {
    if depth == 2 { count += 1 }
    switch byte {
    case UInt8(ascii: "{"):
      try object(depth + 1)
      return .object
    case UInt8(ascii: "["):
      try array(depth + 1)
      return .array
    case UInt8(ascii: "\""):
      _ = try string()
      return .string
    case UInt8(ascii: "t"):
      try word("true")
      return .boolean
    case UInt8(ascii: "f"):
      try word("false")
      return .boolean
    case UInt8(ascii: "n"):
      try word("null")
      return .null
    default:
      try number()
      return .number
    }
  }

  private mutating func enter(_ depth: Int) throws(JSONOutline.Fault) {
    guard depth <= maximumDepth else { throw .tooDeep }
    deepest = max(deepest, depth)
    index += 1
    skipSpace()
  }

  private mutating func array(_ depth: Int) throws(JSONOutline.Fault) {
    try enter(depth)
    if take("]") { return }
    repeat {
      skipSpace()
      _ = try value(in: depth)
      skipSpace()
    } while take(",")
    try expect("]")
  }

  private mutating func object(_ depth: Int) throws(JSONOutline.Fault) {
    try enter(depth)
    if take("}") { return }
    repeat {
      skipSpace()
      guard byte == UInt8(ascii: "\"") else { throw .malformed }
      let nameStart = index + 1
      let hasEscapes = try string()
      let name = nameStart..<index - 1
      skipSpace()
      try expect(":")
      skipSpace()
      if depth == 1 { (deepest, count) = (1, 0) }
      let valueStart = index
      let kind = try value(in: depth)
      if depth == 1 {
        members.append(
          .init(
            name: name, hasEscapes: hasEscapes, value: valueStart..<index, kind: kind, depth: deepest - 1,
            count: count))
      }
      skipSpace()
    } while take(",")
    try expect("}")
  }

  /// - Returns: whether it has escapes.
  private mutating func string() throws(JSONOutline.Fault) -> Bool {
    index += 1
    var hasEscapes = false
    while let byte {
      index += 1
      switch byte {
      case UInt8(ascii: "\""): return hasEscapes
      case ..<0x20: throw .malformed
      case UInt8(ascii: "\\"):
        hasEscapes = true
        try escape()
      default: break
      }
    }
    throw .malformed
  }

  private mutating func escape() throws(JSONOutline.Fault) {
    guard !take("u") else { return try unicodeEscape() }
    guard let byte, #""\/bfnrt"#.utf8.contains(byte) else { throw .malformed }
    index += 1
  }

  private mutating func unicodeEscape() throws(JSONOutline.Fault) {
    switch try codeUnit() {
    case 0xD800...0xDBFF:
      try expect("\\")
      try expect("u")
      guard 0xDC00...0xDFFF ~= (try codeUnit()) else { throw .malformed }
    case 0xDC00...0xDFFF: throw .malformed
    default: break
    }
  }

  private mutating func codeUnit() throws(JSONOutline.Fault) -> Int {
    var unit = 0
    for _ in 0..<4 {
      guard let byte, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else { throw .malformed }
      unit = unit << 4 | digit
      index += 1
    }
    return unit
  }

  private mutating func number() throws(JSONOutline.Fault) {
    _ = take("-")
    if !take("0") { try digits() }
    if take(".") { try digits() }
    if take("e") || take("E") {
      if !take("+") { _ = take("-") }
      try digits()
    }
  }

  private mutating func digits() throws(JSONOutline.Fault) {
    let start = index
    while let byte, UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte { index += 1 }
    guard index > start else { throw .malformed }
  }

  private mutating func word(_ word: StaticString) throws(JSONOutline.Fault) {
    let end = index + word.utf8CodeUnitCount
    guard end <= bytes.count, bytes[index..<end].elementsEqual("\(word)".utf8) else { throw .malformed }
    index = end
  }
}

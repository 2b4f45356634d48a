/// Reads what stands after the `=`: numbers, durations, sizes, booleans, lists and choices.
///
/// Every function throws what is wrong in words that follow the key's name.
enum ValueText {
  /// A whole number in decimal digits.
  static func integer(_ text: String, in range: ClosedRange<Int64>) throws(InvalidValue) -> Int64 {
    let digits = text.utf8.first == UInt8(ascii: "-") ? text.utf8.dropFirst() : text.utf8[...]
    guard !digits.isEmpty, digits.allSatisfy(isDigit) else {
      throw InvalidValue("is \(text.quotedForMessage), which is no whole number")
    }
    guard let value = Int64(text), range.contains(value) else {
      throw InvalidValue(
        "is \(text.quotedForMessage), which is not in \(range.lowerBound)...\(range.upperBound)")
    }
    return value
  }

  static func integer(_ text: String, in range: ClosedRange<Int>) throws(InvalidValue) -> Int {
    Int(try integer(text, in: Int64(range.lowerBound)...Int64(range.upperBound)))
  }

  /// A finite decimal number: `0.5`, `-2`, `1e3`.
  static func number(_ text: String) throws(InvalidValue) -> Double {
    guard text.utf8.allSatisfy({ isDigit($0) || "+-.eE".utf8.contains($0) }), let value = Double(text),
      value.isFinite
    else { throw InvalidValue("is \(text.quotedForMessage), which is no number") }
    return value
  }

  static func boolean(_ text: String) throws(InvalidValue) -> Bool {
    switch text {
    case "true", "yes", "on": return true
    case "false", "no", "off": return false
    default:
      let names = ["true", "false", "yes", "no", "on", "off"]
      throw InvalidValue(
        "is \(text.quotedForMessage), which is neither true nor false"
          + NearestName.hint(for: text, among: names))
    }
  }

  /// `250ms`, `5s`, `2m`, `1h`, `7d`; also `us` and `ns`; a bare `0`.
  static func duration(_ text: String, in range: ClosedRange<Duration>) throws(InvalidValue) -> Duration {
    let value = Duration.nanoseconds(try nanoseconds(text))
    guard range.contains(value) else {
      throw InvalidValue(
        "is \(text.quotedForMessage), which is not in \(render(range.lowerBound))...\(render(range.upperBound))"
      )
    }
    return value
  }

  /// A duration of up to 292 years.
  static func nanoseconds(_ text: String) throws(InvalidValue) -> Int64 {
    let digits = text.utf8.prefix(while: isDigit)
    let unit = String(text.utf8.dropFirst(digits.count)) ?? ""
    if unit.isEmpty, text == "0" { return 0 }
    guard !digits.isEmpty, let scale = durationUnits.first(where: { $0.name == unit })?.nanoseconds else {
      let complaint = unit.isEmpty && !digits.isEmpty ? "which has no unit" : "which is no duration"
      throw InvalidValue("is \(text.quotedForMessage), \(complaint): write 250ms, 5s, 2m, 1h or 7d")
    }
    guard let count = Int64(String(digits) ?? ""), count <= .max / scale else {
      throw InvalidValue("is \(text.quotedForMessage), which is too long a time")
    }
    return count * scale
  }

  /// In bytes: `16k`, `1m`, `2g`, `1t`, each 1024 of the one before; without a letter, bytes.
  static func size(_ text: String) throws(InvalidValue) -> Int64 {
    let digits = text.utf8.prefix(while: isDigit)
    let unit = String(text.utf8.dropFirst(digits.count)) ?? ""
    guard !digits.isEmpty, let shift = sizeUnits.first(where: { $0.name == unit.lowercased() })?.shift else {
      throw InvalidValue("is \(text.quotedForMessage), which is no size: write 512, 16k, 1m or 2g")
    }
    guard let count = Int64(String(digits) ?? ""), count <= .max >> shift else {
      throw InvalidValue("is \(text.quotedForMessage), which is too large a size")
    }
    return count << shift
  }

  static func size(_ text: String, in range: ClosedRange<Int>) throws(InvalidValue) -> Int {
    let value = Int(try size(text))
    guard range.contains(value) else {
      throw InvalidValue(
        "is \(text.quotedForMessage), which is not in \(render(size: range.lowerBound))..."
          + render(size: range.upperBound))
    }
    return value
  }

  /// Items between commas, without the blanks around them; none if the text is empty.
  static func list(_ text: String) throws(InvalidValue) -> [String] {
    if trimmed(text[...].utf8).isEmpty { return [] }
    var items: [String] = []
    for part in text.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
      let item = trimmed(part)
      guard !item.isEmpty else { throw InvalidValue("has an empty item between its commas") }
      items.append(item)
    }
    return items
  }

  /// One of a few words.
  static func choice<T>(_ text: String, of choices: [(name: String, value: T)]) throws(InvalidValue) -> T {
    if let found = choices.first(where: { $0.name == text }) { return found.value }
    let names = choices.map(\.name)
    throw InvalidValue(
      "is \(text.quotedForMessage), which is none of \(names.joined(separator: ", "))"
        + NearestName.hint(for: text, among: names))
  }

  static func choice<T: RawRepresentable<String> & CaseIterable>(
    _ text: String, of type: T.Type
  ) throws(InvalidValue) -> T {
    try choice(text, of: type.allCases.map { ($0.rawValue, $0) })
  }

  static func trimmed(_ text: Substring.UTF8View) -> String {
    var rest = text
    while let first = rest.first, isBlank(first) { rest = rest.dropFirst() }
    while let last = rest.last, isBlank(last) { rest = rest.dropLast() }
    return String(Substring(rest))
  }

  static func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }

  static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
}

// MARK: Units

extension ValueText {
  private static let durationUnits: [(name: String, nanoseconds: Int64)] = [
    ("d", 86_400_000_000_000), ("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000),
    ("ms", 1_000_000), ("us", 1_000), ("ns", 1),
  ]

  private static let sizeUnits: [(name: String, shift: Int64)] = [
    ("t", 40), ("g", 30), ("m", 20), ("k", 10), ("", 0),
  ]

  /// As it would stand in the file, in the largest unit that leaves a whole number.
  static func render(_ duration: Duration) -> String {
    let nanoseconds = Int64(clamping: duration.nanoseconds)
    guard nanoseconds != 0,
      let unit = durationUnits.first(where: { nanoseconds.isMultiple(of: $0.nanoseconds) })
    else { return "0" }
    return "\(nanoseconds / unit.nanoseconds)\(unit.name)"
  }

  static func render(size bytes: Int) -> String {
    guard bytes != 0, let unit = sizeUnits.first(where: { bytes.isMultiple(of: 1 << $0.shift) }) else {
      return "0"
    }
    return "\(bytes >> unit.shift)\(unit.name)"
  }
}

/// The sections and lines of a configuration file, before any key is known.
///
/// The grammar, line by line; lines end in LF or CRLF, the text is UTF-8, and a byte-order mark is skipped:
///
///     file     = *( [ section / entry ] [ comment ] )
///     section  = "[" kind [ name ] "]"            ; a name may stand in double quotes
///     entry    = key "=" value                    ; see ValueScanner for values
///     comment  = "#" and the rest of the line
///
/// Reading goes on after an error, so that all of them are found at once.
struct ConfigurationText {
  struct Section {
    /// `host`, `cors`, `plugin`, or whatever was written.
    var kind: String
    /// Of `[plugin NAME]`; empty if there is none.
    var name: String
    var line: Int
    var entries: [Entry] = []
    /// Keys that are there with a value that could not be read, which has been complained of.
    var unreadableKeys: Set<String> = []

    /// As in the file, but for what is longer than any name may be: `[plugin auth]`.
    var title: String {
      let name = name.cut(to: 80)
      return name.isEmpty ? "[\(kind.cut(to: 80))]" : "[\(kind.cut(to: 80)) \(name)]"
    }

    /// What there may be only one of.
    var identity: [String] { [kind, name] }
  }

  struct Entry {
    var key: String
    var value: String
    var line: Int
  }

  /// In bytes.
  static let maximumFile = 1 << 20
  /// In bytes, with substitutions made.
  static let maximumValue = 64 << 10

  private(set) var sections: [Section] = []
  private(set) var errors = ConfigurationErrorList()
  private let path: String
  private var substitution: Substitution
  /// Entries before the first section, or below a header that makes no sense, belong nowhere.
  private var isInSection = false
  private var hasComplainedOfNoSection = false

  init(reading bytes: [UInt8], path: String, substitution: Substitution) {
    self.path = path
    self.substitution = substitution
    var text = bytes[...]
    if text.starts(with: [0xEF, 0xBB, 0xBF]) { text = text.dropFirst(3) }
    var number = 0
    while true {
      number += 1
      let line = text.prefix { $0 != UInt8(ascii: "\n") }
      read(line, number: number)
      guard line.endIndex < text.endIndex else { break }
      text = text[(line.endIndex + 1)...]
    }
  }

  private mutating func read(_ raw: ArraySlice<UInt8>, number: Int) {
    var line = raw
    if line.last == UInt8(ascii: "\r") { line = line.dropLast() }
    line = line.drop(while: ValueText.isBlank)
    do throws(InvalidValue) {
      try ConfigurationText.checkCharacters(line)
      switch line.first {
      case nil, UInt8(ascii: "#"): break
      case UInt8(ascii: "["):
        isInSection = false
        let (kind, name) = try header(line)
        sections.append(Section(kind: kind, name: name, line: number))
        isInSection = true
      default: try readEntry(line, number: number)
      }
    } catch {
      complain(error.problem, line: number)
    }
  }

  private mutating func readEntry(_ line: ArraySlice<UInt8>, number: Int) throws(InvalidValue) {
    guard let equals = line.firstIndex(of: UInt8(ascii: "=")) else {
      throw InvalidValue("expected 'key = value' or '[section]'")
    }
    var keyBytes = line[..<equals]
    while let last = keyBytes.last, ValueText.isBlank(last) { keyBytes = keyBytes.dropLast() }
    let key = String(decoding: keyBytes, as: UTF8.self)
    guard !key.isEmpty else { throw InvalidValue("there is no key before '='") }
    guard isInSection, !sections.isEmpty else {
      if sections.isEmpty, !hasComplainedOfNoSection {
        hasComplainedOfNoSection = true
        throw InvalidValue("\(key.quotedForMessage) stands before any section; begin with '[host]'")
      }
      return
    }
    do throws(InvalidValue) {
      let value = try ValueScanner.scan(line[line.index(after: equals)...], &substitution)
      sections[sections.count - 1].entries.append(Entry(key: key, value: value, line: number))
    } catch {
      // The key is there, if without a value that can be used: no second complaint that it is missing.
      sections[sections.count - 1].unreadableKeys.insert(key)
      throw InvalidValue("\(key.quotedForMessage) \(error.problem)")
    }
  }

  private func header(_ line: ArraySlice<UInt8>) throws(InvalidValue) -> (kind: String, name: String) {
    guard let end = line.firstIndex(of: UInt8(ascii: "]")) else {
      throw InvalidValue("the section's ']' is missing")
    }
    let rest = line[line.index(after: end)...].drop(while: ValueText.isBlank)
    guard rest.isEmpty || rest.first == UInt8(ascii: "#") else {
      throw InvalidValue("there is more after the section's ']'")
    }
    let words = line[line.index(after: line.startIndex)..<end].split(whereSeparator: ValueText.isBlank)
    guard let kind = words.first else { throw InvalidValue("the section has no name") }
    guard words.count <= 2 else {
      throw InvalidValue("the section has more than one name; write [plugin NAME]")
    }
    var name = words.count == 2 ? words[1] : []
    let quote = UInt8(ascii: "\"")
    if name.count >= 2, name.first == quote, name.last == quote { name = name.dropFirst().dropLast() }
    return (String(decoding: kind, as: UTF8.self), String(decoding: name, as: UTF8.self))
  }

  private static func checkCharacters(_ line: ArraySlice<UInt8>) throws(InvalidValue) {
    for byte in line where byte < 0x20 && byte != UInt8(ascii: "\t") || byte == 0x7F {
      let name = byte == 0 ? "a NUL byte" : "a control character (0x\(String(byte, radix: 16)))"
      throw InvalidValue("the line holds \(name)")
    }
    guard String(validating: line, as: UTF8.self) != nil else {
      throw InvalidValue("the line is not valid UTF-8")
    }
  }

  private mutating func complain(_ message: String, line: Int) {
    errors.add(path: path, line: line, message)
  }
}

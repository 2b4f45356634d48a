import Glibc

/// What `${…}` in a value stands for.
///
/// - `${NAME}`: the environment variable; an error if it is not set.
/// - `${NAME:-default}`: the variable, or the default if it is not set or empty.
/// - `${file:/path}`: what the file holds, less one newline at its end; a relative path starts at the directory of
///   the configuration file.
/// - `$$`: one `$`. A `$` before anything else stands for itself.
///
/// A default and a path may hold substitutions in turn. What is put in is never read again, so no variable or file
/// can bring quotes, comments or substitutions with it.
struct Substitution {
  var environment: [String: String]
  /// Of the configuration file; empty for the working directory.
  var directory: String

  static let maximumDepth = 16
  /// In bytes: of all that is put into one file.
  static let maximumTotal = 4 << 20
  /// What a file counts for at least, since opening it takes time: some 8000 of them are too many.
  private static let costOfFile = 512
  /// Of variables and files so far.
  private var total = 0

  init(environment: [String: String], directory: String) {
    self.environment = environment
    self.directory = directory
  }

  static var tooLong: InvalidValue {
    InvalidValue("is longer than \(ValueText.render(size: ConfigurationText.maximumValue))")
  }

  private mutating func count(_ bytes: Int) throws(InvalidValue) {
    total += bytes
    guard total <= Substitution.maximumTotal else {
      throw InvalidValue(
        "is one value too many: '${…}' puts more than \(ValueText.render(size: Substitution.maximumTotal)) into this file"
      )
    }
  }

  /// The length of the substitution that `text`, which begins with `$`, starts with, and what it stands for.
  mutating func expand(
    _ text: ArraySlice<UInt8>, depth: Int = 0
  ) throws(InvalidValue) -> (consumed: Int, value: [UInt8]) {
    switch text.dropFirst().first {
    case UInt8(ascii: "$"): return (2, [UInt8(ascii: "$")])
    case UInt8(ascii: "{"):
      guard depth < Substitution.maximumDepth else { throw InvalidValue("nests '${' too deeply") }
      guard let end = Substitution.closingBrace(of: text) else {
        throw InvalidValue("has a '${' without its '}'")
      }
      let expression = text[text.index(text.startIndex, offsetBy: 2)..<end]
      return (text.distance(from: text.startIndex, to: end) + 1, try value(of: expression, depth: depth + 1))
    default: return (1, [UInt8(ascii: "$")])
    }
  }

  private static func closingBrace(of text: ArraySlice<UInt8>) -> Int? {
    var depth = 0
    var previous: UInt8 = 0
    for index in text.indices {
      if text[index] == UInt8(ascii: "{"), previous == UInt8(ascii: "$") { depth += 1 }
      if text[index] == UInt8(ascii: "}") {
        depth -= 1
        if depth == 0 { return index }
      }
      previous = text[index]
    }
    return nil
  }

  private mutating func value(of expression: ArraySlice<UInt8>, depth: Int) throws(InvalidValue) -> [UInt8] {
    if expression.starts(with: "file:".utf8) {
      return try file(at: String(decoding: interpolate(expression.dropFirst(5), depth), as: UTF8.self))
    }
    let nameBytes = expression.prefix {
      $0 == UInt8(ascii: "_") || ValueText.isDigit($0) || Self.isLetter($0)
    }
    let name = String(decoding: nameBytes, as: UTF8.self)
    let rest = expression.dropFirst(nameBytes.count)
    guard let first = nameBytes.first, !ValueText.isDigit(first),
      rest.isEmpty || rest.starts(with: ":-".utf8)
    else {
      let shown = "${\(String(decoding: expression, as: UTF8.self))}".quotedForMessage
      throw InvalidValue("has \(shown); write ${NAME}, ${NAME:-default} or ${file:/path}")
    }
    if let value = environment[name], !(value.isEmpty && !rest.isEmpty) {
      guard value.utf8.count <= ConfigurationText.maximumValue else { throw Substitution.tooLong }
      try count(value.utf8.count)
      return Array(value.utf8)
    }
    if rest.isEmpty {
      throw InvalidValue(
        "needs the environment variable \(name), which is not set; "
          + "set it, or give a default: ${\(name):-…}")
    }
    return try interpolate(rest.dropFirst(2), depth)
  }

  private mutating func interpolate(_ text: ArraySlice<UInt8>, _ depth: Int) throws(InvalidValue) -> [UInt8] {
    var result: [UInt8] = []
    var rest = text
    while let byte = rest.first {
      if byte == UInt8(ascii: "$") {
        let (consumed, value) = try expand(rest, depth: depth)
        guard result.count + value.count <= ConfigurationText.maximumValue else { throw Substitution.tooLong }
        result += value
        rest = rest.dropFirst(consumed)
      } else {
        result.append(byte)
        rest = rest.dropFirst()
      }
    }
    return result
  }

  private mutating func file(at path: String) throws(InvalidValue) -> [UInt8] {
    guard !path.isEmpty else { throw InvalidValue("has '${file:}' without a path") }
    let resolved = FilePaths(directory: directory).resolve(path)
    try count(Substitution.costOfFile)
    var bytes: [UInt8]
    do throws(FileContents.Failure) {
      bytes = try FileContents.read(resolved, limit: ConfigurationText.maximumValue)
    } catch {
      if case .tooLarge(let limit) = error { try count(limit) }
      throw InvalidValue("needs the file \(resolved.visible.cut(to: 200)), which \(error)")
    }
    try count(max(0, bytes.count - Substitution.costOfFile))
    if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
    if bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
    return bytes
  }

  private static func isLetter(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte & ~0x20)
  }
}

extension CaseFile {
  /// Reads the text of a file, and says everything that is wrong with it.
  static func parse(_ bytes: [UInt8], path: String) -> Result<CaseFile, ConfigurationErrors> {
    var parser = CaseParser(bytes, path: path)
    parser.run()
    return parser.errors.isEmpty ? .success(parser.file) : .failure(ConfigurationErrors(parser.errors))
  }

  /// The same from the file system.
  static func load(_ path: String) -> Result<CaseFile, ConfigurationErrors> {
    do throws(FileContents.Failure) {
      return parse(try FileContents.read(path, limit: maximum, waits: true), path: path)
    } catch {
      return .failure(ConfigurationErrors([ConfigurationError(path: path, message: "\(error)")]))
    }
  }
}

/// Line by line: sections and settings, then of each step its request, then what is expected.
private struct CaseParser {
  var file: CaseFile
  var errors: [ConfigurationError] = []
  private let lines: [String]
  private var number = 0
  private var mode = Mode.nowhere

  private enum Mode { case nowhere, section, settings, head, body, answer, start }

  init(_ bytes: [UInt8], path: String) {
    file = CaseFile(path: path)
    guard let text = String(validating: bytes, as: UTF8.self) else {
      lines = []
      errors = [ConfigurationError(path: path, message: "is not valid UTF-8")]
      return
    }
    lines = text.split(separator: "\n", omittingEmptySubsequences: false).map {
      $0.hasSuffix("\r") ? String($0.dropLast()) : String($0)
    }
  }

  mutating func run() {
    for (index, line) in lines.enumerated() {
      number = index + 1
      do throws(InvalidValue) {
        try read(line)
      } catch {
        errors.append(ConfigurationError(path: file.path, line: number, message: error.problem))
      }
    }
    endBody()
    for entry in file.cases where entry.steps.isEmpty && entry.start == nil {
      errors.append(
        ConfigurationError(
          path: file.path, line: entry.line, message: "the case \(entry.name.quotedForMessage) has no request"
        ))
    }
  }

  private mutating func read(_ line: String) throws(InvalidValue) {
    switch mode {
    case .head: try readHead(line)
    case .body:
      if isAnswerLine(line) {
        endBody()
        try beginAnswer(line)
      } else {
        file.cases[last].steps[lastStep].body += Array((line + "\n").utf8)
      }
    case .nowhere, .section, .settings, .answer, .start:
      let text = ValueText.trimmed(line[...].utf8)
      if text.isEmpty || text.hasPrefix("#") { return }
      if text.hasPrefix("["), let title = CaseParser.title(text) { return try begin(title) }
      if let (method, target) = CaseParser.requestLine(text), mode != .nowhere, mode != .section {
        return beginStep(method, target)
      }
      try readEntry(text)
    }
  }

  private mutating func readEntry(_ text: String) throws(InvalidValue) {
    switch mode {
    case .nowhere: throw InvalidValue("stands before any section; begin with '[plugin]' or '[case NAME]'")
    case .section: file.sections[file.sections.count - 1].lines.append(try CaseParser.setting(text))
    case .settings:
      if text.hasPrefix("START ") { return try beginStart(text) }
      if isAnswerLine(text) { throw InvalidValue("answers no request: none stands before it") }
      file.cases[last].settings.append(try CaseParser.setting(text))
    case .start:
      let check = try CheckParser.check(text, line: number, default: .body)
      file.cases[last].start?.checks.append(check)
    case .answer: try readExpectation(text)
    case .head, .body: break
    }
  }

  private var last: Int { file.cases.count - 1 }
  private var lastStep: Int { file.cases[last].steps.count - 1 }

  // MARK: Sections

  /// What stands in brackets, if that is all.
  private static func title(_ text: String) -> String? {
    guard text.hasSuffix("]") else { return nil }
    return ValueText.trimmed(text.dropFirst().dropLast().utf8)
  }

  private mutating func begin(_ title: String) throws(InvalidValue) {
    if title == "case" || title.hasPrefix("case ") {
      let name = ValueText.trimmed(title.dropFirst(4).utf8)
      file.cases.append(Case(name: name.isEmpty ? "case \(file.cases.count + 1)" : name, line: number))
      mode = .settings
      guard !name.isEmpty else { throw InvalidValue("the case has no name; write [case NAME]") }
      guard !file.cases.dropLast().contains(where: { $0.name == name }) else {
        throw InvalidValue("a case of the name \(name.quotedForMessage) stands above already")
      }
      return
    }
    let words = title.split(separator: " ").map(String.init)
    mode = .section
    file.sections.append(CaseFile.Section(title: "[\(words.joined(separator: " "))]"))
    guard ["host", "cors"].contains(title) || words.first == "plugin" && words.count <= 2 else {
      let hint = NearestName.hint(for: words.first ?? "", among: ["case", "plugin", "host", "cors"])
      throw InvalidValue("unknown section \("[\(title)]".quotedForMessage)\(hint)")
    }
  }

  private static func setting(_ text: String) throws(InvalidValue) -> CaseFile.SettingLine {
    guard let equals = text.firstIndex(of: "=") else {
      throw InvalidValue(
        "expected 'key = value', a section, or a request such as 'GET /path', and not \(text.quotedForMessage)"
      )
    }
    let key = ValueText.trimmed(text[..<equals].utf8)
    guard !key.isEmpty else { throw InvalidValue("there is no key before '='") }
    return CaseFile.SettingLine(key: key, text: text)
  }

  // MARK: Requests

  /// `GET /path`: a method in capitals, and a target.
  private static func requestLine(_ text: String) -> (String, String)? {
    let words = text.split(separator: " ", omittingEmptySubsequences: true).map(String.init)
    guard words.count == 2, words[0] != "HTTP", words[0] != "START",
      words[0].utf8.allSatisfy({ (0x41...0x5a).contains($0) || $0 == 0x2d }),
      words[1].hasPrefix("/") || words[1] == "*" || words[1].hasPrefix("http://") || words[1].hasPrefix("{{")
    else { return nil }
    return (words[0], words[1])
  }

  private mutating func beginStep(_ method: String, _ target: String) {
    file.cases[last].steps.append(Step(line: number, method: method, target: target))
    mode = .head
  }

  private mutating func readHead(_ line: String) throws(InvalidValue) {
    if isAnswerLine(line) { return try beginAnswer(line) }
    guard !line.isEmpty else {
      mode = .body
      return
    }
    if line.hasPrefix("@") {
      return try CircumstanceParser.read(
        String(line.dropFirst()), into: &file.cases[last].steps[lastStep].circumstances)
    }
    guard let colon = line.firstIndex(of: ":") else {
      throw InvalidValue(
        "expected a field 'Name: value', an '@' line, or a blank line before the body, and not "
          + line.quotedForMessage)
    }
    file.cases[last].steps[lastStep].fields.append(
      Step.Field(
        name: String(line[..<colon]), value: ValueText.trimmed(line[line.index(after: colon)...].utf8)))
  }

  /// Blank lines around a body are not its own.
  private mutating func endBody() {
    guard mode == .body else { return }
    var body = file.cases[last].steps[lastStep].body[...]
    while body.first == 0x0a { body = body.dropFirst() }
    while body.last == 0x0a { body = body.dropLast() }
    file.cases[last].steps[lastStep].body = Array(body)
  }

  // MARK: Answers

  private func isAnswerLine(_ line: String) -> Bool {
    let words = line.split(separator: " ")
    guard words.count == 2, words[0] == "HTTP" else { return false }
    return words[1] == "*" || words[1].utf8.count == 3 && Int(words[1]) != nil
  }

  private mutating func beginAnswer(_ line: String) throws(InvalidValue) {
    mode = .answer
    let word = line.split(separator: " ")[1]
    guard word != "*" else { return }
    file.cases[last].steps[lastStep].status = try ValueText.integer(String(word), in: 200...599)
  }

  private mutating func beginStart(_ text: String) throws(InvalidValue) {
    mode = .start
    let reasons = Quarantine.Reason.allCases.filter(\.isOfLoading)
    let word = ValueText.trimmed(text.dropFirst(6).utf8)
    let reason = try ValueText.choice(word, of: reasons.map { ($0.rawValue, $0) })
    file.cases[last].start = Case.StartExpectation(line: number, reason: reason)
  }

  private mutating func readExpectation(_ text: String) throws(InvalidValue) {
    let words = text.split(separator: " ", maxSplits: 1).map(String.init)
    switch words[0] {
    case "capture":
      file.cases[last].steps[lastStep].captures.append(try CheckParser.capture(text, line: number))
    case "fault":
      file.cases[last].steps[lastStep].fault = try ValueText.choice(
        words.count > 1 ? words[1] : "",
        of: Quarantine.Reason.allCases.filter { !$0.isOfLoading && $0 != .operator }.map { ($0.rawValue, $0) }
      )
    case "within":
      file.cases[last].steps[lastStep].circumstances.limit = try ValueText.duration(
        words.count > 1 ? words[1] : "", in: .milliseconds(1) ... .seconds(3600))
    default:
      file.cases[last].steps[lastStep].checks.append(try CheckParser.check(text, line: number, default: nil))
    }
  }
}

/// Reads the lines below `HTTP 200`.
///
///     Field-Name: value                     ; one of the fields of that name has this value
///     SUBJECT CONDITION                     ; SUBJECT: body, json PATH, header NAME
///     capture NAME = SUBJECT [matches REGEX]
///
/// CONDITION: `= VALUE`, `!= VALUE`, `contains TEXT`, `lacks TEXT`, `matches REGEX` (POSIX extended), `exists`, `absent`, `> NUMBER`,
/// `< NUMBER`, `is TYPE`, `count N`. A VALUE of `json` is JSON; elsewhere it is text to the end of the line.
enum CheckParser {
  /// - Parameter subject: what a line that begins with a condition is about; nil if that is none.
  static func check(
    _ text: String, line: Int, default subject: Check.Subject?
  ) throws(InvalidValue) -> Check {
    if let subject, let condition = try condition(text[...], of: subject) {
      return Check(line: line, subject: subject, condition: condition)
    }
    if let (subject, rest) = self.subject(text) {
      guard let condition = try condition(rest, of: subject) else {
        throw InvalidValue(
          "has \(text.quotedForMessage), without a condition: =, !=, contains, lacks, matches, exists, absent, "
            + ">, <, is or count")
      }
      return Check(line: line, subject: subject, condition: condition)
    }
    guard let colon = text.firstIndex(of: ":"), colon > text.startIndex, !text[..<colon].contains(" ") else {
      let names = ["body", "json", "header", "capture", "fault", "within"]
      let word = text.split(separator: " ").first.map(String.init) ?? ""
      throw InvalidValue(
        "expects \(text.quotedForMessage), which is neither 'Field-Name: value' nor a check"
          + NearestName.hint(for: word, among: names))
    }
    return Check(
      line: line, subject: .field(String(text[..<colon])),
      condition: .equals(ValueText.trimmed(text[text.index(after: colon)...].utf8)))
  }

  /// `capture NAME = SUBJECT [matches REGEX]`
  static func capture(_ text: String, line: Int) throws(InvalidValue) -> Capture {
    let parts = text.split(separator: "=", maxSplits: 1).map { ValueText.trimmed($0.utf8) }
    let words = parts[0].split(separator: " ")
    guard parts.count == 2, words.count == 2, isName(words[1]), let (subject, rest) = subject(parts[1]) else {
      throw InvalidValue(
        "has \(text.quotedForMessage); write capture NAME = json PATH, header NAME or body, and matches REGEX "
          + "if need be")
    }
    let name = String(words[1])
    guard !rest.isEmpty else { return Capture(line: line, name: name, subject: subject) }
    guard case .matches(let pattern)? = try condition(rest, of: subject) else {
      throw InvalidValue("captures \(name) with a condition that is none of 'matches REGEX'")
    }
    return Capture(line: line, name: name, subject: subject, pattern: pattern)
  }

  private static func isName(_ text: Substring) -> Bool {
    text.utf8.allSatisfy {
      ValueText.isDigit($0) || $0 == 0x5f || $0 == 0x2d || (0x61...0x7a).contains($0 | 0x20)
    }
  }

  private static func subject(_ text: String) -> (Check.Subject, Substring)? {
    let words = text.split(separator: " ", maxSplits: 2).map(String.init)
    let rest = words.count > 2 ? words[2][...] : ""
    switch words.first {
    case "body": return (.body, text.dropFirst(4).drop { $0 == " " })
    case "json" where words.count > 1:
      let isBare = ["=", "!=", "is", "count", "contains", "matches"].contains(words[1])
      return isBare ? (.json(""), text.dropFirst(5)) : (.json(words[1]), rest)
    case "header" where words.count > 1: return (.field(words[1]), rest)
    default: return nil
    }
  }

  private static func condition(
    _ text: Substring, of subject: Check.Subject
  ) throws(InvalidValue) -> Check.Condition? {
    let words = text.split(separator: " ", maxSplits: 1).map(String.init)
    let value = words.count > 1 ? ValueText.trimmed(words[1][...].utf8) : ""
    switch words.first {
    case "=": return .equals(try checkedValue(value, of: subject))
    case "!=": return .differs(try checkedValue(value, of: subject))
    case "contains": return .contains(value)
    case "lacks": return .lacks(value)
    case "matches":
      if let complaint = RegularExpression.complaint(of: value) {
        throw InvalidValue(
          "has the regular expression \(value.quotedForMessage), which is none: \(complaint)")
      }
      return .matches(value)
    case "exists": return .exists
    case "absent": return .absent
    case ">": return .above(try ValueText.number(value))
    case "<": return .below(try ValueText.number(value))
    case "is":
      let types = ["string", "number", "boolean", "array", "object", "null"]
      return .isOfType(try ValueText.choice(value, of: types.map { ($0, $0) }))
    case "count": return .hasCount(try ValueText.integer(value, in: 0...Int.max))
    default: return nil
    }
  }

  /// JSON is compared as JSON. A value with `{{name}}` is judged once it is filled in.
  private static func checkedValue(_ value: String, of subject: Check.Subject) throws(InvalidValue) -> String
  {
    guard case .json = subject, !Template.contains(value, "{{") else { return value }
    guard JSONValue(parsing: Array(value.utf8)) != nil else {
      throw InvalidValue("compares with \(value.quotedForMessage), which is no JSON: strings stand in quotes")
    }
    return value
  }
}

/// Reads the `@` lines of a request.
///
///     @identity SUBJECT [role=ROLE] [email=EMAIL] [scopes=A,B]
///     @client ADDRESS
///     @access public | authenticated | role:NAME     ; of the route behind the plugin
///     @downstream STATUS [TEXT]                      ; its answer; @downstream-field Name: value
///     @unrouted                                      ; no route matches
///     @repeat N
///     @until DURATION                                ; asked again until the answer is as expected
enum CircumstanceParser {
  static func read(_ text: String, into circumstances: inout Step.Circumstances) throws(InvalidValue) {
    let words = text.split(separator: " ", maxSplits: 1).map(String.init)
    let value = words.count > 1 ? ValueText.trimmed(words[1][...].utf8) : ""
    switch words.first {
    case "identity": circumstances.identity = try identity(value)
    case "client":
      guard AddressPrefix(value) != nil, !value.contains("/") else {
        throw InvalidValue("has the client \(value.quotedForMessage), which is no address")
      }
      circumstances.client = value
    case "access": circumstances.downstream.access = try access(value)
    case "downstream":
      let parts = value.split(separator: " ", maxSplits: 1).map(String.init)
      circumstances.downstream.status = try ValueText.integer(parts.first ?? "", in: 200...599)
      circumstances.downstream.body = parts.count > 1 ? parts[1] : ""
    case "downstream-field":
      guard let colon = value.firstIndex(of: ":") else { throw InvalidValue("has a field without ':'") }
      circumstances.downstream.fields.append(
        Step.Field(
          name: String(value[..<colon]), value: ValueText.trimmed(value[value.index(after: colon)...].utf8)))
    case "unrouted": circumstances.isUnrouted = true
    case "repeat": circumstances.repetitions = try ValueText.integer(value, in: 1...100_000)
    case "until":
      circumstances.patience = try ValueText.duration(value, in: .milliseconds(1) ... .seconds(600))
    default:
      let names = [
        "identity", "client", "access", "downstream", "downstream-field", "unrouted", "repeat", "until",
      ]
      throw InvalidValue(
        "has \("@\(text)".quotedForMessage), which is unknown\(NearestName.hint(for: words.first ?? "", among: names))"
      )
    }
  }

  private static func identity(_ text: String) throws(InvalidValue) -> TestIdentity {
    var words = text.split(separator: " ").map(String.init)
    guard let subject = words.first, !subject.contains("=") else {
      throw InvalidValue("has an identity without a subject; write @identity SUBJECT role=ROLE")
    }
    words.removeFirst()
    var identity = TestIdentity(subject: subject)
    for word in words {
      let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
      switch (parts.first, parts.count) {
      case ("role", 2): identity.role = parts[1]
      case ("email", 2): identity.email = parts[1]
      case ("scopes", 2): identity.scopes = parts[1].split(separator: ",").map(String.init)
      default:
        throw InvalidValue(
          "has \(word.quotedForMessage) in an identity; there are role=, email= and scopes="
            + NearestName.hint(for: parts.first ?? "", among: ["role", "email", "scopes"]))
      }
    }
    return identity
  }

  private static func access(_ text: String) throws(InvalidValue) -> Access {
    if text.hasPrefix("role:"), text.utf8.count > 5 { return .role(String(text.dropFirst(5))) }
    return try ValueText.choice(text, of: [("public", Access.public), ("authenticated", .authenticated)])
  }
}

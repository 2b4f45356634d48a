/// One thing that is wrong with a configuration, in the words that the operator reads.
///
/// `description` begins as a compiler's message does, so that editors can jump to it:
/// `plugins.conf:12: unknown key 'aplies-to' in [plugin auth]; did you mean 'applies-to'?`
struct ConfigurationError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The file as it was named, or `environment`.
  var path: String
  /// From 1; nil if the error is of the file as a whole.
  var line: Int?
  /// What is wrong, and where it helps what to write instead. Holds no secret.
  var message: String

  var description: String {
    guard let line else { return "\(path.visible): \(message)" }
    return "\(path.visible):\(line): \(message)"
  }
}

/// All that is wrong with a configuration, in the order of its lines; never empty.
struct ConfigurationErrors: Error, Sendable, Equatable, CustomStringConvertible {
  /// The first ones, `ConfigurationErrorList.maximum` at most.
  private(set) var errors: [ConfigurationError]
  /// How many there are beyond those.
  private(set) var more: Int

  init(_ errors: [ConfigurationError]) {
    var list = ConfigurationErrorList()
    for error in errors { list.add(error) }
    self.init(list)
  }

  /// - Parameter list: not empty.
  init(_ list: ConfigurationErrorList) {
    errors = list.first
    more = list.count - errors.count
  }

  /// One error a line, and how many more there are.
  var description: String {
    var lines = errors.map(\.description)
    if more > 0 { lines.append("and \(more) more error\(more == 1 ? "" : "s")") }
    return lines.joined(separator: "\n")
  }
}

/// Why a value is not acceptable, without naming the key that it was given for.
struct InvalidValue: Error, Equatable {
  /// Continues "'timeout' …": "is '5', which …".
  var problem: String

  init(_ problem: String) { self.problem = problem }
}

extension String {
  /// At most so many characters (Unicode scalars), with `…` for what is cut.
  func cut(to limit: Int) -> String {
    // What has no more bytes has no more scalars either.
    guard utf8.count > limit,
      let end = unicodeScalars.index(
        unicodeScalars.startIndex, offsetBy: limit, limitedBy: unicodeScalars.endIndex),
      end < unicodeScalars.endIndex
    else { return self }
    return String(unicodeScalars[..<end]) + "…"
  }

  /// In single quotes for a message, on one line, and cut if it is long.
  var quotedForMessage: String {
    var shown = ""
    for (index, scalar) in unicodeScalars.enumerated() {
      guard index < 80 else {
        shown += "…"
        break
      }
      if scalar.value < 0x20 || scalar.value == 0x7F {
        shown += "\\u{\(String(scalar.value, radix: 16))}"
      } else {
        shown.unicodeScalars.append(scalar)
      }
    }
    return "'\(shown)'"
  }
}

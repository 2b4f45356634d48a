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
    guard let line else { return "\(path): \(message)" }
    return "\(path):\(line): \(message)"
  }
}

/// All that is wrong with a configuration, in the order of its lines; never empty.
struct ConfigurationErrors: Error, Sendable, Equatable, CustomStringConvertible {
  var errors: [ConfigurationError]

  init(_ errors: [ConfigurationError]) {
    // Sorting is stable: errors of one line stay in the order they were found in.
    self.errors = errors.sorted { ($0.line ?? 0) < ($1.line ?? 0) }
  }

  /// One error a line.
  var description: String { errors.map(\.description).joined(separator: "\n") }
}

/// Why a value is not acceptable, without naming the key that it was given for.
struct InvalidValue: Error, Equatable {
  /// Continues "'timeout' …": "is '5', which …".
  var problem: String

  init(_ problem: String) { self.problem = problem }
}

extension String {
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

/// What became of one case, rule or the like.
struct HarnessResult: Sendable, Equatable {
  var name: String
  /// Where it stands: `auth.case:12`, or `plugin.h:308`.
  var place: String
  var took: Duration
  /// Nil: it passed.
  var failure: Failure?
  /// There was nothing to check, and why.
  var skipped: String?

  struct Failure: Sendable, Equatable {
    /// One line.
    var message: String
    /// Where in the file, if not at `place`.
    var place: String?
    /// Further lines: the answer, the backtrace.
    var details: [String] = []
    /// A command that does it again.
    var repeatCommand: String?
  }

  var isPassed: Bool { failure == nil && skipped == nil }
}

/// All of a run.
struct HarnessSummary: Sendable, Equatable {
  /// The path of what was tested.
  var library: String
  /// `auth 1.0.0`
  var subject: String
  var results: [HarnessResult] = []

  var passed: Int { results.count { $0.isPassed } }
  var failed: Int { results.count { $0.failure != nil } }
  var skipped: Int { results.count { $0.skipped != nil } }
  var status: ExitStatus { failed == 0 ? .success : .no }

  /// Always the last line.
  var lastLine: String { "\(passed) passed, \(failed) failed" }
}

// MARK: For people

extension HarnessSummary {
  /// One result: a line, and why it failed below.
  static func text(_ result: HarnessResult) -> String {
    let milliseconds = result.took.nanoseconds / 1_000_000
    if let why = result.skipped { return "  skip  \(result.name): \(why)\n" }
    guard let failure = result.failure else { return "  ok    \(result.name) (\(milliseconds) ms)\n" }
    var text = "  FAIL  \(result.name) (\(milliseconds) ms)\n"
    text += indented("\(failure.place ?? result.place): \(failure.message)")
    for detail in failure.details { text += indented(detail) }
    if let command = failure.repeatCommand { text += indented("again: \(command)") }
    return text
  }

  private static func indented(_ text: String) -> String {
    text.split(separator: "\n", omittingEmptySubsequences: false).map { "        \($0)\n" }.joined()
  }
}

// MARK: For programs

extension HarnessSummary {
  var json: String {
    var json = JSONWriter()
    json.object { json in
      json.field("library", library)
      json.field("plugin", subject)
      json.field("passed", passed)
      json.field("failed", failed)
      json.field("skipped", skipped)
      json.array("results") { list in
        for result in results { list.object { HarnessSummary.write(result, to: &$0) } }
      }
    }
    return json.text + "\n"
  }

  private static func write(_ result: HarnessResult, to json: inout JSONWriter) {
    json.field("name", result.name)
    json.field("place", result.failure?.place ?? result.place)
    json.field("outcome", result.skipped != nil ? "skipped" : result.failure == nil ? "passed" : "failed")
    json.field("duration_ms", Double(result.took.nanoseconds / 1000) / 1000)
    json.field("message", result.failure?.message ?? result.skipped)
    json.field("details", result.failure?.details ?? [])
    json.field("repeat", result.failure?.repeatCommand)
  }
}

/// The words of a command line, quoted for a shell where they need it.
enum ShellWords {
  static func line(_ words: [String]) -> String { words.map(quoted).joined(separator: " ") }

  private static func quoted(_ word: String) -> String {
    let isPlain = word.utf8.allSatisfy { byte in
      ValueText.isDigit(byte) || (0x61...0x7a).contains(byte | 0x20) || "-_./=:,@%+".utf8.contains(byte)
    }
    if isPlain, !word.isEmpty { return word }
    return "'" + word.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
  }
}

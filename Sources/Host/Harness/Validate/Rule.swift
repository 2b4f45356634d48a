import LinuxShims

/// One rule of the boundary, and how a plugin is held against it. Each is checked in a process of its own.
struct Rule: Sendable {
  /// What the check needs.
  enum Needs: Sendable {
    /// Nothing but the file.
    case file
    /// A library that this host would load.
    case library
    /// Settings with which the plugin starts.
    case start
  }

  /// Kebab-case.
  var id: String
  /// What must hold, in one line.
  var title: String
  /// The header that says so, below `bulkhead/`.
  var header = "plugin.h"
  /// Text of the line that says so.
  var anchor: String
  var needs = Needs.start
  /// For all of it.
  var timeLimit = Duration.seconds(60)
  var check: @Sendable (RuleBench) throws(Finding) -> Void

  /// `plugin.h:308`: where the rule stands in the header that this program was built with.
  var place: String {
    guard let line = HeaderText.line(of: anchor, in: header) else { return header }
    return "\(header):\(line)"
  }

  static func named(_ id: String) -> Rule? { all.first { $0.id == id } }

  static let all: [Rule] =
    tableRules + settingsRules + lifecycleRules + requestRules + memoryRules + hostRules + leakRules
    + processRules
}

/// What a check has found, or why there is nothing to check.
enum Finding: Error, Sendable, Equatable {
  case broken(String, details: [String])
  /// What stands in the way is another rule's to tell, and is told there once.
  case elsewhere(rule: String, String, details: [String])
  case notApplicable(String)

  /// One line, and what belongs below it.
  static func broken(_ message: String) -> Finding { .broken(message, details: []) }
}

/// The headers that this program was built with.
enum HeaderText {
  static let names = [
    "plugin.h", "stream.h", "request-body.h", "self-test.h", "settings-check.h", "metrics.h",
    "shared-memory.h", "timers.h", "bulkhead.h",
  ]

  static func text(of name: String) -> String? {
    var count = 0
    guard let start = shim_header(name, &count) else { return nil }
    return String(decoding: UnsafeRawBufferPointer(start: start, count: count), as: UTF8.self)
  }

  /// From 1; nil if no line holds the text.
  static func line(of anchor: String, in name: String) -> Int? {
    guard let text = text(of: name) else { return nil }
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    return lines.firstIndex { Template.contains(String($0), anchor) }.map { $0 + 1 }
  }
}

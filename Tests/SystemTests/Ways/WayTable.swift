/// The outcomes as a table.
enum WayTable {
  private static let head = [
    "way", "language", "phase", "expected", "found", "answer", "/health ms", "others ms", "lost", "verdict",
  ]

  static func text(_ outcomes: [WayOutcome]) -> String {
    let rows = outcomes.map(row)
    let all = [head] + rows
    let widths = head.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
    return all.map { row in
      zip(row, widths).map { cell, width in cell + String(repeating: " ", count: width - cell.count) }
        .joined(separator: "  ")
    }.joined(separator: "\n")
  }

  private static func row(_ outcome: WayOutcome) -> [String] {
    let way = outcome.way
    return [
      way.name, way.plugin.rawValue, way.phase.rawValue, way.result.text, outcome.found, outcome.answer,
      "\(outcome.period.health)", "\(outcome.period.other)", "\(outcome.lost)",
      outcome.problems.isEmpty ? "ok" : "FAILED " + outcome.problems.joined(separator: "; ").prefix(300),
    ]
  }

  /// What a case may not be held to, and why.
  static func notes(_ outcomes: [WayOutcome]) -> String {
    outcomes.filter { !$0.way.note.isEmpty }.map { "\($0.way.title): \($0.way.note)" }.joined(separator: "\n")
  }
}

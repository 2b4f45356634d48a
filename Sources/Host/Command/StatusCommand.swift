/// `bulkhead status`: how the running host stands.
enum StatusCommand {
  static func run(_ options: StatusOptions) -> ExitStatus {
    switch OperatorCommand.answer(to: "status", configuration: options.configuration) {
    case .failure(let status): return status
    case .success(let answer):
      if options.json { return Output.print(answer.text) }
      guard let report = JSONValue(parsing: Array(answer.text.utf8)) else {
        Output.complain("the host's answer makes no sense: is it of another version?")
        return .unavailable
      }
      return Output.print(text(report))
    }
  }

  static func text(_ report: JSONValue) -> String {
    let generation = report["generation"].integer.map {
      "generation \($0) \(report["status"].string ?? "serving")"
    }
    var rows = [
      (
        "host",
        "\(report["version"].string ?? "?"), pid \(number(report["pid"])), up \(time(report["uptime_s"]))"
      ),
      ("state", generation ?? "no worker serves at this moment"),
      ("config", "\(report["config"]["path"].string ?? "?"): \(report["config"]["status"].string ?? "?")"),
      ("listen", report["listeners"].array.compactMap(\.string).joined(separator: ", ")),
      ("bypass", report["bypass"].string ?? "?"), ("log-level", report["log_level"].string ?? "?"),
    ]
    for other in report["generations"].array where other["state"].string != "serving" {
      rows.append(("also", "generation \(number(other["generation"])), \(other["state"].string ?? "?")"))
    }
    var text = HelpText.table(rows).split(separator: "\n").map { "\($0.dropFirst(2))\n" }.joined()
    if let error = report["config"]["error"].string {
      text += "\nThe configuration as it is now is not taken:\n"
      text += error.split(separator: "\n").map { "  \($0)\n" }.joined()
    }
    let plugins = report["plugins"].array
    if !plugins.isEmpty { text += "\n" + columns([header] + plugins.map(row)) }
    return text
  }

  private static let header = ["PLUGIN", "STATE", "VERSION", "CALLS", "FAULTS", "WHY"]

  private static func row(_ plugin: JSONValue) -> [String] {
    var why: [String] = []
    if let change = plugin["rolled_back"]["to"].string { why.append("rolled back to \(change.prefix(12))") }
    if let reason = plugin["reason"].string {
      why.append("\(reason): \(plugin["message"].string ?? "")")
      if let retry = plugin["retry_at"].string { why.append("next try \(retry)") }
    }
    let isSkipped = plugin["bypassed"].boolean == true && plugin["state"].string != "off"
    return [
      plugin["name"].string ?? "?", (plugin["state"].string ?? "?") + (isSkipped ? ", bypassed" : ""),
      plugin["version"].string ?? "-", number(plugin["calls"]), number(plugin["faults"]),
      why.joined(separator: "; ").split(whereSeparator: \.isNewline).joined(separator: " "),
    ]
  }

  /// Cells in columns, each as wide as its widest; nothing is padded at the end of a line.
  static func columns(_ rows: [[String]]) -> String {
    let count = rows.map(\.count).max() ?? 0
    let widths = (0..<count).map { column in rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0
    }
    return rows.map { row in
      let line = row.enumerated().map { index, cell in
        cell + String(repeating: " ", count: widths[index] - cell.count)
      }.joined(separator: "  ")
      return line.reversed().drop { $0 == " " }.reversed().map(String.init).joined() + "\n"
    }.joined()
  }

  private static func number(_ value: JSONValue) -> String { value.integer.map { String($0) } ?? "-" }

  private static func time(_ seconds: JSONValue) -> String {
    let total = seconds.integer ?? 0
    let parts = [(total / 86_400, "d"), (total / 3600 % 24, "h"), (total / 60 % 60, "m"), (total % 60, "s")]
    let shown = parts.drop { $0.0 == 0 }.prefix(2)
    return shown.isEmpty ? "0s" : shown.map { "\($0.0)\($0.1)" }.joined(separator: " ")
  }
}

/// What `bulkhead status` shows people: a function of the host's report, the time, and what the terminal can show.
struct StatusText {
  /// Nanoseconds since 1970: ages and waits are counted from it.
  var now: Int64
  /// Of the terminal, in columns; nil for no limit.
  var width: Int?
  var isStyled = false

  /// The host, what it complains of, and the table of plugins.
  ///
  /// - Parameter report: as the control socket answers to `status`.
  func lines(_ report: JSONValue) -> [String] {
    var lines = head(report) + complaints(report)
    let plugins = report["plugins"].array
    if !plugins.isEmpty {
      let table = TextTable(columns: StatusText.columns, rows: plugins.map(row))
      lines += [""] + table.lines(width: width, isStyled: isStyled)
    }
    return lines
  }

  private func line(_ text: String, _ style: TextStyle = .plain) -> String {
    var line = StyledLine(width: width, isStyled: isStyled)
    line.append(text.visible, style)
    return line.text
  }

  // MARK: What is wrong with the whole

  private func complaints(_ report: JSONValue) -> [String] {
    var lines: [String] = []
    if report["status"].string == "starting" {
      lines += [
        "", line("The plugins are still starting: their paths answer 503 until they have.", .bad),
        line("Health, version, diagnostics and CORS are served meanwhile."),
      ]
    }
    let configuration = report["config"]
    if configuration["status"].string == "held" {
      lines += held(configuration["held"].array)
    } else if let error = configuration["error"].string {
      lines += ["", line("The configuration as it is now is not taken:", .bad)]
      lines += error.split(whereSeparator: \.isNewline).map { line("  \($0)", .bad) }
    }
    return lines
  }

  /// Nothing is broken: what is held is what would have broken something.
  private func held(_ items: [JSONValue]) -> [String] {
    var lines = ["", line("What serves goes on, and a change is held:", .bad)]
    for item in items {
      let plugin = item["plugin"].string.map { "\($0): " } ?? ""
      let text = "\(plugin)\(item["reason"].string ?? "?"): \(item["message"].string ?? "")"
      lines += text.split(whereSeparator: \.isNewline).map { line("  \($0)", .bad) }
    }
    let ofEdits = [ConfigurationStatus.Item.dropped, ConfigurationStatus.Item.halfWritten]
    let isTriedAgain = items.contains { !ofEdits.contains($0["reason"].string ?? "") }
    let next = isTriedAgain ? "It is tried again by itself, after 'recover', and" : "It is looked at again"
    lines.append(line("\(next) when the file or a library changes."))
    lines.append(line("Mend what is named, or take it all the same: bulkhead reload --force"))
    return lines
  }

  // MARK: The host

  private func head(_ report: JSONValue) -> [String] {
    let status = report["status"].string ?? "serving"
    let bypass = report["bypass"].string ?? "?"
    let configuration = report["config"]["status"].string ?? "?"
    let generation = report["generation"].integer.map { "generation \($0) \(status)" }
    var rows: [(name: String, value: TextTable.Cell)] = [
      (
        "host",
        TextTable.Cell(
          "\(report["version"].string ?? "?"), pid \(number(report["pid"])), "
            + "up \(StatusText.duration(seconds: report["uptime_s"].integer ?? 0))")
      ),
      (
        "state",
        TextTable.Cell(
          generation ?? "no worker serves at this moment",
          generation == nil ? .worst : status == "serving" ? .good : .bad)
      ),
    ]
    let workers = report["generations"].array.map { worker in
      let pid = worker["pid"].integer.map { ", pid \($0)" } ?? ""
      let bare = worker["bare"].boolean == true ? ", bare" : ""
      return "generation \(number(worker["generation"])) \(worker["state"].string ?? "?")\(bare)\(pid)"
    }
    for (index, worker) in workers.enumerated() {
      rows.append((index == 0 ? "workers" : "", TextTable.Cell(worker)))
    }
    rows += [
      (
        "config",
        TextTable.Cell(
          "\(report["config"]["path"].string ?? "?"): \(configuration)",
          configuration == "active" ? .plain : .bad)
      ),
      ("listen", TextTable.Cell(report["listeners"].array.compactMap(\.string).joined(separator: ", "))),
    ]
    rows += [
      ("bypass", TextTable.Cell(bypass, bypass == "off" ? .plain : .warning)),
      ("log-level", TextTable.Cell(report["log_level"].string ?? "?")),
    ]
    if report["draining"].boolean == true {
      rows.append(("drain", TextTable.Cell("on: /health/ready answers 503", .warning)))
    }
    if let plugins = summary(report["plugins"].array) { rows.append(("plugins", plugins)) }
    let indent = (rows.map(\.name.count).max() ?? 0) + 2
    return rows.map { name, value in
      var line = StyledLine(width: width, isStyled: isStyled)
      line.append(name, .strong)
      line.append(String(repeating: " ", count: indent - name.count))
      line.append(value.text, value.style)
      return line.text
    }
  }

  /// "3 active, 1 quarantined": states in the order in which they matter.
  private func summary(_ plugins: [JSONValue]) -> TextTable.Cell? {
    let states = plugins.map { $0["state"].string ?? "?" }
    guard !states.isEmpty else { return nil }
    let order = ["active", "probing", "quarantined", "failed", "off"]
    let counts = (order + Set(states).subtracting(order).sorted()).compactMap { state in
      let count = states.count { $0 == state }
      return count == 0 ? nil : "\(count) \(state)"
    }
    let isWell = states.allSatisfy { $0 == "active" || $0 == "off" }
    return TextTable.Cell(counts.joined(separator: ", "), isWell ? .plain : .bad)
  }

  // MARK: The plugins

  private static let columns = [
    TextTable.Column(title: "PLUGIN"), TextTable.Column(title: "KIND", dropRank: 8),
    TextTable.Column(title: "STATE"), TextTable.Column(title: "REASON", isOptional: true, dropRank: 1),
    TextTable.Column(title: "SINCE", isRightAligned: true, isOptional: true, dropRank: 4),
    TextTable.Column(title: "NEXT TRY", isRightAligned: true, isOptional: true, dropRank: 2),
    TextTable.Column(title: "CALLS", isRightAligned: true, dropRank: 5),
    TextTable.Column(title: "FAULTS", isRightAligned: true, dropRank: 3),
    TextTable.Column(title: "P50", isRightAligned: true, isOptional: true, dropRank: 7),
    TextTable.Column(title: "P99", isRightAligned: true, isOptional: true, dropRank: 6),
    TextTable.Column(title: "VERSION", dropRank: 9),
    TextTable.Column(title: "MESSAGE", isOptional: true, dropRank: 0, isFlexible: true),
  ]

  private func row(_ plugin: JSONValue) -> [TextTable.Cell] {
    let faults = plugin["faults"].integer ?? 0
    return [
      TextTable.Cell(plugin["name"].string ?? "?", .strong), TextTable.Cell(plugin["kind"].string ?? "-"),
      state(plugin), plugin["reason"].string.map { TextTable.Cell($0) } ?? .none,
      plugin["since"].string.flatMap(Clock.realtime(rfc3339:)).map {
        TextTable.Cell(StatusText.duration(seconds: Int((now - $0) / 1_000_000_000)))
      } ?? .none,
      nextTry(plugin), TextTable.Cell(number(plugin["calls"])),
      TextTable.Cell(number(plugin["faults"]), faults > 0 ? .warning : .plain),
      TextTable.Cell(StatusText.latency(plugin["latency_us"]["p50"].number)),
      TextTable.Cell(StatusText.latency(plugin["latency_us"]["p99"].number)),
      TextTable.Cell(plugin["version"].string ?? "-", .faint), TextTable.Cell(message(plugin)),
    ]
  }

  private func state(_ plugin: JSONValue) -> TextTable.Cell {
    let state = plugin["state"].string ?? "?"
    let isBypassed = plugin["bypassed"].boolean == true && state != "off"
    let isShadow = plugin["mode"].string == "shadow" && state != "off"
    let text = state + (isShadow ? ", shadow" : "") + (isBypassed ? ", bypassed" : "")
    let style: TextStyle =
      switch state {
      case "active": isBypassed ? .warning : .good
      case "probing": .warning
      case "quarantined": .bad
      case "failed": .worst
      default: .faint
      }
    return TextTable.Cell(text, style)
  }

  private func nextTry(_ plugin: JSONValue) -> TextTable.Cell {
    guard plugin["reason"].string != nil, let at = plugin["retry_at"].string.flatMap(Clock.realtime(rfc3339:))
    else {
      return .none
    }
    // Rounded up: "in 0s" would be a promise not kept.
    let seconds = (at - now + 999_999_999) / 1_000_000_000
    return TextTable.Cell(seconds > 0 ? "in \(StatusText.duration(seconds: Int(seconds)))" : "now", .warning)
  }

  private func message(_ plugin: JSONValue) -> String {
    var parts: [String] = []
    if let change = plugin["rolled_back"]["to"].string { parts.append("rolled back to \(change.prefix(12))") }
    if plugin["reason"].string != nil, let message = plugin["message"].string, !message.isEmpty {
      parts.append(message.split(whereSeparator: \.isNewline).joined(separator: " "))
    }
    if plugin["blocks_loops"].boolean == true { parts.append(Plugin.slowCallAdvice) }
    return parts.joined(separator: "; ")
  }

  private func number(_ value: JSONValue) -> String { value.integer.map { String($0) } ?? "-" }

  // MARK: Units

  /// The two largest units: "2d 3h", "4m 5s".
  static func duration(seconds: Int) -> String {
    let total = max(0, seconds)
    let parts = [(total / 86_400, "d"), (total / 3600 % 24, "h"), (total / 60 % 60, "m"), (total % 60, "s")]
    let shown = parts.drop { $0.0 == 0 }.prefix(2).filter { $0.0 != 0 }
    return shown.isEmpty ? "0s" : shown.map { "\($0.0)\($0.1)" }.joined(separator: " ")
  }

  /// Three digits at most before the unit: "0.4µs", "87µs", "1.2ms", "2.5s".
  static func latency(_ microseconds: Double?) -> String {
    guard let microseconds, microseconds.isFinite, microseconds >= 0 else { return "-" }
    for (limit, scale, unit) in [(1e3, 1.0, "µs"), (1e6, 1e3, "ms")] where microseconds < limit {
      return tenths(microseconds / scale) + unit
    }
    return tenths(microseconds / 1e6) + "s"
  }

  private static func tenths(_ value: Double) -> String {
    guard value < 10 else { return String(Int(value)) }
    let tenths = Int(value * 10)
    return "\(tenths / 10).\(tenths % 10)"
  }
}

/// `bulkhead status`: how the running host stands, once or again and again.
enum StatusCommand {
  static func run(_ options: StatusOptions) -> ExitStatus {
    if let interval = options.watch { return StatusWatch(options, every: interval).run() }
    switch look(options) {
    case .failure(let away):
      Output.complain(away.description)
      return .unavailable
    case .success(.text(let text)): return Output.print(text)
    case .success(.report(let report)):
      let environment = Environment.all
      let text = StatusText(
        now: Clock.realtime(), width: Terminal.isThere ? Terminal.size(environment).columns : nil,
        isStyled: Terminal.isColoured(isTerminal: Terminal.isThere, environment))
      return Output.print(text.lines(report).map { $0 + "\n" }.joined())
    }
  }

  enum Look {
    /// The host's own JSON, as it is.
    case text(String)
    case report(JSONValue)
  }

  /// Nobody answers, or nothing that makes sense: why, for people.
  struct Away: Error, CustomStringConvertible { var description: String }

  static func look(_ options: StatusOptions) -> Result<Look, Away> {
    switch OperatorCommand.ask("status", configuration: options.configuration) {
    case .failure(let failure): return .failure(Away(description: failure.description))
    case .success(let answer):
      if options.json { return .success(.text(answer.text)) }
      guard answer.isYes, let report = JSONValue(parsing: Array(answer.text.utf8)) else {
        return .failure(
          Away(description: "the host's answer makes no sense: is it of another version?"))
      }
      return .success(.report(report))
    }
  }
}

extension StatusCommand {
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
}

/// `bulkhead status`: how the running host stands, once or again and again.
enum StatusCommand {
  static func run(_ options: StatusOptions) -> ExitStatus {
    if let interval = options.watch { return StatusWatch(options, every: interval).run() }
    switch look(options, saying: { Output.complain($0) }) {
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

  /// - Parameter say: told where the host was found, if not where its configuration says.
  static func look(_ options: StatusOptions, saying say: (String) -> Void = { _ in }) -> Result<Look, Away> {
    let search = HostSearch(stateDirectory: options.stateDirectory, configuration: options.configuration)
    switch OperatorCommand.ask("status", search) {
    case .failure(let failure): return .failure(Away(description: failure.description))
    case .success(let found):
      let answer = found.answer
      if let note = found.note { say(note) }
      guard answer.isYes else { return .failure(Away(description: answer.text.trimmingLineEnd)) }
      if options.json { return .success(.text(answer.text)) }
      guard let report = JSONValue(parsing: Array(answer.text.utf8)) else {
        return .failure(
          Away(description: "the host's answer makes no sense: is it of another version?"))
      }
      return .success(.report(report))
    }
  }
}

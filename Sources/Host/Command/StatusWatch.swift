import Glibc

/// `bulkhead status --watch`: on a terminal one screen that is drawn anew, elsewhere a block for each look.
///
/// A host that is away at the first look ends it; one that goes away later is waited for, as operators do in a restart.
struct StatusWatch {
  private let options: StatusOptions
  private let interval: Duration
  private let environment = Environment.all

  init(_ options: StatusOptions, every interval: Duration) {
    self.options = options
    self.interval = interval
  }

  func run() -> ExitStatus {
    switch StatusCommand.look(options) {
    case .failure(let away):
      Output.complain(away.description)
      return .unavailable
    case .success(let first):
      return Terminal.isThere && !options.json ? redraw(.success(first)) : follow(.success(first))
    }
  }

  // MARK: On a terminal

  private func redraw(_ first: Result<StatusCommand.Look, StatusCommand.Away>) -> ExitStatus {
    AlternateScreen.enter()
    var look = first
    while true {
      let size = Terminal.size(environment)
      var text = text(width: size.columns - 1)
      text.isStyled = Terminal.isColoured(isTerminal: true, environment)
      let frame = AlternateScreen.frame(lines(look, text), rows: size.rows)
      guard write(frame) else {
        AlternateScreen.leave()
        return .no
      }
      pause()
      look = StatusCommand.look(options)
    }
  }

  private func lines(
    _ look: Result<StatusCommand.Look, StatusCommand.Away>, _ text: StatusText
  ) -> [String] {
    var head = StyledLine(width: text.width, isStyled: text.isStyled)
    head.append("bulkhead status, \(Clock.rfc3339(text.now)), Ctrl-C ends", .faint)
    switch look {
    case .success(.report(let report)): return [head.text, ""] + text.lines(report)
    case .success(.text(let json)): return [head.text, "", json]
    case .failure(let away):
      var line = StyledLine(width: text.width, isStyled: text.isStyled)
      line.append(away.description.visible, .worst)
      return [head.text, "", line.text]
    }
  }

  // MARK: Elsewhere

  private func follow(_ first: Result<StatusCommand.Look, StatusCommand.Away>) -> ExitStatus {
    var look = first
    while true {
      switch look {
      case .failure(let away): Output.complain(away.description)
      case .success(.text(let json)): guard write(json) else { return .no }
      case .success(.report(let report)):
        let text = text(width: nil)
        let lines = [Clock.rfc3339(text.now)] + text.lines(report) + [""]
        guard write(lines.map { $0 + "\n" }.joined()) else { return .no }
      }
      pause()
      look = StatusCommand.look(options)
    }
  }

  private func text(width: Int?) -> StatusText { StatusText(now: Clock.realtime(), width: width) }

  private func write(_ text: String) -> Bool { Output.print(text) == .success }

  /// Until the next look, or a change of the terminal's size.
  private func pause() { _ = poll(nil, 0, Int32(clamping: interval.nanoseconds / 1_000_000)) }
}

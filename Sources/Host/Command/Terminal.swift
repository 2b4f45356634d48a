import Glibc

/// Standard output, if a person looks at it.
enum Terminal {
  static var isThere: Bool { isatty(STDOUT_FILENO) == 1 }

  /// Escape sequences that colour text are welcome: on a terminal that knows them, unless NO_COLOR (no-color.org) is set
  /// and not empty.
  static func isColoured(isTerminal: Bool, _ environment: [String: String]) -> Bool {
    isTerminal && (environment["NO_COLOR"] ?? "").isEmpty && (environment["TERM"] ?? "dumb") != "dumb"
  }

  struct Size: Equatable {
    var columns: Int
    var rows: Int
  }

  /// As the terminal says (ioctl_tty(2)); a terminal that does not know is taken as COLUMNS and LINES say, or 80 by 24.
  static func size(_ environment: [String: String]) -> Size {
    var window = winsize()
    let isKnown = ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &window) == 0
    func pick(_ given: UInt16, _ name: String, _ otherwise: Int) -> Int {
      if isKnown, given > 0 { return Int(given) }
      return environment[name].flatMap { Int($0) }.flatMap { (1...10_000).contains($0) ? $0 : nil }
        ?? otherwise
    }
    return Size(
      columns: pick(window.ws_col, "COLUMNS", 80), rows: pick(window.ws_row, "LINES", 24))
  }
}

/// The terminal's second screen (xterm's `?1049`), which leaves what stood there as it was.
///
/// Signals that end or stop the process put the first screen back, from their handlers: whatever the process waits for,
/// Ctrl-C is obeyed at once.
enum AlternateScreen {
  private static let entering: StaticString = "\u{1b}[?1049h\u{1b}[?25l"
  private static let leaving: StaticString = "\u{1b}[?25h\u{1b}[?1049l"

  static func enter() {
    for number in [SIGINT, SIGTERM, SIGHUP, SIGQUIT] {
      signal(number) { _ in
        AlternateScreen.put(AlternateScreen.leaving)
        _exit(0)
      }
    }
    signal(SIGTSTP) { _ in
      AlternateScreen.put(AlternateScreen.leaving)
      raise(SIGSTOP)
      AlternateScreen.put(AlternateScreen.entering)
    }
    // Caught, so that it ends the wait for the next frame.
    signal(SIGWINCH) { _ in }
    put(entering)
  }

  static func leave() { put(leaving) }

  /// From a handler too: constant bytes, and write(2).
  private static func put(_ text: StaticString) {
    _ = write(STDOUT_FILENO, text.utf8Start, text.utf8CodeUnitCount)
  }

  /// One frame, over the one before: each line cleared after its own text only, so that nothing flickers.
  ///
  /// - Parameter lines: no wider than the terminal less one column, where clearing would take the last letter.
  static func frame(_ lines: [String], rows: Int) -> String {
    var shown = lines
    if shown.count > rows {
      shown = Array(shown.prefix(max(0, rows - 1)))
      shown.append("… \(lines.count - shown.count) more lines")
    }
    return "\u{1b}[H" + shown.joined(separator: "\u{1b}[K\r\n") + "\u{1b}[K\u{1b}[J"
  }
}

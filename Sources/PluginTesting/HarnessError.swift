/// Why the harness could not do what a test asked of it. The text is for the person who reads the failed
/// test.
public enum HarnessError: Error, CustomStringConvertible {
  /// A condition did not come to hold in time.
  case timedOut(String)
  /// A system call failed: its name, and `strerror`'s text.
  case system(call: String, reason: String)
  /// The peer closed the connection before a whole response was read.
  case closed(received: String)
  /// The peer reset the connection.
  case reset
  /// What was received is no HTTP/1.1 response.
  case malformed(String)
  /// The host ended, or did not say that it listens: its exit status, if it ended, and its standard error.
  case didNotStart(exit: ExitStatus?, log: String)

  public var description: String {
    switch self {
    case .timedOut(let what): "timed out waiting: \(what)"
    case .system(let call, let reason): "\(call): \(reason)"
    case .closed(let received): "the connection was closed after: \(received.debugDescription)"
    case .reset: "the connection was reset"
    case .malformed(let what): "malformed response: \(what)"
    case .didNotStart(let exit, let log):
      "the host did not start (\(exit.map { "\($0)" } ?? "still running")):\n\(log)"
    }
  }
}

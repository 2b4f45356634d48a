import Glibc

/// Signals that mean nothing to the host, and by default would end it: sent to it for the sake of another program's
/// habits, as nginx reopens its log at SIGUSR1.
enum IdleSignals {
  /// Those that somebody might send, or a timer that was set before the program was.
  static let all = [SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO, SIGPWR, SIGSTKFLT]

  /// Writing to what nobody reads any more, or past a limit on a file's size, is an error of that call and no more.
  static func ignoreFailedWrites() {
    signal(SIGPIPE, SIG_IGN)
    signal(SIGXFSZ, SIG_IGN)
  }
}

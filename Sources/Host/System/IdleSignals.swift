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

  /// A worker's: whoever signals all processes of this name means the supervisor. By a handler that does nothing, since
  /// what is ignored stays so in the programs that plugins start. SIGUSR2 and SIGALRM are the worker's own (`Orphan`).
  static func disregardInWorker() {
    var action = sigaction()
    action.__sigaction_handler.sa_handler = { _ in }
    action.sa_flags = Int32(bitPattern: UInt32(SA_RESTART) | UInt32(SA_ONSTACK))
    let own = [SIGUSR2, SIGALRM]
    for number in [SIGHUP, SIGQUIT] + all where !own.contains(number) { sigaction(number, &action, nil) }
  }
}

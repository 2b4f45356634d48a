import Glibc

/// Signals by which operators and process managers mean the host: they are the supervisor's to act on. Many send them to
/// all processes of a service at once (systemd's `KillMode=control-group`, Heroku, `kill -TERM -GROUP`), and a worker that
/// ended by itself would take its requests with it.
enum OperatorSignals {
  static let all = [SIGTERM, SIGINT, SIGHUP, SIGQUIT]

  /// A worker starts with them blocked, and unblocks them once its handlers are in place.
  static func unblock() {
    var signals = sigset_t()
    sigemptyset(&signals)
    for signal in all { sigaddset(&signals, signal) }
    pthread_sigmask(SIG_UNBLOCK, &signals, nil)
  }
}

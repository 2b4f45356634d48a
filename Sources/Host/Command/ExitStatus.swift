/// What the command's exit status says (sysexits(3)).
enum ExitStatus: Int32, Error {
  case success = 0
  case no = 1
  case usage = 64
  case unavailable = 69
  case configuration = 78
  /// By a second SIGINT, as a shell has it.
  case interrupted = 130
}

import Glibc

/// Text for whoever ran the command.
enum Output {
  /// To standard output: what was asked for.
  ///
  /// - Returns: `.no` if it could not be written, so that a script does not take a cut answer for the whole.
  static func print(_ text: String, then status: ExitStatus = .success) -> ExitStatus {
    do throws(SystemError) {
      try FileDescriptor(raw: STDOUT_FILENO).writeAll(Array(text.utf8))
      return status
    } catch {
      complain("standard output: \(error)")
      return .no
    }
  }

  /// One line to standard error, best effort: there is nowhere else to say it.
  static func complain(_ text: String) {
    Array("bulkhead: \(text)\n".utf8).withUnsafeBytes { Log.emit($0) }
  }
}

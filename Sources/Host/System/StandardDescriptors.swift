import Glibc

/// Descriptors 0, 1 and 2, which a program may be started without.
enum StandardDescriptors {
  /// Opens those that are closed: to /dev/null, and where there is none to a directory, which takes no bytes either. Else
  /// the next files to be opened would have these numbers, and the log would be written into the host's own state.
  ///
  /// To be called before anything is opened.
  static func open() {
    for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) < 0 {
      // The lowest that is free, which is this one.
      if Glibc.open("/dev/null", O_RDWR) < 0 { _ = Glibc.open("/", O_RDONLY) }
    }
  }
}

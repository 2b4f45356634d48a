import Glibc

/// Finds out whether a file is being written. A reader would see a part of it.
enum FileWriters {
  /// How long a file may be kept open for writing before it is read all the same.
  static let patience: UInt64 = 5_000_000_000
  private static let lookMicroseconds: UInt32 = 10_000

  /// Whether some process has the file open for writing; nil if the kernel does not tell.
  ///
  /// The kernel grants a read lease (fcntl(2), F_SETLEASE) only on a file that nobody has open for writing; it is given back
  /// at once. It tells the file's owner and root alone, and not on every file system.
  static func areThere(at path: String) -> Bool? {
    let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
    guard file >= 0 else { return false }
    defer { close(file) }
    var status = stat()
    guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return false }
    if fcntl(file, setLease, Int32(F_RDLCK)) == 0 {
      _ = fcntl(file, setLease, Int32(F_UNLCK))
      return false
    }
    return errno == EAGAIN ? true : nil
  }

  /// F_SETLEASE of fcntl(2), which Glibc's module does not export.
  private static let setLease: Int32 = 1024

  /// Waits until nobody has any of these files open for writing; false if somebody still has after `patience`.
  ///
  /// - Parameter isOpen: what else is known of a file, where the kernel does not tell.
  @discardableResult
  static func wait(for paths: [String], isOpen: (String) -> Bool = { _ in false }) -> Bool {
    let deadline = Clock.monotonic() &+ patience
    while paths.contains(where: { areThere(at: $0) ?? isOpen($0) }) {
      guard Clock.monotonic() < deadline else { return false }
      usleep(lookMicroseconds)
    }
    return true
  }
}

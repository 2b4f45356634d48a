import Glibc

/// An image could not be kept or read.
struct MediaError: Error, CustomStringConvertible {
  let operation: String
  let path: String
  let code: Int32

  /// Takes the reason from `errno`.
  init(_ operation: String, _ path: String) {
    code = errno
    self.operation = operation
    self.path = path
  }

  /// There is no image of that name.
  init(missing name: String) {
    code = ENOENT
    operation = "read"
    path = name
  }

  /// It passes once somebody makes room: on the disk, or among the directory's parents.
  var isAboutRoom: Bool { [ENOSPC, EDQUOT, ENOENT, EIO].contains(code) }

  var description: String {
    "\(operation) \(path): \(strerror(code).map { String(cString: $0) } ?? "\(code)")"
  }
}

import Glibc

/// A file of the media directory could not be used.
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

  var description: String {
    "\(operation) \(path): \(strerror(code).map { String(cString: $0) } ?? "\(code)")"
  }
}

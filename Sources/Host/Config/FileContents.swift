import Glibc

/// Reads small files whole.
enum FileContents {
  /// Continues "the file PATH, which …".
  enum Failure: Error, CustomStringConvertible {
    /// An errno(3).
    case unreadable(Int32)
    case tooLarge(limit: Int)
    case notRegular

    var description: String {
      switch self {
      case .unreadable(let code): "cannot be read: \(String(cString: strerror(code)))"
      case .tooLarge(let limit): "is larger than \(ValueText.render(size: limit))"
      case .notRegular: "is not a regular file"
      }
    }
  }

  /// - Parameter waits: whether a pipe, a terminal or the like will do, and is waited for: of a command's own input. Else
  ///   only a regular file will, since a named pipe that nobody writes to would never be open.
  static func read(_ path: String, limit: Int, waits: Bool = false) throws(Failure) -> [UInt8] {
    guard !path.utf8.contains(0) else { throw .unreadable(ENOENT) }
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | (waits ? 0 : O_NONBLOCK))
    guard descriptor >= 0 else { throw .unreadable(errno) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw .unreadable(errno) }
    let type = status.st_mode & S_IFMT
    guard waits || type == S_IFREG || type == S_IFDIR else { throw .notRegular }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 16 << 10)
    while true {
      let count = Glibc.read(descriptor, &chunk, chunk.count)
      if count == 0 { return bytes }
      if count < 0 {
        if errno == EINTR { continue }
        throw .unreadable(errno)
      }
      guard bytes.count + count <= limit else { throw .tooLarge(limit: limit) }
      bytes += chunk[..<count]
    }
  }
}

/// Paths in a configuration: those that do not begin with '/' start at the directory of its file.
struct FilePaths {
  /// Empty for the working directory.
  var directory: String

  init(directory: String) { self.directory = directory }

  /// Those of a command line.
  static var inWorkingDirectory: FilePaths {
    guard let buffer = getcwd(nil, 0) else { return FilePaths(directory: "") }
    defer { free(buffer) }
    return FilePaths(directory: String(cString: buffer))
  }

  init(ofFile path: String) {
    guard let slash = path.lastIndex(of: "/") else {
      directory = ""
      return
    }
    directory = slash == path.startIndex ? "/" : String(path[..<slash])
  }

  func resolve(_ path: String) -> String {
    if path.hasPrefix("/") || directory.isEmpty { return path }
    let rest = path.hasPrefix("./") ? String(path.dropFirst(2)) : path
    return directory == "/" ? "/\(rest)" : "\(directory)/\(rest)"
  }
}

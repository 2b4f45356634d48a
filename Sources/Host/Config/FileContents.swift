import Glibc

/// Reads small files whole.
enum FileContents {
  /// Continues "the file PATH, which …".
  enum Failure: Error, CustomStringConvertible {
    /// An errno(3).
    case unreadable(Int32)
    case tooLarge(limit: Int)

    var description: String {
      switch self {
      case .unreadable(let code): "cannot be read: \(String(cString: strerror(code)))"
      case .tooLarge(let limit): "is larger than \(ValueText.render(size: limit))"
      }
    }
  }

  static func read(_ path: String, limit: Int) throws(Failure) -> [UInt8] {
    guard !path.utf8.contains(0) else { throw .unreadable(ENOENT) }
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .unreadable(errno) }
    defer { close(descriptor) }
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

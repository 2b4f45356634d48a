import Glibc

/// The images on disk, under the state directory: `media/3f/3f2a…-1.png`. Any thread.
///
/// A file appears whole or not at all: it is written under another name, synchronised and renamed.
final class MediaFiles: Sendable {
  private let directory: String

  /// - Parameter directory: Is made if it is not there; its parent is.
  /// - Throws: `MediaError`.
  init(directory: String) throws {
    self.directory = directory
    try Self.makeDirectory(directory)
  }

  /// The name of what one run of a generation makes: no two runs write the same file.
  static func name(generation: String, attempt: Int64, extension: String) -> String {
    "\(generation.prefix(2))/\(generation)-\(attempt).\(`extension`)"
  }

  /// Writes a file; when this returns it survives a loss of power.
  /// - Throws: `MediaError`; no file of that name is there then.
  func write(_ bytes: [UInt8], to name: String) throws {
    let path = "\(directory)/\(name)"
    let folder = String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
    try Self.makeDirectory(folder)
    let temporary = path + ".part"
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw MediaError("open", temporary) }
    do {
      defer { close(descriptor) }
      try Self.writeAll(bytes, to: descriptor, temporary)
      guard fsync(descriptor) == 0 else { throw MediaError("fsync", temporary) }
    } catch {
      unlink(temporary)
      throw error
    }
    guard rename(temporary, path) == 0 else {
      let error = MediaError("rename", path)
      unlink(temporary)
      throw error
    }
    try Self.synchronise(directory: folder)
  }

  /// The bytes of a file.
  /// - Throws: `MediaError`.
  func read(_ name: String) throws -> [UInt8] {
    let path = "\(directory)/\(name)"
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw MediaError("open", path) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw MediaError("fstat", path) }
    let size = Int(status.st_size)
    return try [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
      while count < size {
        let step = Glibc.read(descriptor, buffer.baseAddress.map { $0 + count }, size - count)
        if step < 0, errno == EINTR { continue }
        guard step > 0 else { throw MediaError("read", path) }
        count += step
      }
    }
  }

  /// Removes a file, if it is there.
  /// - Throws: `MediaError`.
  func remove(_ name: String) throws {
    let path = "\(directory)/\(name)"
    guard unlink(path) == 0 || errno == ENOENT else { throw MediaError("unlink", path) }
  }

  private static func writeAll(_ bytes: [UInt8], to descriptor: Int32, _ path: String) throws {
    try bytes.withUnsafeBytes { buffer in
      var written = 0
      while written < buffer.count {
        let step = Glibc.write(descriptor, buffer.baseAddress.map { $0 + written }, buffer.count - written)
        if step < 0, errno == EINTR { continue }
        guard step > 0 else { throw MediaError("write", path) }
        written += step
      }
    }
  }

  private static func makeDirectory(_ path: String) throws {
    guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw MediaError("mkdir", path) }
  }

  private static func synchronise(directory: String) throws {
    let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw MediaError("open", directory) }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw MediaError("fsync", directory) }
  }
}

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

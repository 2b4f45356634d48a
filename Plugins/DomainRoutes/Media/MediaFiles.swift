import Glibc

/// The images on disk, under the state directory: `media/3f/3f2a…-1.png`. Any thread.
///
/// A file appears whole or not at all: it is written under another name, synchronised and renamed.
final class MediaFiles: MediaStore {
  private let directory: String

  /// - Parameter directory: Is made if it is not there, and there is room for it; else by the first who writes.
  /// - Throws: `MediaError`.
  init(directory: String) throws {
    self.directory = directory
    do {
      try Self.makeDirectory(directory)
    } catch let error as MediaError where error.isAboutRoom {
      return
    }
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
    do {
      try Self.makeDirectory(folder)
    } catch let error as MediaError where error.code == ENOENT {
      try Self.makeDirectory(directory)
      try Self.makeDirectory(folder)
    }
    let temporary = path + ".part"
    let descriptor = Glibc.open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
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

  /// Opens a file; it can be read even if it is removed meanwhile.
  /// - Throws: `MediaError`.
  func open(_ name: String) throws -> any MediaReader { try MediaFile(path: "\(directory)/\(name)") }

  func names(writtenBefore: Int64) throws -> [String] {
    var names: [String] = []
    for folder in try Self.entries(of: directory) {
      for file in try Self.entries(of: "\(directory)/\(folder)") {
        let name = "\(folder)/\(file)"
        var status = stat()
        guard stat("\(directory)/\(name)", &status) == 0, status.st_mode & S_IFMT == S_IFREG,
          Int64(status.st_mtim.tv_sec) * 1000 < writtenBefore
        else { continue }
        names.append(name)
      }
    }
    return names
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

  /// The names in a directory; none if it is no directory.
  private static func entries(of path: String) throws -> [String] {
    guard let handle = opendir(path) else {
      if errno == ENOTDIR || errno == ENOENT { return [] }
      throw MediaError("opendir", path)
    }
    defer { closedir(handle) }
    var names: [String] = []
    while let entry = readdir(handle) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) {
        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names
  }

  private static func synchronise(directory: String) throws {
    let descriptor = Glibc.open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw MediaError("open", directory) }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw MediaError("fsync", directory) }
  }
}

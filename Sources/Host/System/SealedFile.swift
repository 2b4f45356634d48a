import Glibc
import LinuxShims

/// A file in memory (memfd_create(2)) that nobody can change any more: code is mapped from it as from a file on a disk, also
/// where no directory can be written, or none allows execution.
struct SealedFile: Sendable {
  let descriptor: FileDescriptor

  init(descriptor: FileDescriptor) { self.descriptor = descriptor }

  /// The bytes of a regular file, as it is now.
  ///
  /// - Parameter name: what `/proc/PID/maps` shows, at most 249 bytes.
  init(copying path: String, name: String, limit: Int64) throws(SystemError) {
    // Not blocking, should the path be a named pipe's.
    let input = FileDescriptor(
      raw: try checked("open \(path)") { open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) })
    defer { input.close() }
    var status = stat()
    try checked("stat \(path)") { fstat(input.raw, &status) }
    guard status.st_mode & S_IFMT == S_IFREG, status.st_size <= limit else {
      throw SystemError("copy \(path)", EFBIG)
    }
    try self.init(name: name) { output throws(SystemError) in
      var chunk = [UInt8](repeating: 0, count: 256 << 10)
      while true {
        let count = read(input.raw, &chunk, chunk.count)
        if count < 0 && errno == EINTR { continue }
        if count < 0 { throw SystemError("read \(path)") }
        if count == 0 { return }
        try output.writeAll(Array(chunk[..<count]))
      }
    }
  }

  init(holding bytes: [UInt8], name: String) throws(SystemError) {
    try self.init(name: name) { output throws(SystemError) in try output.writeAll(bytes) }
  }

  private init(
    name: String, _ fill: (FileDescriptor) throws(SystemError) -> Void
  ) throws(SystemError) {
    let made = FileDescriptor(
      raw: try checked("memfd_create") { shim_library_memfd(String(name.prefix(200))) })
    do throws(SystemError) {
      try fill(made)
      try checked("seal a file in memory") { shim_seal(made.raw) }
    } catch {
      made.close()
      throw error
    }
    descriptor = made
  }

  /// Its path for this process and those of the same user that may look at it, as long as it is open here.
  var path: String { "/proc/\(getpid())/fd/\(descriptor.raw)" }

  func close() { descriptor.close() }
}

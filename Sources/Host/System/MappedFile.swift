import Glibc

/// A file's bytes without a copy of them (mmap(2)). Only for files that nobody shortens meanwhile, such as the host's own: a byte
/// that is gone from the file is a SIGBUS.
enum MappedFile {
  static func withBytes<Result>(
    of path: String, _ body: (UnsafeRawBufferPointer) -> Result
  ) throws(SystemError) -> Result {
    let file = FileDescriptor(raw: try checked("open \(path)") { open(path, O_RDONLY | O_CLOEXEC) })
    defer { file.close() }
    var status = stat()
    try checked("stat \(path)") { fstat(file.raw, &status) }
    let size = Int(status.st_size)
    guard size > 0 else { return body(UnsafeRawBufferPointer(start: nil, count: 0)) }
    guard let base = mmap(nil, size, PROT_READ, MAP_PRIVATE, file.raw, 0), base != MAP_FAILED else {
      throw SystemError("mmap \(path)")
    }
    defer { munmap(base, size) }
    return body(UnsafeRawBufferPointer(start: base, count: size))
  }

  /// Whether code may be mapped from the file: not where its file system is mounted `noexec`, or a security policy forbids it.
  ///
  /// - Throws: why not.
  static func checkExecutable(_ path: String) throws(SystemError) {
    let file = FileDescriptor(raw: try checked("open \(path)") { open(path, O_RDONLY | O_CLOEXEC) })
    defer { file.close() }
    guard let base = mmap(nil, 1, PROT_READ | PROT_EXEC, MAP_PRIVATE, file.raw, 0), base != MAP_FAILED else {
      throw SystemError("map code from \(path)")
    }
    munmap(base, 1)
  }
}

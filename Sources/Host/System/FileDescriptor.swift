import Glibc
import LinuxShims

/// A system call that failed: which one, and why (errno(3)).
struct SystemError: Error, CustomStringConvertible {
  var call: String
  var code: Int32

  init(_ call: String, _ code: Int32 = errno) {
    self.call = call
    self.code = code
  }

  var description: String { "\(call): \(String(cString: strerror(code)))" }
}

/// Gives a system call's result, or throws its errno; goes on when a signal interrupted it.
@discardableResult
func checked(_ call: String, _ body: () -> Int32) throws(SystemError) -> Int32 {
  while true {
    let result = body()
    if result >= 0 { return result }
    if errno != EINTR { throw SystemError(call) }
  }
}

/// An open descriptor. Whoever made it closes it, once.
struct FileDescriptor: Sendable, Equatable {
  let raw: Int32

  func close() { _ = Glibc.close(raw) }

  func setNonBlocking() throws(SystemError) {
    let flags = try checked("fcntl") { fcntl(raw, F_GETFL) }
    try checked("fcntl") { fcntl(raw, F_SETFL, flags | O_NONBLOCK) }
  }

  /// Writes all of `bytes` to a blocking descriptor.
  func writeAll(_ bytes: UnsafeRawBufferPointer) throws(SystemError) {
    var rest = bytes
    while !rest.isEmpty {
      let count = write(raw, rest.baseAddress, rest.count)
      if count < 0 {
        if errno == EINTR { continue }
        throw SystemError("write")
      }
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
    }
  }

  func writeAll(_ bytes: [UInt8]) throws(SystemError) {
    var failure: SystemError?
    bytes.withUnsafeBytes { view in
      do throws(SystemError) { try writeAll(view) } catch let error { failure = error }
    }
    if let failure { throw failure }
  }

  /// Reads from the start to the end of a regular file or memfd.
  func readAll() throws(SystemError) -> [UInt8] {
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let count = pread(raw, &chunk, chunk.count, off_t(bytes.count))
      if count < 0 {
        if errno == EINTR { continue }
        throw SystemError("read")
      }
      if count == 0 { return bytes }
      bytes += chunk[..<count]
    }
  }

  /// An anonymous file in memory that holds `bytes` (memfd_create(2)).
  static func memory(named name: String, holding bytes: [UInt8]) throws(SystemError) -> FileDescriptor {
    let descriptor = FileDescriptor(raw: try checked("memfd_create") { shim_memfd(name) })
    do throws(SystemError) {
      try descriptor.writeAll(bytes)
    } catch {
      descriptor.close()
      throw error
    }
    return descriptor
  }
}

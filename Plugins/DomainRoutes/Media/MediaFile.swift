import Glibc
import PluginAPI
import Synchronization

/// One open file of the media directory. Any thread.
final class MediaFile: Sendable {
  /// In bytes.
  let size: Int
  private let path: String
  private let descriptor: Int32

  /// - Throws: `MediaError`.
  init(path: String) throws {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw MediaError("open", path) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      let error = MediaError("fstat", path)
      close(descriptor)
      throw error
    }
    self.path = path
    self.descriptor = descriptor
    size = Int(status.st_size)
  }

  deinit { close(descriptor) }

  /// Up to `count` bytes from `offset`; fewer only at the end of the file.
  /// - Throws: `MediaError`.
  func read(_ count: Int, at offset: Int = 0) throws -> [UInt8] {
    let wanted = max(0, min(count, size - offset))
    return try [UInt8](unsafeUninitializedCapacity: wanted) { buffer, done in
      while done < wanted {
        let step = pread(descriptor, buffer.baseAddress.map { $0 + done }, wanted - done, offset + done)
        if step < 0, errno == EINTR { continue }
        guard step > 0 else { throw MediaError("read", path) }
        done += step
      }
    }
  }
}

/// A file as a response, piece by piece: a client that is slow holds one piece in memory, and not the file.
final class MediaStream: StreamSource {
  /// What is larger than a piece is worth a stream.
  static let piece = 1 << 18

  private let file: MediaFile
  private let offset = Mutex(0)

  init(_ file: MediaFile) { self.file = file }

  func pull(_ writer: borrowing StreamWriter) throws -> StreamStep {
    let start = offset.withLock { $0 }
    let bytes = try file.read(Self.piece, at: start)
    try writer.write(bytes)
    offset.withLock { $0 = start + bytes.count }
    return start + bytes.count >= file.size ? .end : .more
  }
}

import Glibc
import PluginAPI
import SQL
import Synchronization

/// One open file of the media directory. Any thread.
final class MediaFile: MediaReader {
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
  func read(_ count: Int, at offset: Int) throws -> [UInt8] {
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

/// An image as a response, piece by piece: a client that is slow holds one piece in memory, and not the image.
final class MediaStream: StreamSource {
  /// What is larger than a piece is worth a stream.
  static let piece = 1 << 18

  private let image: any MediaReader
  private let offset = Mutex(0)

  init(_ image: any MediaReader) { self.image = image }

  /// An image that goes away while it is read ends the stream short, and is no fault.
  func pull(_ writer: borrowing StreamWriter) throws -> StreamStep {
    let start = offset.withLock { $0 }
    let bytes: [UInt8]
    do {
      bytes = try image.read(Self.piece, at: start)
    } catch let error as DatabaseError where error.isTemporary {
      throw Problem.unavailable("The database cannot be reached now.", code: "database-unavailable")
    } catch is MediaError {
      throw Problem.unavailable("The image cannot be read now.", code: "media-unavailable")
    }
    try writer.write(bytes)
    offset.withLock { $0 = start + bytes.count }
    return start + bytes.count >= image.size ? .end : .more
  }
}

import Glibc
import Synchronization

/// Where the log goes: standard error, which may be a pipe whose reader has stopped reading. The host does not stop for
/// that: it waits a moment once, and then drops lines, and counts them, until the reader reads again.
///
/// Any thread.
final class LogOutput: Sendable {
  static let standardError = LogOutput(standardErrorDescriptor)

  /// In a worker another: there standard error is what plugins write to. Set before the first line is written.
  nonisolated(unsafe) static var standardErrorDescriptor = STDERR_FILENO

  /// A pipe takes so much as a whole, or nothing (pipe(7), PIPE_BUF).
  private static let slice = 4096
  /// How long a reader may take to make room, in milliseconds.
  private static let patience: Int32 = 500

  private let descriptor: Int32
  private let isSocket: Bool
  private let isStuck = Atomic<Bool>(false)
  let droppedLines = Atomic<UInt64>(0)

  init(_ descriptor: Int32) {
    var status = stat()
    let type = fstat(descriptor, &status) == 0 ? status.st_mode & S_IFMT : 0
    isSocket = type == S_IFSOCK
    // O_NONBLOCK is the open file's, which others may share: a pipe is opened once more, for us alone.
    let own = type == S_IFIFO ? open("/proc/self/fd/\(descriptor)", O_WRONLY | O_NONBLOCK | O_CLOEXEC) : -1
    self.descriptor = own >= 0 ? own : descriptor
  }

  /// Writes lines, each whole or not at all as far as the descriptor allows. A file is waited for, as ever.
  ///
  /// Best effort: a log that cannot be written has nowhere to say so.
  func write(_ lines: UnsafeRawBufferPointer) {
    var rest = lines
    while !rest.isEmpty {
      let piece = LogOutput.firstPiece(of: rest)
      var left = piece
      while !left.isEmpty, let count = writeOnce(left) {
        left = UnsafeRawBufferPointer(rebasing: left[count...])
      }
      if !left.isEmpty {
        droppedLines.wrappingAdd(UInt64(left.count { $0 == 0x0a }), ordering: .relaxed)
      }
      rest = UnsafeRawBufferPointer(rebasing: rest[piece.count...])
    }
  }

  /// As many whole lines as fit into one write; of a longer line its beginning.
  private static func firstPiece(of lines: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    guard lines.count > slice else { return lines }
    let most = lines[..<slice]
    let end = most.lastIndex(of: 0x0a).map { $0 + 1 } ?? slice
    return UnsafeRawBufferPointer(rebasing: lines[..<end])
  }

  /// Nil if there is no room, or nobody reads.
  private func writeOnce(_ bytes: UnsafeRawBufferPointer) -> Int? {
    while true {
      let count =
        isSocket
        ? send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
        : Glibc.write(descriptor, bytes.baseAddress, bytes.count)
      if count > 0 {
        if isStuck.load(ordering: .relaxed) { isStuck.store(false, ordering: .relaxed) }
        return count
      }
      if count < 0, errno == EINTR { continue }
      guard count < 0, errno == EAGAIN, !isStuck.load(ordering: .relaxed), waitForRoom() else { return nil }
    }
  }

  private func waitForRoom() -> Bool {
    var room = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
    if poll(&room, 1, LogOutput.patience) > 0, room.revents & Int16(POLLOUT) != 0 { return true }
    isStuck.store(true, ordering: .relaxed)
    return false
  }
}

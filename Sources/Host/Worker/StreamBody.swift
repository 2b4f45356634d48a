import HTTPCodec
import Synchronization

/// A response body that is made bit by bit (bulkhead/stream.h): by a plugin, or by the host itself.
///
/// Between `pull` and its return the pool thread has it; otherwise the loop. The host's own are pulled on the loop.
final class StreamBody: @unchecked Sendable {
  private let source: bh_stream_source
  let plugin: Plugin?
  let isChunked: Bool
  private let requestID: String
  private let piece = StreamPiece()
  private var isReleased = false
  /// The loop's own note: a pool thread has it.
  var isPulling = false
  private(set) var result = Result.more

  /// When its source wants to be asked again; the loop's own note, of the monotonic clock.
  var dueAt: UInt64 = 0

  /// A day, in nanoseconds.
  private static let longestDelay: UInt64 = 86_400_000_000_000
  /// How long it is not looked at whether the plugin is out, while its source has nothing: a second, in nanoseconds.
  static let longestWait: UInt64 = 1_000_000_000

  enum Result {
    case more, end, fault
    /// Nanoseconds.
    case later(UInt64)
  }

  /// Made by the host, which never waits: it is pulled and released on the loop.
  var isHosts: Bool { plugin == nil }

  /// Its plugin may not be called.
  var isOut: Bool { plugin.map { $0.gate.load(ordering: .acquiring) != 0 } ?? false }

  /// - Parameter plugin: nil for the host's own.
  init(_ source: bh_stream_source, plugin: Plugin?, isChunked: Bool, requestID: String) {
    self.source = source
    self.plugin = plugin
    self.isChunked = isChunked
    self.requestID = requestID
  }

  /// Makes the next piece. Thread: pool, or the loop for the host's own.
  func pull(on frame: FaultFrame) {
    guard let function = source.pull else {
      result = .end
      return
    }
    var delay: UInt64 = 0
    let handle = Handle.of(piece)
    guard let plugin else { return note(function(source.state, handle, &delay), delay, of: nil) }
    guard !isOut else {
      // What its client has is whole as far as it goes, unless the plugin has broken down.
      result = plugin.hasBrokenDown ? .fault : .end
      return
    }
    requestID.withBytes {
      frame.enter(plugin: plugin.index, phase: FaultFrame.Phase.pull, requestID: $0, at: Clock.monotonic())
    }
    let answer = function(source.state, handle, &delay)
    frame.leave()
    note(answer, delay, of: plugin)
  }

  private func note(_ answer: bh_pull_result, _ delay: UInt64, of plugin: Plugin?) {
    switch answer {
    case bh_pull_result(BH_PULL_MORE): result = piece.bytes.isEmpty ? .later(10_000_000) : .more
    case bh_pull_result(BH_PULL_LATER): result = .later(min(delay, StreamBody.longestDelay))
    case bh_pull_result(BH_PULL_END): result = .end
    default:
      result = .fault
      let message = plugin?.takeError() ?? "failed, with no message"
      plugin?.fault(.threw, message: "a stream's pull: \(message)", exchange: nil)
    }
  }

  /// Thread: as `pull`, once.
  func release(on frame: FaultFrame) {
    guard !isReleased, let function = source.release else { return }
    isReleased = true
    guard let plugin else { return function(source.state) }
    requestID.withBytes {
      frame.enter(plugin: plugin.index, phase: FaultFrame.Phase.pull, requestID: $0, at: Clock.monotonic())
    }
    function(source.state)
    frame.leave()
  }

  /// The pool thread that has it will not come back: it stays that thread's, and is released by nobody.
  func abandon() { result = .fault }

  /// Appends the piece, framed. Returns its bytes, without the framing.
  func moveBytes(into output: inout ByteBuffer) -> Int {
    guard !piece.bytes.isEmpty else { return 0 }
    let bytes = UnsafeRawBufferPointer(piece.bytes.readable)
    if isChunked { ResponseEncoder.chunk(bytes, into: &output) } else { output.append(bytes) }
    defer { piece.bytes.removeAll() }
    return bytes.count
  }

  func writeEnd(into output: inout ByteBuffer) {
    if isChunked { ResponseEncoder.lastChunk(into: &output) }
  }
}

/// What one pull writes; the bh_stream that plugins see.
final class StreamPiece {
  static let limit = 1 << 20
  var bytes = ByteBuffer(capacity: 0)

  static func of(_ handle: OpaquePointer?) -> StreamPiece? {
    handle.map { Handle.object($0, StreamPiece.self) }
  }

  /// False past the limit.
  func append(_ more: bh_bytes) -> Bool {
    guard bytes.count + more.count <= StreamPiece.limit else { return false }
    bytes.append(more)
    return true
  }
}

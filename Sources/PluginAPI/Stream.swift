import PluginABI

/// What a pull came to.
public enum StreamStep: Sendable, Equatable {
  /// Pull again once what was written has gone out.
  case more
  /// Pull again after this time; meanwhile the stream holds no thread.
  case later(Duration)
  /// The body is whole.
  case end
}

/// A body made bit by bit: server-sent events, a large download. The host pulls, so a slow client holds the source back.
///
/// Released when the stream is over in whatever way; a client that goes away is seen only by its `deinit`.
public protocol StreamSource: AnyObject, Sendable {
  /// Writes the next piece: at most 1 MiB.
  ///
  /// Thread: a pool thread, one call at a time; may block. Any error is a fault: the head has been sent, so the
  /// connection is cut.
  func pull(_ writer: borrowing StreamWriter) throws -> StreamStep
}

/// Where a ``StreamSource`` writes. Lent for one pull.
public struct StreamWriter: ~Copyable {
  let stream: OpaquePointer
  let table: UnsafePointer<bh_stream_host>

  /// Appends to the body.
  ///
  /// - Throws: ``HostRefusal/write(byteCount:)`` past 1 MiB in one pull.
  public func write(_ bytes: some Collection<UInt8>) throws {
    guard bytes.withBytes({ table.pointee.write(stream, $0) }) == Status.ok else {
      throw HostRefusal.write(byteCount: bytes.count)
    }
  }

  /// Appends UTF-8 to the body.
  ///
  /// - Throws: as for bytes.
  public func write(_ text: String) throws {
    guard text.withBytes({ table.pointee.write(stream, $0) }) == Status.ok else {
      throw HostRefusal.write(byteCount: text.utf8.count)
    }
  }
}

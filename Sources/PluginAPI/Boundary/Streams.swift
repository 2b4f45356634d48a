import PluginABI

extension Request {
  /// Hands a source to the host, which holds it until the stream is over.
  ///
  /// - Throws: ``HostRefusal/stream``, ``HostRefusal/missingExtension(_:)``; the source has been released then.
  func openStream(_ source: any StreamSource) throws {
    guard let table = services.find(BH_STREAM, bh_stream_host.self, upTo: \.write) else {
      throw HostRefusal.missingExtension(BH_STREAM)
    }
    let state = Unmanaged.passRetained(OpenStream(source, services, table))
    var raw = bh_stream_source()
    raw.size = UInt32(MemoryLayout<bh_stream_source>.size)
    raw.state = state.toOpaque()
    raw.pull = pullStream
    raw.release = releaseStream
    guard table.pointee.open(exchange, &raw) == Status.ok else {
      state.release()
      throw HostRefusal.stream
    }
  }
}

/// Behind `bh_stream_source.state`.
private final class OpenStream: Sendable {
  let source: any StreamSource
  let host: Host
  // Constant memory of the host's, for the life of the process.
  nonisolated(unsafe) let table: UnsafePointer<bh_stream_host>

  init(_ source: any StreamSource, _ host: Host, _ table: UnsafePointer<bh_stream_host>) {
    self.source = source
    self.host = host
    self.table = table
  }
}

private typealias PullFunction =
  @convention(c) (UnsafeMutableRawPointer?, OpaquePointer?, UnsafeMutablePointer<UInt64>?) -> bh_pull_result

private let pullStream: PullFunction = {
  guard let state = $0, let stream = $1 else { return bh_pull_result(BH_PULL_FAULT) }
  let open = Unmanaged<OpenStream>.fromOpaque(state).takeUnretainedValue()
  do {
    switch try open.source.pull(StreamWriter(stream: stream, table: open.table)) {
    case .more: return bh_pull_result(BH_PULL_MORE)
    case .end: return bh_pull_result(BH_PULL_END)
    case .later(let delay):
      $2?.pointee = delay.wholeNanoseconds
      return bh_pull_result(BH_PULL_LATER)
    }
  } catch {
    _ = open.host.fail(error)
    return bh_pull_result(BH_PULL_FAULT)
  }
}

private let releaseStream: @convention(c) (UnsafeMutableRawPointer?) -> Void = { state in
  guard let state else { return }
  Unmanaged<OpenStream>.fromOpaque(state).release()
}

extension Duration {
  /// Clamped to what 64 bits hold; nothing below 0.
  var wholeNanoseconds: UInt64 {
    let (seconds, attoseconds) = components
    guard seconds >= 0, attoseconds >= 0 else { return 0 }
    let (whole, isTooLong) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
    return isTooLong ? .max : whole.addingReportingOverflow(UInt64(attoseconds) / 1_000_000_000).partialValue
  }
}

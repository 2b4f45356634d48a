import Glibc

/// The host's extensions, by id.
enum HostExtensions {
  static func table(_ id: String) -> UnsafeRawPointer? {
    switch id {
    case BH_SHARED_MEMORY: UnsafeRawPointer(sharedMemory)
    case BH_METRICS: UnsafeRawPointer(metrics)
    case BH_STREAM: UnsafeRawPointer(stream)
    case BH_TIMERS: UnsafeRawPointer(timers)
    case BH_REQUEST_BODY: UnsafeRawPointer(requestBody)
    default: nil
    }
  }

  nonisolated(unsafe) private static let sharedMemory = constant(
    bh_shared_memory(
      size: UInt32(MemoryLayout<bh_shared_memory>.size),
      region: { context, name, count in
        guard let plugin = Plugin.of(context), let name else { return nil }
        return SharedMemory.current?.region("\(plugin.name)/\(String(cString: name))", count: count)
      }))

  nonisolated(unsafe) private static let metrics = constant(
    bh_metrics(
      size: UInt32(MemoryLayout<bh_metrics>.size),
      metric: { context, kind, name, help in
        guard let plugin = Plugin.of(context), let name, let kind = PluginMetric.Kind(rawValue: kind) else {
          return nil
        }
        return plugin.metrics.metric(
          kind, String(cString: name), help: help.map { String(cString: $0) } ?? ""
        )
        .map { Handle.of($0) }
      },
      add: { metric, value in PluginMetric.of(metric)?.add(value) },
      set: { metric, value in PluginMetric.of(metric)?.set(value) }))

  nonisolated(unsafe) private static let stream = constant(
    bh_stream_host(
      size: UInt32(MemoryLayout<bh_stream_host>.size),
      open: { exchange, source in
        guard let exchange = Exchange.of(exchange), let source, exchange.phase == .handle,
          exchange.stream == nil,
          source.pointee.size >= UInt32(MemoryLayout<bh_stream_source>.size), source.pointee.pull != nil
        else { return bh_status(BH_INVALID) }
        exchange.stream = source.pointee
        return bh_status(BH_OK)
      },
      write: { stream, bytes in
        guard let piece = StreamPiece.of(stream) else { return bh_status(BH_INVALID) }
        return bh_status(piece.append(bytes) ? BH_OK : BH_INVALID)
      }))

  nonisolated(unsafe) private static let timers = constant(
    bh_timers(
      size: UInt32(MemoryLayout<bh_timers>.size),
      make: { context, fire, state in
        guard let plugin = Plugin.of(context), let fire else { return nil }
        return plugin.timers.make(for: plugin, fire, state)
          .map { Handle.of($0) }
      },
      set: { timer, delay, period in PluginTimer.of(timer)?.set(delay: delay, period: period) },
      cancel: { timer in PluginTimer.of(timer)?.cancel() }))

  nonisolated(unsafe) static let requestBody = constant(
    bh_request_body_host(
      size: UInt32(MemoryLayout<bh_request_body_host>.size),
      add_route: { context, route, limit in
        HostTable.addRoute(context, route, streamedBodyLimit: Int(clamping: limit))
      },
      read: { exchange, buffer, capacity, count in
        guard let exchange = Exchange.of(exchange), exchange.phase == .handle, let buffer, let count,
          capacity > 0
        else { return bh_status(BH_INVALID) }
        count.pointee = 0
        guard let body = exchange.requestBody else {
          // Of a request without a body this is the end.
          guard case .route(let route) = exchange.match, route.streamedBodyLimit != nil else {
            return bh_status(BH_INVALID)
          }
          return bh_status(BH_OK)
        }
        switch body.read(into: UnsafeMutableRawBufferPointer(start: buffer, count: capacity)) {
        case .bytes(let read):
          count.pointee = read
          return bh_status(BH_OK)
        case .failed: return bh_status(BH_UNAVAILABLE)
        case .refused: return bh_status(BH_INVALID)
        }
      },
      error: { Exchange.of($0)?.requestBody?.failure?.abi ?? bh_body_error(BH_BODY_NO_ERROR) }))

  private static func constant<Table>(_ table: Table) -> UnsafePointer<Table> {
    ReadOnlyTable.make(table)
  }
}

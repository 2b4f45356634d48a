import Foundation
import PluginABI

/// The extensions of the in-process host.
enum ExtensionTables {
  // Constant once made.
  nonisolated(unsafe) static let metrics: UnsafePointer<bh_metrics> = lasting(
    bh_metrics(
      size: UInt32(MemoryLayout<bh_metrics>.size),
      metric: { context, kind, name, _ in
        guard let context, let name = name.map({ String(cString: $0) }), name.isMetricName else { return nil }
        return PluginContext.at(context).state.withLock { state -> Metric? in
          if let known = state.metrics[name] { return known.kind == kind ? known : nil }
          guard state.isStarting, state.metrics.count < 64 else { return nil }
          let metric = Metric(kind: kind)
          state.metrics[name] = metric
          return metric
        }?.pointer
      },
      add: { metric, value in
        guard let metric = metric.map({ Metric.at($0) }) else { return }
        metric.state.withLock { state in
          guard Int(metric.kind) != Int(BH_COUNTER) || value >= 0 else { return }
          state.value += value
          state.count += 1
        }
      },
      set: { metric, value in
        guard let metric = metric.map({ Metric.at($0) }), Int(metric.kind) == Int(BH_GAUGE) else { return }
        metric.state.withLock { state in
          state.value = value
          state.count += 1
        }
      }))

  nonisolated(unsafe) static let sharedMemory: UnsafePointer<bh_shared_memory> = lasting(
    bh_shared_memory(
      size: UInt32(MemoryLayout<bh_shared_memory>.size),
      region: { context, name, count in
        guard let context, let name else { return nil }
        let plugin = PluginContext.at(context)
        guard plugin.state.withLock({ $0.isStarting }) else { return nil }
        return plugin.regions.region("\(plugin.name)/\(String(cString: name))", byteCount: count)
      }))

  nonisolated(unsafe) static let stream: UnsafePointer<bh_stream_host> = lasting(
    bh_stream_host(
      size: UInt32(MemoryLayout<bh_stream_host>.size),
      open: { exchange, source in
        guard let exchange = exchange.map({ Exchange.at($0) }), let source = source?.pointee else {
          return HostTable.invalid
        }
        guard exchange.isInHandler, exchange.stream == nil, source.pull != nil else {
          return HostTable.invalid
        }
        exchange.stream = source
        return HostTable.ok
      },
      write: { stream, bytes in
        guard let stream else { return HostTable.invalid }
        let piece = Unmanaged<StreamPiece>.fromOpaque(UnsafeRawPointer(stream)).takeUnretainedValue()
        guard piece.bytes.count + bytes.count <= 1 << 20 else { return HostTable.invalid }
        piece.bytes.append(contentsOf: bytes.view)
        return HostTable.ok
      }))

  nonisolated(unsafe) static let timers: UnsafePointer<bh_timers> = lasting(
    bh_timers(
      size: UInt32(MemoryLayout<bh_timers>.size),
      make: { context, fire, state in
        guard let context, let fire else { return nil }
        return PluginContext.at(context).clock.makeTimer(fire, state)?.pointer
      },
      set: { timer, delay, period in
        guard let timer = timer.map({ TestTimer.at($0) }) else { return }
        timer.clock.set(timer, delay: delay, period: period)
      },
      cancel: { timer in
        guard let timer = timer.map({ TestTimer.at($0) }) else { return }
        timer.clock.set(timer, delay: .max, period: 0)
      }))

  nonisolated(unsafe) static let requestBody: UnsafePointer<bh_request_body_host> = lasting(
    bh_request_body_host(
      size: UInt32(MemoryLayout<bh_request_body_host>.size),
      add_route: { context, route, limit in
        guard let context, let route = route?.pointee else { return HostTable.invalid }
        let plugin = PluginContext.at(context)
        guard plugin.has(BH_ROUTES), route.execution == bh_execution(BH_BLOCKING) else {
          return HostTable.invalid
        }
        return plugin.state.withLock {
          $0.isStarting && $0.routes.add(route, mount: plugin.mount, streamedBodyLimit: Int(clamping: limit))
            ? HostTable.ok : HostTable.invalid
        }
      },
      read: { exchange, buffer, capacity, count in
        guard let exchange = exchange.map({ Exchange.at($0) }), let buffer, let count, capacity > 0,
          exchange.isInHandler, let unread = exchange.unreadBody
        else { return HostTable.invalid }
        let piece = unread.prefix(min(capacity, Exchange.longestPiece))
        UnsafeMutableRawBufferPointer(start: buffer, count: capacity).copyBytes(from: piece)
        exchange.unreadBody = unread.dropFirst(piece.count)
        count.pointee = piece.count
        return HostTable.ok
      },
      // Here the whole body is there before the handler runs.
      error: { _ in bh_body_error(BH_BODY_NO_ERROR) }))

  /// A copy that is never freed.
  private static func lasting<T>(_ table: T) -> UnsafePointer<T> {
    let pointer = UnsafeMutablePointer<T>.allocate(capacity: 1)
    pointer.initialize(to: table)
    return UnsafePointer(pointer)
  }
}

/// What is written in one pull: what `bh_stream *` points at.
private final class StreamPiece {
  var bytes: [UInt8] = []
}

extension bh_stream_source {
  /// Pulls to the end, waiting as the source asks, and releases it.
  ///
  /// - Throws: ``PluginFault``; also if the body is not whole after `limit`.
  func collect(limit: Duration, reason: () -> String) throws -> [UInt8] {
    defer { release?(state) }
    let deadline = ContinuousClock.now + limit
    var body: [UInt8] = []
    while true {
      let piece = StreamPiece()
      var delay: UInt64 = 0
      let result = withExtendedLifetime(piece) {
        pull(state, OpaquePointer(Unmanaged.passUnretained(piece).toOpaque()), &delay)
      }
      body += piece.bytes
      switch Int(result) {
      case Int(BH_PULL_END): return body
      case Int(BH_PULL_MORE): break
      case Int(BH_PULL_LATER): Thread.sleep(forTimeInterval: Double(delay) / 1e9)
      default: throw PluginFault(phase: .stream, message: reason())
      }
      guard ContinuousClock.now < deadline else {
        throw PluginFault(phase: .stream, message: "not at its end after \(limit)")
      }
    }
  }
}

extension String {
  /// `[a-z][a-z0-9_]*`
  fileprivate var isMetricName: Bool {
    guard let first = utf8.first, (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(first) else {
      return false
    }
    return utf8.allSatisfy {
      (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0)
        || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
        || $0 == UInt8(ascii: "_")
    }
  }
}

import Foundation
import PluginABI
import PluginAPI

/// The functions of `bh_host`, over ``PluginContext`` and ``Exchange``.
enum HostTable {
  // Constant once made.
  nonisolated(unsafe) static let pointer: UnsafePointer<bh_host> = {
    var table = bh_host()
    table.size = UInt32(MemoryLayout<bh_host>.size)
    table.abi_minor = BH_ABI_MINOR
    table.version = UnsafePointer(strdup("0.0.0-in-process"))
    addServices(&table)
    addResponse(&table)
    addValues(&table)
    let pointer = UnsafeMutablePointer<bh_host>.allocate(capacity: 1)
    pointer.initialize(to: table)
    return UnsafePointer(pointer)
  }()

  static let ok = bh_status(BH_OK)
  static let invalid = bh_status(BH_INVALID)

  private static func addServices(_ table: inout bh_host) {
    table.extension = { _, id in
      guard let id else { return nil }
      switch String(cString: id) {
      case BH_METRICS: return UnsafeRawPointer(ExtensionTables.metrics)
      case BH_SHARED_MEMORY: return UnsafeRawPointer(ExtensionTables.sharedMemory)
      case BH_STREAM: return UnsafeRawPointer(ExtensionTables.stream)
      case BH_TIMERS: return UnsafeRawPointer(ExtensionTables.timers)
      case BH_REQUEST_BODY: return UnsafeRawPointer(ExtensionTables.requestBody)
      default: return nil
      }
    }
    table.add_route = { context, route in
      guard let context, let route = route?.pointee else { return HostTable.invalid }
      let plugin = PluginContext.at(context)
      guard plugin.has(BH_ROUTES) else { return HostTable.invalid }
      return plugin.state.withLock {
        $0.isStarting && $0.routes.add(route, mount: plugin.mount) ? HostTable.ok : HostTable.invalid
      }
    }
    table.set_error = { context, exchange, message in
      let text = message.text
      if let exchange {
        Exchange.at(exchange).error = text
      } else if let context {
        PluginContext.at(context).state.withLock { $0.error = text }
      }
    }
    table.log = { context, exchange, level, message in
      guard let context else { return }
      let line = LogLine(
        level: LogLevel(raw: level), message: message.text,
        requestID: exchange.map { Exchange.at($0).requestID })
      PluginContext.at(context).state.withLock { $0.lines.append(line) }
    }
    table.monotonic_ns = { clock(CLOCK_MONOTONIC) }
    table.realtime_ns = { Int64(clock(CLOCK_REALTIME)) }
    table.random = { buffer, count in
      guard let buffer else { return }
      var generator = SystemRandomNumberGenerator()
      for offset in 0..<count {
        buffer.storeBytes(
          of: UInt8.random(in: .min ... .max, using: &generator), toByteOffset: offset, as: UInt8.self)
      }
    }
  }

  private static func addResponse(_ table: inout bh_host) {
    table.set_status = { exchange, status in
      guard let exchange, (200...599).contains(status) else { return HostTable.invalid }
      Exchange.at(exchange).status = status
      return HostTable.ok
    }
    table.status = { $0.map { Exchange.at($0).status } ?? 0 }
    table.set_header = { exchange, name, value in
      guard let exchange else { return HostTable.invalid }
      return Exchange.at(exchange).setField(name, value, replacing: true) ? HostTable.ok : HostTable.invalid
    }
    table.add_header = { exchange, name, value in
      guard let exchange else { return HostTable.invalid }
      return Exchange.at(exchange).setField(name, value, replacing: false) ? HostTable.ok : HostTable.invalid
    }
    table.remove_header = { exchange, name in
      guard let exchange else { return }
      Exchange.at(exchange).removeField(name)
    }
    table.header = { exchange, name, value in
      guard let exchange, let found = Exchange.at(exchange).field(name) else { return false }
      value?.pointee = found
      return true
    }
    table.set_body = { exchange, body in
      guard let exchange = exchange.map({ Exchange.at($0) }) else { return }
      exchange.body = exchange.arena.bytes(body)
    }
    table.body = { $0.map { Exchange.at($0).body } ?? bh_bytes(data: nil, count: 0) }
    table.set_problem = { exchange, problem in
      guard let exchange, let problem = problem?.pointee else { return HostTable.invalid }
      return Exchange.at(exchange).setProblem(problem) ? HostTable.ok : HostTable.invalid
    }
    table.decide_cors = { exchange in
      guard let exchange = exchange.map({ Exchange.at($0) }), exchange.context.has(BH_DECIDES_CORS) else {
        return HostTable.invalid
      }
      exchange.decidedCORS = true
      return HostTable.ok
    }
  }

  private static func addValues(_ table: inout bh_host) {
    table.set_identity = { exchange, identity in
      guard let exchange, let identity = identity?.pointee else { return HostTable.invalid }
      return Exchange.at(exchange).setIdentity(identity) ? HostTable.ok : HostTable.invalid
    }
    table.identity = { $0.flatMap { Exchange.at($0).identity } }
    table.set_attribute = { exchange, name, value in
      guard let exchange else { return HostTable.invalid }
      return Exchange.at(exchange).setAttribute(name, value)
    }
    table.attribute = { exchange, name, value in
      guard let exchange, let found = Exchange.at(exchange).attributes[name.text] else { return false }
      value?.pointee = found
      return true
    }
  }
}

/// Nanoseconds on a clock of the kernel's.
private func clock(_ id: clockid_t) -> UInt64 {
  var time = timespec()
  clock_gettime(id, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

extension LogLevel {
  fileprivate init(raw: bh_log_level) {
    switch Int(raw) {
    case Int(BH_LOG_ERROR): self = .error
    case Int(BH_LOG_WARNING): self = .warning
    case Int(BH_LOG_INFO): self = .info
    default: self = .debug
    }
  }
}

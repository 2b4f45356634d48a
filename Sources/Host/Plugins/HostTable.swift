import Glibc
import HTTPCodec
import LinuxShims

/// The functions that plugins call, as bh_host lays them out: each unwraps its handles and calls Swift.
///
/// Invariant: a `bh_context` is a `Plugin`, a `bh_exchange` an `Exchange`; both outlive every call that names them.
enum HostTable {
  /// Made once, and never changed: plugins keep the pointer for the life of the process.
  nonisolated(unsafe) static let shared: UnsafePointer<bh_host> = {
    ReadOnlyTable.make(make())
  }()

  /// Bytes of a message that are kept: what goes into a fault's record, and into one line of the log.
  private static let maxError = 4 << 10
  private static let maxLogLine = 8 << 10

  nonisolated(unsafe) private static let version = strdup(Version.host)

  private static func make() -> bh_host {
    var host = bh_host()
    host.size = UInt32(MemoryLayout<bh_host>.size)
    host.abi_minor = BH_ABI_MINOR
    host.version = UnsafePointer(version)
    addServices(to: &host)
    addResponse(to: &host)
    addValues(to: &host)
    return host
  }

  /// - Parameter streamedBodyLimit: of a handler that reads its body as it arrives.
  static func addRoute(
    _ context: OpaquePointer?, _ route: UnsafePointer<bh_route>?, streamedBodyLimit: Int? = nil
  ) -> bh_status {
    guard let plugin = Plugin.of(context), let route, plugin.capabilities.contains(.routes),
      var registered = RegisteredRoute(route.pointee)
    else { return bh_status(BH_INVALID) }
    if streamedBodyLimit != nil, !registered.isBlocking {
      plugin.noteError(
        "\(registered.method) '\(registered.pattern)' reads its body as it arrives, which waits: it must be BH_BLOCKING"
      )
      return bh_status(BH_INVALID)
    }
    registered.streamedBodyLimit = streamedBodyLimit
    plugin.routes.append(registered)
    return bh_status(BH_OK)
  }

  private static func addServices(to host: inout bh_host) {
    host.extension = { _, id in
      guard let id else { return nil }
      return HostExtensions.table(String(cString: id))
    }
    host.add_route = { context, route in
      HostTable.addRoute(context, route)
    }
    host.set_error = { context, exchange, message in
      let text = message.prefix(HostTable.maxError).string
      if let exchange = Exchange.of(exchange) {
        exchange.errorMessage = text
      } else {
        Plugin.of(context)?.noteError(text)
      }
    }
    host.log = { context, exchange, level, message in
      guard let plugin = Plugin.of(context), let level = LogLevel(rawValue: Int(level)) else { return }
      guard Log.shared.isEnabled(level), plugin.logQuota.admits(at: Clock.monotonic()) else { return }
      Log.shared.write(
        level, message.prefix(HostTable.maxLogLine).string, request: Exchange.of(exchange)?.logged,
        fields: [("plugin", plugin.name)])
    }
    host.monotonic_ns = { Clock.monotonic() }
    host.realtime_ns = { Clock.realtime() }
    host.random = { buffer, count in
      guard let buffer else { return }
      Randomness.fill(UnsafeMutableRawBufferPointer(start: buffer, count: count))
    }
  }

  private static func addResponse(to host: inout bh_host) {
    host.set_status = { exchange, status in
      guard let exchange = Exchange.of(exchange), (200...599).contains(status) else {
        return bh_status(BH_INVALID)
      }
      if exchange.isShadowed { exchange.shadowStatus = status } else { exchange.status = status }
      return bh_status(BH_OK)
    }
    host.status = { exchange in Exchange.of(exchange)?.status ?? 0 }
    host.set_header = { exchange, name, value in
      guard let exchange = Exchange.of(exchange), ResponseField.isAcceptable(name, value) else {
        return bh_status(BH_INVALID)
      }
      return bh_status(exchange.isShadowed || exchange.setHeader(name, value) ? BH_OK : BH_UNAVAILABLE)
    }
    host.add_header = { exchange, name, value in
      guard let exchange = Exchange.of(exchange), ResponseField.isAcceptable(name, value) else {
        return bh_status(BH_INVALID)
      }
      return bh_status(exchange.isShadowed || exchange.addHeader(name, value) ? BH_OK : BH_UNAVAILABLE)
    }
    host.remove_header = { exchange, name in
      guard let exchange = Exchange.of(exchange), !exchange.isShadowed else { return }
      exchange.removeHeader(name)
    }
    host.header = { exchange, name, value in
      guard let found = Exchange.of(exchange)?.header(name) else { return false }
      value?.pointee = found
      return true
    }
    host.set_body = { exchange, body in
      guard let exchange = Exchange.of(exchange), !exchange.isShadowed else { return }
      exchange.clearBody()
      exchange.body.append(body)
    }
    host.body = { exchange in
      guard let exchange = Exchange.of(exchange) else { return bh_bytes() }
      return bh_bytes(UnsafeRawBufferPointer(exchange.body.readable))
    }
    host.set_problem = { exchange, problem in
      guard let exchange = Exchange.of(exchange), let problem, (400...599).contains(problem.pointee.status),
        !problem.pointee.code.isEmpty
      else { return bh_status(BH_INVALID) }
      if exchange.isShadowed {
        exchange.shadowStatus = problem.pointee.status
      } else {
        exchange.respond(problem.pointee)
      }
      return bh_status(BH_OK)
    }
    host.decide_cors = { exchange in
      guard let exchange = Exchange.of(exchange),
        exchange.current?.capabilities.contains(.decidesCORS) == true
      else { return bh_status(BH_INVALID) }
      if !exchange.isShadowed { exchange.isCORSDecided = true }
      return bh_status(BH_OK)
    }
  }

  private static func addValues(to host: inout bh_host) {
    host.set_identity = { exchange, identity in
      guard let exchange = Exchange.of(exchange), let identity, !exchange.hasIdentity,
        !identity.pointee.subject.isEmpty
      else { return bh_status(BH_INVALID) }
      if !exchange.isShadowed { exchange.setIdentity(identity.pointee) }
      return bh_status(BH_OK)
    }
    host.identity = { exchange in
      guard let exchange = Exchange.of(exchange), exchange.hasIdentity else { return nil }
      return UnsafePointer(exchange.identity)
    }
    host.set_attribute = { exchange, name, value in
      guard let exchange = Exchange.of(exchange), !name.isEmpty else { return bh_status(BH_INVALID) }
      return bh_status(exchange.isShadowed || exchange.setAttribute(name, value) ? BH_OK : BH_UNAVAILABLE)
    }
    host.attribute = { exchange, name, value in
      guard let found = Exchange.of(exchange)?.attributes.first(where: { $0.name.equals(name) }) else {
        return false
      }
      value?.pointee = found.value
      return true
    }
  }
}

extension Plugin {
  @inline(__always)
  static func of(_ handle: OpaquePointer?) -> Plugin? {
    handle.map { Handle.object($0, Plugin.self) }
  }
}

extension Exchange {
  @inline(__always)
  static func of(_ handle: OpaquePointer?) -> Exchange? {
    guard let handle else { return nil }
    let exchange = Handle.object(handle, Exchange.self)
    // A thread that was given up for hung, and comes by once more, has come to its end.
    if exchange.isAbandoned.load(ordering: .relaxed) { guard_park() }
    return exchange
  }

  func setIdentity(_ identity: bh_identity) {
    let scopes = arena.allocate(max(1, identity.scope_count) * MemoryLayout<bh_bytes>.stride)
      .bindMemory(to: bh_bytes.self, capacity: max(1, identity.scope_count))
    for index in 0..<identity.scope_count { scopes[index] = arena.copy(identity.scopes[index]) }
    self.identity.pointee = bh_identity(
      size: UInt32(MemoryLayout<bh_identity>.size), subject: arena.copy(identity.subject),
      email: arena.copy(identity.email), role: arena.copy(identity.role), scopes: scopes,
      scope_count: identity.scope_count, expires_at: identity.expires_at)
    hasIdentity = true
  }

  /// False if there are too many.
  func setAttribute(_ name: bh_bytes, _ value: bh_bytes) -> Bool {
    let value = arena.copy(value)
    return attributes.replaceValue(of: name, by: value)
      || attributes.append(bh_field(name: arena.copy(name), value: value))
  }
}

/// What a plugin may put on a response.
enum ResponseField {
  private static let hosts: [StaticString] = [
    "Content-Length", "Transfer-Encoding", "Connection", "Date", "X-Request-Id", "traceparent",
  ]

  static func isAcceptable(_ name: bh_bytes, _ value: bh_bytes) -> Bool {
    FieldSyntax.isToken(name.buffer) && FieldSyntax.isFieldValue(value.buffer)
      && !hosts.contains { name.equalsIgnoringCase(bh_bytes($0)) }
  }
}

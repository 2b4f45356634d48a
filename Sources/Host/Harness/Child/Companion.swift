import Glibc
import Synchronization

/// The plugin that stands around the one under test: before it as the middleware that sets an identity, and behind it as
/// the routes that it lets through to. Of the host's own, and loaded from nowhere.
final class Companion: Sendable {
  static let name = "test-companion"

  struct Route: Sendable, Equatable {
    var method: String
    /// From the root.
    var pattern: String
    var access: Access
  }

  /// What it does for one request.
  struct Part: Sendable {
    var identity: TestIdentity?
    var downstream = Downstream()
  }

  private let routes: [Route]
  private let parts = Mutex<[String: Part]>([:])
  private nonisolated(unsafe) let host = UnsafeMutablePointer<UnsafePointer<bh_host>?>.allocate(capacity: 1)
  nonisolated(unsafe) let table: UnsafePointer<bh_plugin>

  /// Lives as long as the process.
  init(routes: [Route]) {
    self.routes = routes
    host.initialize(to: nil)
    let memory = UnsafeMutablePointer<bh_plugin>.allocate(capacity: 1)
    memory.initialize(to: bh_plugin())
    table = UnsafePointer(memory)
    memory.pointee.size = UInt32(MemoryLayout<bh_plugin>.size)
    memory.pointee.abi_major = BH_ABI_MAJOR
    memory.pointee.abi_minor = BH_ABI_MINOR
    memory.pointee.capabilities = UInt32(BH_HANDLES_REQUEST | BH_ROUTES)
    memory.pointee.name = UnsafePointer(strdup(Companion.name))
    memory.pointee.version = UnsafePointer(strdup(Version.host))
    memory.pointee.summary = UnsafePointer(strdup("Stands around a plugin under test"))
    memory.pointee.reserved = Unmanaged.passRetained(self).toOpaque()
    memory.pointee.start = { plugin, start, instance in
      guard let plugin, let start, let reserved = plugin.pointee.reserved else { return bh_status(BH_FAULT) }
      instance?.pointee = reserved
      return Companion.of(reserved).start(start.pointee)
    }
    memory.pointee.request = { instance, exchange, request in
      guard let instance, let request else { return bh_status(BH_FAULT) }
      return Companion.of(instance).setIdentity(exchange, request.pointee)
    }
    memory.pointee.handle = { instance, _, exchange, request in
      guard let instance, let request else { return bh_status(BH_FAULT) }
      return Companion.of(instance).answer(exchange, request.pointee)
    }
  }

  private static func of(_ instance: UnsafeMutableRawPointer) -> Companion {
    Unmanaged<Companion>.fromOpaque(instance).takeUnretainedValue()
  }

  /// Says what is to be done for the request of this id. Any thread.
  func prepare(_ part: Part, for requestID: String) { parts.withLock { $0[requestID] = part } }

  func forget(_ requestID: String) { parts.withLock { $0[requestID] = nil } }

  private func part(of request: bh_request) -> Part? {
    let id = request.request_id.string
    return parts.withLock { $0[id] }
  }

  // MARK: Calls of the host

  private func start(_ start: bh_start) -> bh_status {
    host.pointee = start.host
    for (index, route) in routes.enumerated() {
      var abi = bh_route()
      abi.size = UInt32(MemoryLayout<bh_route>.size)
      abi.access = route.access.abi
      abi.handler = UInt32(index)
      var role = ""
      if case .role(let name) = route.access { role = name }
      let status = route.method.withCString { method in
        route.pattern.withCString { pattern in
          role.withCString { role in
            abi.method = method
            abi.pattern = pattern
            if route.access.abi == bh_access(BH_ACCESS_ROLE) { abi.role = role }
            return start.host.pointee.add_route(start.context, &abi)
          }
        }
      }
      guard status == bh_status(BH_OK) else {
        "the route \(route.method) \(route.pattern) is not acceptable".withBytes {
          start.host.pointee.set_error(start.context, nil, $0)
        }
        return bh_status(BH_FAULT)
      }
    }
    return bh_status(BH_OK)
  }

  private func setIdentity(_ exchange: OpaquePointer?, _ request: bh_request) -> bh_status {
    guard let identity = part(of: request)?.identity, let host = host.pointee else { return bh_status(BH_OK) }
    var arena = Arena(capacity: 512)
    let scopes = identity.scopes.map { arena.copy($0) }
    return scopes.withUnsafeBufferPointer { scopes in
      var abi = bh_identity(
        size: UInt32(MemoryLayout<bh_identity>.size), subject: arena.copy(identity.subject),
        email: arena.copy(identity.email), role: arena.copy(identity.role), scopes: scopes.baseAddress,
        scope_count: scopes.count, expires_at: 0)
      return host.pointee.set_identity(exchange, &abi)
    }
  }

  private func answer(_ exchange: OpaquePointer?, _ request: bh_request) -> bh_status {
    guard let host = host.pointee?.pointee else { return bh_status(BH_FAULT) }
    let downstream = part(of: request)?.downstream ?? Downstream()
    _ = host.set_status(exchange, UInt32(downstream.status))
    for field in downstream.fields {
      field.name.withBytes { name in field.value.withBytes { _ = host.add_header(exchange, name, $0) } }
    }
    if let body = downstream.body {
      body.withBytes { host.set_body(exchange, $0) }
      return bh_status(BH_OK)
    }
    _ = host.set_header(exchange, bh_bytes("Content-Type"), bh_bytes("application/json"))
    echo(request, host.identity(exchange)?.pointee).withBytes { host.set_body(exchange, $0) }
    return bh_status(BH_OK)
  }

  /// The request as it reached the handler.
  private func echo(_ request: bh_request, _ identity: bh_identity?) -> String {
    var json = JSONWriter()
    json.object {
      $0.field("method", request.method_name.string)
      $0.field("path", request.path.string)
      $0.field("query", request.query.string)
      $0.field("route", request.route.string)
      $0.field("client", request.client_address.string)
      $0.field("body", request.body.string)
      $0.object("fields") { fields in
        for index in 0..<request.field_count {
          fields.field(request.fields[index].name.string.lowercased(), request.fields[index].value.string)
        }
      }
      guard let identity else { return $0.null("identity") }
      $0.object("identity") {
        $0.field("subject", identity.subject.string)
        $0.field("email", identity.email.string)
        $0.field("role", identity.role.string)
        $0.field("scopes", (0..<identity.scope_count).map { identity.scopes[$0].string })
      }
    }
    return json.text
  }
}

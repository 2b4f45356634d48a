import PluginABI

/// A started plugin, with its type erased: what `void *instance` points at.
class Instance: @unchecked Sendable {
  // Sendable because its subclasses hold only constants that are Sendable.
  let host: Host

  init(host: Host) { self.host = host }

  func request(_ request: borrowing Request) throws -> Response? { nil }
  func response(_ request: borrowing Request) throws {}
  func handle(_ handler: Int, _ request: borrowing Request) throws -> Response {
    throw HostRefusal.route(method: request.method.name, pattern: request.route)
  }
  func selfTest() throws {}
  func stop() {}
}

/// A plugin that is a middleware, and no router.
final class MiddlewareInstance<P: Middleware>: Instance, @unchecked Sendable {
  private let plugin: P

  init(_ plugin: P, _ host: Host) {
    self.plugin = plugin
    super.init(host: host)
  }

  override func request(_ request: borrowing Request) throws -> Response? { try plugin.request(request) }
  override func response(_ request: borrowing Request) throws { try plugin.response(request) }
  override func selfTest() throws { try plugin.selfTest() }
  override func stop() { plugin.stop() }
}

/// A plugin that is a router, and no middleware.
final class RouterInstance<P: Router>: Instance, @unchecked Sendable {
  private let plugin: P
  private let handlers: ContiguousArray<Routes.Handler>

  init(_ plugin: P, _ host: Host) throws {
    self.plugin = plugin
    self.handlers = try plugin.registerRoutes(host)
    super.init(host: host)
  }

  override func handle(_ handler: Int, _ request: borrowing Request) throws -> Response {
    try handlers[handler](request)
  }
  override func selfTest() throws { try plugin.selfTest() }
  override func stop() { plugin.stop() }
}

/// A plugin that is both.
final class MiddlewareRouterInstance<P: Middleware & Router>: Instance, @unchecked Sendable {
  private let plugin: P
  private let handlers: ContiguousArray<Routes.Handler>

  init(_ plugin: P, _ host: Host) throws {
    self.plugin = plugin
    self.handlers = try plugin.registerRoutes(host)
    super.init(host: host)
  }

  override func request(_ request: borrowing Request) throws -> Response? { try plugin.request(request) }
  override func response(_ request: borrowing Request) throws { try plugin.response(request) }
  override func handle(_ handler: Int, _ request: borrowing Request) throws -> Response {
    try handlers[handler](request)
  }
  override func selfTest() throws { try plugin.selfTest() }
  override func stop() { plugin.stop() }
}

extension Router {
  /// Hands the plugin's routes to the host.
  ///
  /// - Throws: ``HostRefusal/route(method:pattern:)``, ``HostRefusal/missingExtension(_:)``; the plugin has been stopped
  ///   then, for the host will not do it.
  fileprivate func registerRoutes(_ host: Host) throws -> ContiguousArray<Routes.Handler> {
    var routes = Routes()
    self.routes(&routes)
    do {
      for (index, route) in routes.stated.enumerated() {
        guard try host.add(route, handler: UInt32(index)) else {
          throw HostRefusal.route(method: route.method, pattern: route.pattern)
        }
      }
    } catch {
      stop()
      throw error
    }
    return routes.handlers
  }
}

extension Host {
  fileprivate func add(_ route: Routes.Route, handler: UInt32) throws -> Bool {
    let bodies = find(BH_REQUEST_BODY, bh_request_body_host.self, upTo: \.error)
    if route.body != nil, bodies == nil { throw HostRefusal.missingExtension(BH_REQUEST_BODY) }
    var role: String?
    var raw = bh_route()
    raw.size = UInt32(MemoryLayout<bh_route>.size)
    raw.handler = handler
    raw.execution = bh_execution(route.execution == .blocking ? BH_BLOCKING : BH_ON_LOOP)
    switch route.access {
    case .public: raw.access = bh_access(BH_ACCESS_PUBLIC)
    case .authenticated: raw.access = bh_access(BH_ACCESS_AUTHENTICATED)
    case .role(let name):
      raw.access = bh_access(BH_ACCESS_ROLE)
      role = name
    }
    return route.method.withCString { method in
      route.pattern.withCString { pattern in
        (role ?? "").withCString { name in
          raw.method = method
          raw.pattern = pattern
          raw.role = role == nil ? nil : name
          guard let body = route.body, let bodies else {
            return table.pointee.add_route(context, &raw) == Status.ok
          }
          return bodies.pointee.add_route(context, &raw, body.limit) == Status.ok
        }
      }
    }
  }
}

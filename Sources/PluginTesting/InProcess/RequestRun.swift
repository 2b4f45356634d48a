import Foundation
import PluginABI
import PluginAPI

/// One request as a test states it.
struct SentRequest {
  let number: Int
  let method: String
  let target: String
  let headers: [(name: String, value: String)]
  let body: [UInt8]
  let identity: Identity?
  let attributes: [String: [UInt8]]
  let downstreamAccess: Routes.Access
  let client: String
  let timeout: Duration

  var path: String { String(target.prefix { $0 != "?" }) }
  var query: String { String(target.dropFirst(path.count + 1)) }

  /// A preflight, as the Fetch standard has it.
  var isPreflight: Bool {
    let names = headers.map { $0.name.lowercased() }
    return method == "OPTIONS" && names.contains("origin") && names.contains("access-control-request-method")
  }
}

/// The pipeline of the host for one plugin.
struct StartedPlugin {
  let table: UnsafePointer<bh_plugin>
  let instance: UnsafeMutableRawPointer?
  let context: PluginContext
  let scope: InProcessHost.Scope
  let downstream: Answer

  func run(_ sent: SentRequest) throws -> Answer {
    let exchange = Exchange(context, requestID: "request-\(sent.number)", path: sent.path)
    exchange.prepare(sent)
    let destination = self.destination(of: sent)
    let request = exchange.request(sent, destination)
    var reachedHandler = false
    let isInScope = includes(destination, sent)

    let isAnswered = isInScope ? try runRequestPhase(exchange, request) : false
    if !isAnswered { reachedHandler = try handle(destination, exchange, request) }
    if isInScope, let response = table.pointee.response {
      try check(response(instance, exchange.pointer, request), exchange, .response)
    }
    var body = exchange.body.copy
    if let stream = exchange.stream {
      body = try stream.collect(limit: sent.timeout) { context.takeError() }
    }
    return exchange.answer(body: sent.method == "HEAD" ? [] : body, reachedHandler: reachedHandler)
  }

  private func runRequestPhase(_ exchange: Exchange, _ request: UnsafePointer<bh_request>) throws -> Bool {
    guard let phase = table.pointee.request else { return false }
    let status = phase(instance, exchange.pointer, request)
    if status == bh_status(BH_RESPOND) { return true }
    try check(status, exchange, .request)
    return false
  }

  /// Whether a handler ran.
  private func handle(
    _ destination: Destination, _ exchange: Exchange, _ request: UnsafePointer<bh_request>
  ) throws -> Bool {
    switch destination {
    case .none:
      exchange.setProblem(status: 404, code: "not-found")
      return false
    case .options(let allowed), .wrongMethod(let allowed):
      let arena = exchange.arena
      if case .options = destination {
        exchange.status = 204
      } else {
        exchange.setProblem(status: 405, code: "method-not-allowed")
      }
      _ = exchange.setField(
        arena.bytes("Allow"), arena.bytes(allowed.joined(separator: ", ")), replacing: true)
      return false
    case .route(let route, _):
      guard exchange.admits(route.access, role: route.role) else { return false }
      if let limit = route.streamedBodyLimit, limit > 0, exchange.unreadBody?.count ?? 0 > limit {
        exchange.setProblem(status: 413, code: "body-too-large")
        return false
      }
      exchange.isInHandler = true
      defer { exchange.isInHandler = false }
      try check(table.pointee.handle(instance, route.handler, exchange.pointer, request), exchange, .handler)
      if exchange.status == 0 { exchange.status = 200 }
      return true
    case .downstream(let access, let role):
      guard exchange.admits(access, role: role) else { return false }
      exchange.status = UInt32(downstream.status)
      for (name, value) in downstream.headers {
        _ = exchange.setField(exchange.arena.bytes(name), exchange.arena.bytes(value), replacing: false)
      }
      exchange.body = exchange.arena.bytes(downstream.body)
      return true
    }
  }

  private func check(_ status: bh_status, _ exchange: Exchange, _ phase: PluginFault.Phase) throws {
    guard status != HostTable.ok else { return }
    let reason = exchange.error ?? "status \(status), and no reason given"
    if let stream = exchange.stream { stream.release?(stream.state) }
    throw PluginFault(phase: phase, message: reason)
  }

  // MARK: Where a request goes

  enum Destination {
    case route(RouteTable.Route, [(name: String, value: String)])
    case downstream(bh_access, role: String)
    case wrongMethod([String])
    case options([String])
    case none

    var access: bh_access {
      switch self {
      case .route(let route, _): route.access
      case .downstream(let access, _): access
      case .wrongMethod, .options, .none: bh_access(BH_ACCESS_NONE)
      }
    }
  }

  private func destination(of sent: SentRequest) -> Destination {
    let match = context.state.withLock { $0.routes.match(sent.method, sent.path) }
    switch match {
    case .route(let route, let parameters): return .route(route, parameters)
    case .wrongMethod(let allowed):
      return sent.method == "OPTIONS" ? .options(allowed) : .wrongMethod(allowed)
    case .none:
      let hasRoutes = context.state.withLock { !$0.routes.routes.isEmpty }
      guard !hasRoutes || !(sent.path + "/").hasPrefix(context.mount + "/") else { return .none }
      guard sent.method != "OPTIONS" else { return .options(["GET", "HEAD", "POST", "OPTIONS"]) }
      switch sent.downstreamAccess {
      case .public: return .downstream(bh_access(BH_ACCESS_PUBLIC), role: "")
      case .authenticated: return .downstream(bh_access(BH_ACCESS_AUTHENTICATED), role: "")
      case .role(let role): return .downstream(bh_access(BH_ACCESS_ROLE), role: role)
      }
    }
  }

  private func includes(_ destination: Destination, _ sent: SentRequest) -> Bool {
    if sent.isPreflight { return context.has(BH_DECIDES_CORS) }
    let access = destination.access
    switch scope {
    case .all: return true
    case .routes: return access != UInt32(BH_ACCESS_NONE)
    case .public: return access == UInt32(BH_ACCESS_PUBLIC)
    case .protected: return access == UInt32(BH_ACCESS_AUTHENTICATED) || access == UInt32(BH_ACCESS_ROLE)
    }
  }
}

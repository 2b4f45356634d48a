import CORSPolicy
import PluginAPI

/// Decides CORS by path, in place of the host's built-in policy.
///
/// Place it first: what answers before it is left to the built-in policy.
struct CORSMiddleware: Middleware {
  static let plugin = PluginDescription(
    name: "cors", version: "1.0.0", summary: "CORS policies by path, in place of the built-in one")
  static var decidesCORS: Bool { true }

  private let policies: PathPolicies
  private let refusals: Counter

  init(_ start: Start<CORSSettings>) throws {
    policies = try PathPolicies(start.settings.defaults, start.settings.policy)
    refusals = start.host.counter("refused_total", help: "Requests and preflights that a policy refuses")
  }

  func request(_ request: borrowing Request) throws -> Response? {
    let policy = request.withPath { policies.policy(for: $0) }
    let mayBePreflight = request.method == .options
    return try request.headers.withBytes("Origin") { origin in
      if mayBePreflight, origin != nil, let response = try answerPreflight(request, policy, origin) {
        return response
      }
      let decision = policy.decide(origin: origin, preflight: nil)
      try decision.forEachHeader { name, value in
        let name = "\(name)"
        let value = String(decoding: value, as: UTF8.self)
        if name == "Vary" {
          // Beside what other plugins' answers vary by.
          try request.response.addHeader(name, value)
        } else {
          try request.response.setHeader(name, value)
        }
      }
      try settle(decision, isCrossOrigin: origin != nil, request)
      return nil
    }
  }

  /// Answers a preflight; nil if the request is none, for want of an Access-Control-Request-Method.
  ///
  /// Also a refused one is answered 204: its fields tell the browser what is not allowed, and the browser the
  /// developer.
  private func answerPreflight(
    _ request: borrowing Request, _ policy: CORSPolicy, _ origin: UnsafeRawBufferPointer?
  ) throws -> Response? {
    try request.headers.withBytes("Access-Control-Request-Method") { method in
      guard let method else { return nil }
      return try request.headers.withBytes("Access-Control-Request-Headers") { names in
        let preflight = CORSPreflight(
          requestMethod: method, requestHeaders: names,
          requestsPrivateNetwork: request.headers["Access-Control-Request-Private-Network"] == "true")
        let decision = policy.decide(origin: origin, preflight: preflight)
        try settle(decision, isCrossOrigin: true, request)
        return Response(status: 204, headers: decision.headers.map { (name: $0.0, value: $0.1) })
      }
    }
  }

  private func settle(_ decision: CORSDecision, isCrossOrigin: Bool, _ request: borrowing Request) throws {
    try request.response.decideCORS()
    guard isCrossOrigin, !decision.isAllowed else { return }
    refusals.add()
    request.log(.debug, "refused by CORS: \(decision.rule)")
  }
}

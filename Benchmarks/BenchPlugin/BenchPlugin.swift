import PluginAPI

/// The end of the chains that are benchmarked, and middleware that does nothing: what is measured is the way
/// through the host. `applies-to` says whose requests pay for the empty phases.
struct BenchPlugin: Router, Middleware {
  static let plugin = PluginDescription(
    name: "bench", version: "1.0.0", summary: "Answers from memory, for benchmarks")

  static var phases: Phases { [.request, .response] }

  init(_ start: Start<NoSettings>) {}

  func routes(_ routes: inout Routes) {
    routes.get("me", access: .authenticated) { request in
      .json("{\"status\":\"ok\",\"subject\":\"\(request.identity?.subject ?? "")\"}")
    }
    routes.get("ping", access: .public) { _ in .json("{\"status\":\"ok\"}") }
  }

  func request(_ request: borrowing Request) throws -> Response? { nil }

  func response(_ request: borrowing Request) throws {}
}

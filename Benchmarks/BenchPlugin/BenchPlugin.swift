import PluginAPI

/// The end of the benchmarked chain: one authenticated route that answers from memory, so that what is
/// measured is the
/// way to it.
struct BenchPlugin: Router {
  static let plugin = PluginDescription(
    name: "bench", version: "1.0.0", summary: "Answers a small JSON object, for benchmarks")

  init(_ start: Start<NoSettings>) {}

  func routes(_ routes: inout Routes) {
    routes.get("me", access: .authenticated) { request in
      .json("{\"status\":\"ok\",\"subject\":\"\(request.identity?.subject ?? "")\"}")
    }
  }
}

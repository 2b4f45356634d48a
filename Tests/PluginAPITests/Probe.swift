import PluginAPI

/// A router and a middleware whose functions a test states.
struct Probe<Settings: PluginSettings>: Middleware, Router {
  static var plugin: PluginDescription {
    PluginDescription(name: "probe", version: "1.2.3", summary: "A test's")
  }
  static var phases: Phases { [.request, .response] }

  let start: Start<Settings>

  init(_ start: Start<Settings>) throws { self.start = start }

  func request(_ request: borrowing Request) throws -> Response? {
    try ProbeActions.current.request(request)
  }

  func response(_ request: borrowing Request) throws {
    try ProbeActions.current.response(request)
  }

  func routes(_ routes: inout Routes) {
    ProbeActions.current.routes(&routes)
  }
}

/// What the probe does, for the task of one test. The in-process host calls the plugin on the caller's own thread.
struct ProbeActions: Sendable {
  @TaskLocal static var current = ProbeActions()

  var request: @Sendable (borrowing Request) throws -> Response? = { _ in nil }
  var response: @Sendable (borrowing Request) throws -> Void = { _ in }
  var routes: @Sendable (inout Routes) -> Void = { _ in }
}

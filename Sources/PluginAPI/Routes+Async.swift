extension Routes {
  /// A route's function that may await.
  ///
  /// Called on a thread of the host's pool, several at a time, each on another. Its task, and the tasks below it
  /// (`async let`, task groups), run on that thread too, so that the host knows whose request it is: a trap, a hang past
  /// the plugin's `timeout` or a log line is attributed as in any other handler. An actor that several handlers call at a
  /// time runs their calls one after the other on the thread of one of them, whose request a fault in it then is. A thread
  /// is taken until the handler returns. Tasks without a parent (`Task { … }`) run on Swift's own threads, and may not use
  /// the request. Nothing runs the main actor.
  public typealias AsyncHandler = @Sendable (borrowing Request) async throws -> Response

  /// States one route, whose handler may await.
  ///
  /// - Parameters:
  ///   - method: A method's name as it stands in a request: `"GET"`.
  ///   - pattern: Below the mount, without a slash at its start.
  ///   - access: Who may call it.
  ///   - handler: Makes the response. A thrown ``Problem`` is the response; any other error is a fault.
  public mutating func add(
    _ method: String, _ pattern: String, access: Access, _ handler: @escaping AsyncHandler
  ) {
    add(method, pattern, access: access, execution: .blocking) {
      try HandlerExecutor.respond(to: $0, handler)
    }
  }

  /// `add("GET", …)`.
  public mutating func get(_ pattern: String, access: Access, _ handler: @escaping AsyncHandler) {
    add("GET", pattern, access: access, handler)
  }

  /// `add("POST", …)`.
  public mutating func post(_ pattern: String, access: Access, _ handler: @escaping AsyncHandler) {
    add("POST", pattern, access: access, handler)
  }

  /// `add("PUT", …)`.
  public mutating func put(_ pattern: String, access: Access, _ handler: @escaping AsyncHandler) {
    add("PUT", pattern, access: access, handler)
  }

  /// `add("PATCH", …)`.
  public mutating func patch(_ pattern: String, access: Access, _ handler: @escaping AsyncHandler) {
    add("PATCH", pattern, access: access, handler)
  }

  /// `add("DELETE", …)`.
  public mutating func delete(_ pattern: String, access: Access, _ handler: @escaping AsyncHandler) {
    add("DELETE", pattern, access: access, handler)
  }
}

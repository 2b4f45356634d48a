/// A plugin that answers requests below its `mount`.
public protocol Router: Plugin {
  /// States the plugin's routes, once, after ``Plugin/init(_:)``.
  ///
  /// Thread: main. A route that the host refuses (a malformed pattern, a method that is no token) fails the start.
  func routes(_ routes: inout Routes)
}

/// The routes that a router states.
///
/// A pattern lies below the plugin's mount: `"{id}/media"`; `""` is the mount itself. A segment in braces stands for one
/// segment that is not empty, and is read as `request[parameter: "id"]`. GET answers HEAD too, and OPTIONS is the host's.
public struct Routes {
  /// A route's function.
  ///
  /// Called on an event loop, or on a pool thread if it is ``Execution/blocking``; several at a time.
  public typealias Handler = @Sendable (borrowing Request) throws -> Response

  /// Who may call a route. The host enforces it before the handler runs.
  public enum Access: Sendable, Equatable {
    /// Anybody.
    case `public`
    /// Whoever has an identity.
    case authenticated
    /// Whoever has an identity with this role.
    case role(String)
  }

  /// Where a handler runs.
  public enum Execution: Sendable, Equatable {
    /// On the event loop: short, and never blocks.
    case onLoop
    /// On the host's pool: may wait for disks, databases and peers.
    case blocking
  }

  struct Route {
    let method: String
    let pattern: String
    let access: Access
    let execution: Execution
    /// Nil: it is whole before the handler runs.
    var body: Body?
  }

  private(set) var stated: [Route] = []
  /// By the number that the host hands back: the route's place in `stated`.
  private(set) var handlers: ContiguousArray<Handler> = []

  init() {}

  /// States one route.
  ///
  /// - Parameters:
  ///   - method: A method's name as it stands in a request: `"GET"`.
  ///   - pattern: Below the mount, without a slash at its start.
  ///   - access: Who may call it.
  ///   - execution: Where `handler` runs.
  ///   - handler: Makes the response. A thrown ``Problem`` is the response; any other error is a fault.
  public mutating func add(
    _ method: String, _ pattern: String, access: Access, execution: Execution = .onLoop,
    _ handler: @escaping Handler
  ) {
    state(Route(method: method, pattern: pattern, access: access, execution: execution), handler)
  }

  mutating func state(_ route: Route, _ handler: @escaping Handler) {
    stated.append(route)
    handlers.append(handler)
  }

  /// `add("GET", …)`.
  public mutating func get(
    _ pattern: String, access: Access, execution: Execution = .onLoop, _ handler: @escaping Handler
  ) {
    add("GET", pattern, access: access, execution: execution, handler)
  }

  /// `add("POST", …)`.
  public mutating func post(
    _ pattern: String, access: Access, execution: Execution = .onLoop, _ handler: @escaping Handler
  ) {
    add("POST", pattern, access: access, execution: execution, handler)
  }

  /// `add("PUT", …)`.
  public mutating func put(
    _ pattern: String, access: Access, execution: Execution = .onLoop, _ handler: @escaping Handler
  ) {
    add("PUT", pattern, access: access, execution: execution, handler)
  }

  /// `add("PATCH", …)`.
  public mutating func patch(
    _ pattern: String, access: Access, execution: Execution = .onLoop, _ handler: @escaping Handler
  ) {
    add("PATCH", pattern, access: access, execution: execution, handler)
  }

  /// `add("DELETE", …)`.
  public mutating func delete(
    _ pattern: String, access: Access, execution: Execution = .onLoop, _ handler: @escaping Handler
  ) {
    add("DELETE", pattern, access: access, execution: execution, handler)
  }
}

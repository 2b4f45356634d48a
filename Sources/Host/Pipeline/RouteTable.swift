import Glibc

/// Who may call a route.
enum Access: Sendable, Equatable {
  case `public`, authenticated
  case role(String)

  var text: String {
    switch self {
    case .public: "public"
    case .authenticated: "authenticated"
    case .role(let role): "role:\(role)"
    }
  }

  var abi: bh_access {
    switch self {
    case .public: bh_access(BH_ACCESS_PUBLIC)
    case .authenticated: bh_access(BH_ACCESS_AUTHENTICATED)
    case .role: bh_access(BH_ACCESS_ROLE)
    }
  }
}

/// A route as a plugin registered it, relative to its mount.
struct RegisteredRoute: Sendable {
  var method: String
  var pattern: String
  var access: Access
  var isBlocking: Bool
  var handler: UInt32
  /// Most bytes of a body that the handler reads as it arrives; 0: the host's `max-body`. Nil: it gets the body whole.
  var streamedBodyLimit: Int?

  /// Nil if method or pattern are malformed, or the access is unknown.
  init?(_ route: bh_route) {
    guard let method = route.method, let pattern = route.pattern else { return nil }
    self.method = String(cString: method)
    self.pattern = String(cString: pattern)
    guard !self.method.isEmpty, self.method.utf8.allSatisfy({ (0x41...0x5a).contains($0) }),
      self.method != "HEAD", self.method != "OPTIONS", RegisteredRoute.isWellFormed(self.pattern)
    else { return nil }
    switch route.access {
    case bh_access(BH_ACCESS_PUBLIC): access = .public
    case bh_access(BH_ACCESS_AUTHENTICATED): access = .authenticated
    case bh_access(BH_ACCESS_ROLE):
      guard let role = route.role, role.pointee != 0 else { return nil }
      access = .role(String(cString: role))
    default: return nil
    }
    guard route.execution <= UInt32(BH_BLOCKING) else { return nil }
    isBlocking = route.execution == UInt32(BH_BLOCKING)
    handler = route.handler
  }

  /// Segments that are literal or `{name}`; no empty one, and each name once.
  private static func isWellFormed(_ pattern: String) -> Bool {
    let trimmed = pattern.hasPrefix("/") ? pattern.dropFirst() : Substring(pattern)
    if trimmed.isEmpty { return true }
    var names: Set<Substring> = []
    for segment in trimmed.split(separator: "/", omittingEmptySubsequences: false) {
      if segment.isEmpty { return segment.endIndex == trimmed.endIndex }
      if segment.contains("{") || segment.contains("}") {
        guard segment.hasPrefix("{"), segment.hasSuffix("}"), segment.count > 2 else { return false }
        let name = segment.dropFirst().dropLast()
        guard !name.contains("{"), !name.contains("}"), names.insert(name).inserted else { return false }
      }
      guard !segment.contains(where: { $0 == "?" || $0 == "#" || $0 == " " || $0 == "%" }) else {
        return false
      }
    }
    return names.count <= Exchange.maxParameters
  }
}

/// One route of the table. Lives as long as its generation.
final class Route: @unchecked Sendable {
  let index: Int
  let method: String
  /// Mount included; begins with '/', does not end with one.
  let pattern: String
  let access: Access
  let isBlocking: Bool
  let handler: UInt32
  let streamedBodyLimit: Int?
  let plugin: Plugin
  let latency = Histogram()
  let parameterNames: [bh_bytes]
  let patternBytes: bh_bytes
  let role: bh_bytes
  /// The middleware that its requests pass, by the plugins' scopes; filled in by `Pipeline`.
  var chain = UnsafeBufferPointer<ChainEntry>(start: nil, count: 0)

  init(index: Int, registered: RegisteredRoute, plugin: Plugin) {
    self.index = index
    self.plugin = plugin
    method = registered.method
    access = registered.access
    isBlocking = registered.isBlocking
    handler = registered.handler
    streamedBodyLimit = registered.streamedBodyLimit
    let tail = registered.pattern.split(separator: "/").joined(separator: "/")
    let mount = plugin.configuration.mount ?? ""
    pattern = tail.isEmpty ? (mount.isEmpty ? "/" : mount) : "\(mount)/\(tail)"
    parameterNames = pattern.split(separator: "/").filter { $0.hasPrefix("{") }
      .map { Permanent.bytes(String($0.dropFirst().dropLast())) }
    patternBytes = Permanent.bytes(pattern)
    if case .role(let name) = access { role = Permanent.bytes(name) } else { role = bh_bytes() }
  }
}

/// Bytes that live as long as the process: names in routes.
enum Permanent {
  static func bytes(_ text: String) -> bh_bytes {
    bh_bytes(data: strdup(text), count: text.utf8.count)
  }
}

/// What matching a path came to.
enum RouteMatch {
  case none
  case route(Route)
  /// The path is known, the method is not.
  case otherMethod(known: MethodSet)
  /// The path lies under the mount of a router that is out.
  case out(Plugin)
}

/// Some of a route table's methods, by their numbers in it.
struct MethodSet: OptionSet {
  var rawValue: UInt64
}

/// Methods and patterns of every router, as a tree of path segments. Constant once made; any thread matches.
final class RouteTable: @unchecked Sendable {
  let routes: [Route]
  private let root: Node
  /// Of plugins that have routes, or may have had: the longest first.
  private let mounts: [Mount]
  /// Those of them whose routes are not known.
  private let unknownMounts: [Mount]
  /// Each once, as they were registered.
  private let methods: [String]

  /// Of the routes whose handlers read bodies as they arrive: the highest limit; -1 if there is no such route.
  let longestStreamedBody: Int

  static let maxMethods = MethodSet.RawValue.bitWidth

  /// Two plugins, or one, with the same route.
  struct Conflict: Error {
    var plugin: Plugin
    var message: String
  }

  private struct Mount {
    let plugin: Plugin
    /// As in `PluginConfiguration.mount`.
    let path: bh_bytes

    /// Nil if the plugin has none, or none that paths could be missing under.
    init?(of plugin: Plugin) {
      // A library that did not load may have been a router: nobody can tell.
      guard let mount = plugin.configuration.mount,
        plugin.library == nil || plugin.capabilities.contains(.routes)
      else { return nil }
      self.plugin = plugin
      path = Permanent.bytes(mount)
    }

    func covers(_ path: bh_bytes) -> Bool {
      path.count >= self.path.count && memcmp(path.data, self.path.data, self.path.count) == 0
        && (path.count == self.path.count
          || path.data[self.path.count] == CChar(bitPattern: UInt8(ascii: "/")))
    }
  }

  private final class Node {
    var segment = bh_bytes()
    var literals: [Node] = []
    var parameter: Node?
    var routes: [Route] = []
    var methods: MethodSet = []

    func add(_ segment: Substring) -> Node {
      if segment.hasPrefix("{") {
        if let parameter { return parameter }
        let made = Node()
        parameter = made
        return made
      }
      let bytes = Permanent.bytes(String(segment))
      if let found = literals.first(where: { $0.segment.equals(bytes) }) { return found }
      let made = Node()
      made.segment = bytes
      literals.append(made)
      return made
    }
  }

  /// - Throws: the first conflict: the later of the two plugins in the pipeline is to blame.
  init(_ plugins: [Plugin]) throws(Conflict) {
    root = Node()
    var routes: [Route] = []
    var methods: [String] = []
    for plugin in plugins {
      for registered in plugin.routes {
        let route = Route(index: routes.count, registered: registered, plugin: plugin)
        var node = root
        for segment in route.pattern.split(separator: "/") { node = node.add(segment) }
        if let taken = node.routes.first(where: { $0.method == route.method }) {
          throw Conflict(
            plugin: plugin,
            message: "\(route.method) \(route.pattern) is a route of plugin \(taken.plugin.name) already")
        }
        if !methods.contains(route.method) { methods.append(route.method) }
        guard let number = methods.firstIndex(of: route.method), number < RouteTable.maxMethods else {
          throw Conflict(
            plugin: plugin, message: "\(route.method) is one method more than the host can tell apart")
        }
        node.methods.insert(MethodSet(rawValue: 1 << UInt64(number)))
        node.routes.append(route)
        routes.append(route)
      }
    }
    self.routes = routes
    longestStreamedBody = routes.compactMap(\.streamedBodyLimit).max() ?? -1
    self.methods = methods
    mounts = plugins.compactMap { Mount(of: $0) }.sorted { $0.path.count > $1.path.count }
    unknownMounts = mounts.filter { [.failed, .off].contains($0.plugin.state) }
  }

  /// The value of the Allow field (RFC 9110 section 10.2.1) of a path that has these methods.
  func allow(_ known: MethodSet) -> String {
    var names = methods.indices.filter { known.rawValue & 1 << UInt64($0) != 0 }.map { methods[$0] }
    if names.contains("GET") { names.append("HEAD") }
    return (names + ["OPTIONS"]).joined(separator: ", ")
  }

  /// Finds the route of a normalised path. Literal segments win over parameters, of the patterns that have the method; a
  /// trailing slash changes nothing.
  ///
  /// - Parameter parameters: gets the parameters' values, as they stand in the path, in the pattern's order.
  func match(
    method: bh_method, name: bh_bytes, path: bh_bytes, parameters: UnsafeMutablePointer<bh_bytes>
  ) -> RouteMatch {
    let wanted = method == bh_method(BH_METHOD_HEAD) ? bh_bytes("GET") : name
    var rest = path
    while rest.count > 1, rest.data[rest.count - 1] == CChar(bitPattern: UInt8(ascii: "/")) {
      rest.count -= 1
    }
    var known: MethodSet = []
    if let route = find(wanted, root, rest, parameters, 0, &known) {
      if !unknownMounts.isEmpty, let owner = unknownRouter(over: path, instead: route) { return .out(owner) }
      return .route(route)
    }
    if let plugin = routerOut(over: path, isKnown: !known.isEmpty) { return .out(plugin) }
    return known.isEmpty ? .none : .otherMethod(known: known)
  }

  /// `rest` is "" or begins with '/'. Without a result `known` has the methods of every pattern that the path fits.
  private func find(
    _ method: bh_bytes, _ node: Node, _ rest: bh_bytes, _ parameters: UnsafeMutablePointer<bh_bytes>,
    _ depth: Int, _ known: inout MethodSet
  ) -> Route? {
    guard rest.count > 1 else {
      for route in node.routes where route.method.withBytes({ $0.equals(method) }) { return route }
      known.formUnion(node.methods)
      return nil
    }
    let after = rest.dropFirst(1)
    let length =
      memchr(after.data, 0x2f, after.count).map { UnsafeRawPointer($0) - UnsafeRawPointer(after.data!) }
      ?? after.count
    let segment = bh_bytes(data: after.data, count: length)
    let tail = after.dropFirst(length)
    for child in node.literals where child.segment.equals(segment) {
      if let found = find(method, child, tail, parameters, depth, &known) { return found }
    }
    guard let child = node.parameter, length > 0, depth < Exchange.maxParameters else { return nil }
    parameters[depth] = segment
    return find(method, child, tail, parameters, depth + 1, &known)
  }

  /// The router that is out, and under whose mount the path lies, the longest first: what is not known there may yet be a
  /// route of its. Of a path that is known by another method the longest mount alone decides.
  private func routerOut(over path: bh_bytes, isKnown: Bool) -> Plugin? {
    for mount in mounts where mount.covers(path) {
      let state = mount.plugin.state
      if state != .active, state != .probing { return mount.plugin }
      if isKnown { return nil }
    }
    return nil
  }

  /// The router whose path this may be, although a route was found: it is mounted further in than the route's plugin, and
  /// its routes are not known. A route without parameters is believed all the same, as it would win over any of them.
  private func unknownRouter(over path: bh_bytes, instead route: Route) -> Plugin? {
    guard !route.parameterNames.isEmpty, let mount = unknownMounts.first(where: { $0.covers(path) }) else {
      return nil
    }
    return route.plugin.configuration.mount?.utf8.count ?? 0 < mount.path.count ? mount.plugin : nil
  }
}

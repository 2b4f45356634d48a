import Glibc
import Synchronization

/// The host's table as checks hand it to a plugin: each function looks whether it may be called so, here and now, notes
/// what must not be, and passes the call on to the host's own.
enum CheckedHost {
  /// What a plugin has done that it may not.
  struct Breach: Sendable, Equatable {
    /// Of the rule.
    var rule: String
    var message: String
  }

  private struct State {
    /// Which thread each exchange is with.
    var live: [UInt: pthread_t] = [:]
    var starting: pthread_t?
    var breaches: [Breach] = []
    var errors = 0
    var refusesRoutes = false
    var hasExtensions = true
  }

  private static let state = Mutex(State())

  nonisolated(unsafe) static let table: UnsafePointer<bh_host> = {
    let memory = UnsafeMutablePointer<bh_host>.allocate(capacity: 1)
    memory.initialize(to: HostTable.shared.pointee)
    wrapServices(&memory.pointee)
    wrapResponse(&memory.pointee)
    wrapValues(&memory.pointee)
    return UnsafePointer(memory)
  }()

  private static var host: bh_host { HostTable.shared.pointee }

  // MARK: What checks ask and tell

  static func begin(_ exchange: OpaquePointer) {
    let key = UInt(bitPattern: exchange)
    state.withLock { $0.live[key] = pthread_self() }
  }

  static func end(_ exchange: OpaquePointer) {
    let key = UInt(bitPattern: exchange)
    state.withLock { $0.live[key] = nil }
  }

  static func beginStart() { state.withLock { $0.starting = pthread_self() } }
  static func endStart() { state.withLock { $0.starting = nil } }
  /// From now on the host refuses each route, or has no extension.
  static func behave(refusesRoutes: Bool = false, hasExtensions: Bool = true) {
    state.withLock {
      $0.refusesRoutes = refusesRoutes
      $0.hasExtensions = hasExtensions
    }
  }
  /// How often a reason was stated.
  static var errorCount: Int { state.withLock { $0.errors } }
  static func breaches(of rule: String) -> [Breach] {
    state.withLock { $0.breaches.filter { $0.rule == rule } }
  }

  private static func note(_ rule: String, _ message: String) {
    state.withLock { state in
      let breach = Breach(rule: rule, message: message)
      if state.breaches.count < 100, !state.breaches.contains(breach) { state.breaches.append(breach) }
    }
  }

  /// Whether this call may use the exchange; null is nobody's.
  private static func isLive(_ exchange: OpaquePointer?, _ function: String) -> Bool {
    guard let exchange else {
      note("exchange-lifetime", "\(function) was called with a null exchange")
      return false
    }
    let key = UInt(bitPattern: exchange)
    switch state.withLock({ $0.live[key] }) {
    case nil:
      note("exchange-lifetime", "\(function) was called with an exchange whose call had returned")
      return false
    case let owner? where pthread_equal(owner, pthread_self()) == 0:
      note("exchange-lifetime", "\(function) was called on another thread than the exchange was handed to")
      return false
    default: return true
    }
  }

  // MARK: The functions

  private static func addRoute(_ route: UnsafePointer<bh_route>?, _ add: () -> bh_status) -> bh_status {
    let (starting, refuses) = state.withLock { ($0.starting, $0.refusesRoutes) }
    guard let starting, pthread_equal(starting, pthread_self()) != 0 else {
      note("routes", "add_route was called outside of start, or on another thread")
      return bh_status(BH_INVALID)
    }
    if refuses { return bh_status(BH_INVALID) }
    let status = add()
    if status != bh_status(BH_OK) {
      let method = route?.pointee.method.map { String(cString: $0) } ?? "null"
      let pattern = route?.pointee.pattern.map { String(cString: $0) } ?? "null"
      note("routes", "the route \(method) \(pattern.quotedForMessage) is malformed, or the plugin no router")
    }
    return status
  }

  nonisolated(unsafe) private static let requestBody: UnsafePointer<bh_request_body_host> = {
    let memory = UnsafeMutablePointer<bh_request_body_host>.allocate(capacity: 1)
    memory.initialize(to: HostExtensions.requestBody.pointee)
    memory.pointee.add_route = { context, route, limit in
      CheckedHost.addRoute(route) { HostExtensions.requestBody.pointee.add_route(context, route, limit) }
    }
    memory.pointee.read = { exchange, buffer, capacity, count in
      guard CheckedHost.isLive(exchange, "read") else { return bh_status(BH_INVALID) }
      return HostExtensions.requestBody.pointee.read(exchange, buffer, capacity, count)
    }
    memory.pointee.error = { exchange in
      guard CheckedHost.isLive(exchange, "error") else { return bh_body_error(BH_BODY_NO_ERROR) }
      return HostExtensions.requestBody.pointee.error(exchange)
    }
    return UnsafePointer(memory)
  }()

  private static func wrapServices(_ table: inout bh_host) {
    table.extension = { context, id in
      guard CheckedHost.state.withLock({ $0.hasExtensions }) else { return nil }
      if let id, String(cString: id) == BH_REQUEST_BODY { return UnsafeRawPointer(CheckedHost.requestBody) }
      return CheckedHost.host.extension(context, id)
    }
    table.add_route = { context, route in
      CheckedHost.addRoute(route) { CheckedHost.host.add_route(context, route) }
    }
    table.set_error = { context, exchange, message in
      if exchange != nil, !CheckedHost.isLive(exchange, "set_error") { return }
      if !message.isEmpty { CheckedHost.state.withLock { $0.errors += 1 } }
      CheckedHost.host.set_error(context, exchange, message)
    }
    table.log = { context, exchange, level, message in
      if exchange != nil, !CheckedHost.isLive(exchange, "log") { return }
      if level > UInt32(BH_LOG_DEBUG) { CheckedHost.note("log", "log was called with the level \(level)") }
      if Plugin.of(context) == nil { CheckedHost.note("log", "log was called with a null context") }
      _ = message.count
    }
  }

  private static func wrapResponse(_ table: inout bh_host) {
    table.set_status = { exchange, status in
      guard CheckedHost.isLive(exchange, "set_status") else { return bh_status(BH_INVALID) }
      if !(200...599).contains(status) { CheckedHost.note("answers", "set_status was called with \(status)") }
      return CheckedHost.host.set_status(exchange, status)
    }
    table.status = { exchange in
      CheckedHost.isLive(exchange, "status") ? CheckedHost.host.status(exchange) : 0
    }
    table.set_header = { exchange, name, value in
      guard CheckedHost.isLive(exchange, "set_header") else { return bh_status(BH_INVALID) }
      return CheckedHost.host.set_header(exchange, name, value)
    }
    table.add_header = { exchange, name, value in
      guard CheckedHost.isLive(exchange, "add_header") else { return bh_status(BH_INVALID) }
      return CheckedHost.host.add_header(exchange, name, value)
    }
    table.remove_header = { exchange, name in
      if CheckedHost.isLive(exchange, "remove_header") { CheckedHost.host.remove_header(exchange, name) }
    }
    table.header = { exchange, name, value in
      CheckedHost.isLive(exchange, "header") && CheckedHost.host.header(exchange, name, value)
    }
    table.set_body = { exchange, body in
      if CheckedHost.isLive(exchange, "set_body") { CheckedHost.host.set_body(exchange, body) }
    }
    table.body = { exchange in
      CheckedHost.isLive(exchange, "body") ? CheckedHost.host.body(exchange) : bh_bytes()
    }
    table.set_problem = { exchange, problem in
      guard CheckedHost.isLive(exchange, "set_problem") else { return bh_status(BH_INVALID) }
      if let problem { CheckedHost.check(problem.pointee) }
      return CheckedHost.host.set_problem(exchange, problem)
    }
    table.decide_cors = { exchange in
      guard CheckedHost.isLive(exchange, "decide_cors") else { return bh_status(BH_INVALID) }
      let status = CheckedHost.host.decide_cors(exchange)
      if status != bh_status(BH_OK) {
        CheckedHost.note("cors", "decide_cors was called without the capability BH_DECIDES_CORS")
      }
      return status
    }
  }

  private static func check(_ problem: bh_problem) {
    if !(400...599).contains(problem.status) {
      note("problems", "set_problem was called with the status \(problem.status)")
    }
    let code = problem.code.string
    if !PluginSection.isKebabCase(code) {
      note("problems", "a problem's code is \(code.quotedForMessage), which is not in kebab-case")
    }
    let members = Array("{".utf8) + Array(problem.members.buffer) + Array("}".utf8)
    if JSONValue(parsing: members) == nil {
      note(
        "problems",
        "a problem's members are \(problem.members.string.quotedForMessage), which are no JSON members")
    }
  }

  private static func wrapValues(_ table: inout bh_host) {
    table.set_identity = { exchange, identity in
      guard CheckedHost.isLive(exchange, "set_identity") else { return bh_status(BH_INVALID) }
      if Exchange.of(exchange)?.current?.capabilities.contains(.authenticates) != true {
        CheckedHost.note("identity", "set_identity was called without the capability BH_AUTHENTICATES")
      }
      if identity?.pointee.subject.isEmpty != false {
        CheckedHost.note("identity", "set_identity was called with an empty subject")
      }
      return CheckedHost.host.set_identity(exchange, identity)
    }
    table.identity = { exchange in
      CheckedHost.isLive(exchange, "identity") ? CheckedHost.host.identity(exchange) : nil
    }
    table.set_attribute = { exchange, name, value in
      guard CheckedHost.isLive(exchange, "set_attribute") else { return bh_status(BH_INVALID) }
      return CheckedHost.host.set_attribute(exchange, name, value)
    }
    table.attribute = { exchange, name, value in
      CheckedHost.isLive(exchange, "attribute") && CheckedHost.host.attribute(exchange, name, value)
    }
  }
}

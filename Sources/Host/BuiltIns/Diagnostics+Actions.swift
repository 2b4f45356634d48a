import Glibc
import HTTPCodec

/// What an operator may do from the page: `POST /__diag/quarantine/NAME`, `/__diag/release/NAME` and
/// `/__diag/bypass/MODE`, as the commands of these names.
///
/// Only with the admin token, whatever `diagnostics` says: on a machine with several users, or with a browser, to come
/// from the loopback proves nothing. A browser sends neither the token nor `X-Bulkhead-Action` by itself, so no page of
/// another site can have it act; what says that it comes from another site is refused all the same.
extension Diagnostics {
  enum Action: Equatable {
    case quarantine(String)
    case release(String)
    case bypass(Bypass)

    /// As it stands on the control socket.
    var line: String {
      switch self {
      case .quarantine(let name): "quarantine \(name)"
      case .release(let name): "release \(name)"
      case .bypass(let mode): "bypass \(mode.rawValue)"
      }
    }
  }

  private static let verbs = ["quarantine", "release", "bypass"]

  /// True if the path is an action's: the response is then made.
  func act(_ x: Exchange, in pipeline: Pipeline) -> Bool {
    let words = x.request.pointee.path.string.split(separator: "/").dropFirst().map(String.init)
    guard words.count == 2, Diagnostics.verbs.contains(words[0]) else { return false }
    switch x.request.pointee.method {
    case bh_method(BH_METHOD_POST):
      x.addHeader(borrowing: bh_bytes("Cache-Control"), bh_bytes("no-store"))
      if isAllowed(x), mayAct(x) { perform(words[0], words[1], x) }
    default:
      worker.builtIns.answerOtherMethod(x, in: pipeline, allow: "POST, OPTIONS") { isAllowed(x) }
    }
    return true
  }

  private func mayAct(_ x: Exchange) -> Bool {
    guard let token = worker.configuration.host.adminToken else {
      x.respond(
        HostProblem(
          status: 403, code: "actions-disabled",
          detail: "There is no 'admin-token' in [host]: use the bulkhead command on the machine itself."))
      return false
    }
    guard isAuthorized(x, token) else {
      Log.shared.write(
        .warning, "an action was refused: it had no admin token, or a wrong one", request: x.logged,
        fields: [("client", x.request.pointee.client_address.string)])
      x.respond(
        HostProblem(
          status: 401, code: "actions-unauthorized", detail: "Actions need the admin token.",
          challenge: "Bearer realm=\"bulkhead-diagnostics\""))
      return false
    }
    guard field("X-Bulkhead-Action", of: x) != nil, isOfThisSite(x) else {
      x.respond(
        HostProblem(
          status: 403, code: "cross-site-action",
          detail: "Actions need the field X-Bulkhead-Action, and come from no other site."))
      return false
    }
    return true
  }

  /// As far as the client says: browsers do, by Fetch Metadata and by Origin.
  private func isOfThisSite(_ x: Exchange) -> Bool {
    if let site = field("Sec-Fetch-Site", of: x), !site.equals("same-origin"), !site.equals("none") {
      return false
    }
    guard let origin = x.origin, !origin.isEmpty else { return true }
    let text = origin.string
    let authority = x.request.pointee.authority.string
    return text == "http://\(authority)" || text == "https://\(authority)"
  }

  private func field(_ name: StaticString, of x: Exchange) -> bh_bytes? {
    for index in 0..<x.request.pointee.field_count
    where x.fields[index].name.equalsIgnoringCase(bh_bytes(name)) {
      return x.fields[index].value
    }
    return nil
  }

  /// Asks the supervisor, which tells every generation: 202, and the effect is seen when it is there.
  private func perform(_ verb: String, _ argument: String, _ x: Exchange) {
    guard let action = action(verb, argument) else {
      return x.respond(
        HostProblem(
          status: 404, code: "no-such-target",
          detail: verb == "bypass"
            ? "The mode is none of all, heavy and off." : "This generation has no such plugin."))
    }
    if case .quarantine(let name) = action, isFailed(name) {
      return refuseFailed(x, "The plugin has failed, and is out already.")
    }
    if case .release(let name) = action, isFailed(name), !canStartAgain(name) {
      return refuseFailed(x, "Only another library, or another section, can make this plugin start.")
    }
    Log.shared.write(
      .warning, "\(action.line), from the diagnostics page", request: x.logged,
      fields: [("client", x.request.pointee.client_address.string)])
    worker.report("operate \(action.line)")
    var json = JSONWriter()
    json.object { $0.field("asked", action.line) }
    x.respond(202, json)
  }

  private func action(_ verb: String, _ argument: String) -> Action? {
    if verb == "bypass" { return Bypass(rawValue: argument).map { .bypass($0) } }
    guard worker.plugins.contains(where: { $0.name == argument }) else { return nil }
    return verb == "release" ? .release(argument) : .quarantine(argument)
  }

  private func isFailed(_ name: String) -> Bool {
    worker.plugins.contains { $0.name == name && $0.state == .failed }
  }

  /// False if only another library or section could make it start.
  private func canStartAgain(_ name: String) -> Bool {
    let reason = worker.plugins.first { $0.name == name }?.quarantine.withLock { $0.reason }
    return reason?.isCurable == true
  }

  private func refuseFailed(_ x: Exchange, _ detail: StaticString) {
    x.respond(HostProblem(status: 409, code: "plugin-failed", detail: detail))
  }
}

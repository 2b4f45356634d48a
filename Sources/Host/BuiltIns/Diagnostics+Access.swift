import Glibc

/// Who may see, and who may act.
extension Diagnostics {
  func isAllowed(_ x: Exchange) -> Bool {
    switch worker.configuration.host.diagnostics {
    case .public: return true
    case .off:
      x.respond(.notFound)
      return false
    case .loopback:
      if ClientAddress.isLoopback(x, peer: x.connection?.peer.ip ?? bh_bytes()) { return true }
      x.respond(
        HostProblem(
          status: 403, code: "diagnostics-forbidden", detail: "Diagnostics are shown to this machine only."))
      return false
    case .token(let token):
      if isAuthorized(x, token) { return true }
      x.respond(
        HostProblem(
          status: 401, code: "diagnostics-unauthorized", detail: "Diagnostics need the admin token.",
          challenge: "Bearer realm=\"bulkhead-diagnostics\""))
      return false
    }
  }

  /// Compares in time that does not depend on where the texts differ. Two Authorization fields are none: a proxy may have
  /// judged by the other one.
  func isAuthorized(_ x: Exchange, _ token: String) -> Bool {
    guard let value = x.value(.authorization), value.count > 7, strncasecmp(value.data, "Bearer ", 7) == 0,
      (0..<x.request.pointee.field_count).filter({
        x.fields[$0].name.equalsIgnoringCase(bh_bytes("Authorization"))
      }).count == 1
    else {
      return false
    }
    let given = value.dropFirst(7).buffer
    let wanted = Array(token.utf8)
    var difference = given.count ^ wanted.count
    for index in 0..<wanted.count {
      difference |= Int((index < given.count ? given[index] : 0) ^ wanted[index])
    }
    return difference == 0
  }
}

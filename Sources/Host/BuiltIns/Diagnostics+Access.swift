import Glibc

/// Who may see, and who may act.
extension Diagnostics {
  /// Whether the client may see the diagnostics. If not, the response is made.
  func isAllowed(_ x: Exchange) -> Bool {
    guard let refusal = refusal(x) else { return true }
    x.respond(refusal)
    return false
  }

  /// Whether the client may see the diagnostics, where it is answered either way.
  func isVisible(_ x: Exchange) -> Bool { refusal(x) == nil }

  /// What a client is answered that may not see the diagnostics; nil if it may.
  private func refusal(_ x: Exchange) -> HostProblem? {
    switch worker.configuration.host.diagnostics {
    case .public: return nil
    case .off: return .notFound
    case .loopback:
      if ClientAddress.isLoopback(x, peer: x.connection?.peer.ip ?? bh_bytes()) { return nil }
      return HostProblem(
        status: 403, code: "diagnostics-forbidden", detail: "Diagnostics are shown to this machine only.")
    case .token(let token):
      if isAuthorized(x, token) { return nil }
      return HostProblem(
        status: 401, code: "diagnostics-unauthorized", detail: "Diagnostics need the admin token.",
        challenge: "Bearer realm=\"bulkhead-diagnostics\"")
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

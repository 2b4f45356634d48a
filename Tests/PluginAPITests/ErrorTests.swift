import PluginAPI
import PluginTesting
import Testing

private struct Broken: Error, CustomStringConvertible {
  var description: String { "the fuse is blown" }
}

@Suite("Errors at the boundary")
struct ErrorTests {
  @Test("a problem thrown in the request phase is the response, and no handler runs")
  func problemInRequestPhase() throws {
    let actions = ProbeActions(request: { _ in
      throw Problem(
        status: 402, code: "insufficient-credits", title: "Too Poor", detail: "Needs 5 \"credits\".",
        members: #""required":5"#, headers: [("X-Price", "5")])
    })
    try ProbeActions.$current.withValue(actions) {
      let answer = try InProcessHost(.of(Probe<NoSettings>.self)).send("GET", "/x")
      #expect(answer.status == 402)
      #expect(!answer.reachedHandler)
      #expect(answer.header("content-type") == "application/problem+json")
      #expect(answer.header("X-Price") == "5")
      #expect(answer.text.contains(#""code":"insufficient-credits""#))
      #expect(answer.text.contains(#""title":"Too Poor""#))
      #expect(answer.text.contains(#""detail":"Needs 5 \"credits\".""#))
      #expect(answer.text.contains(#""required":5"#))
    }
  }

  @Test("a problem thrown in the response phase replaces the response")
  func problemInResponsePhase() throws {
    let actions = ProbeActions(response: { _ in throw Problem.conflict("late") })
    try ProbeActions.$current.withValue(actions) {
      let answer = try InProcessHost(.of(Probe<NoSettings>.self)).send("GET", "/x")
      #expect(answer.status == 409)
      #expect(answer.reachedHandler)
    }
  }

  @Test("a problem thrown by a handler is its response")
  func problemInHandler() throws {
    let actions = ProbeActions(routes: { $0.get("x", access: .public) { _ in throw Problem.notFound() } })
    try ProbeActions.$current.withValue(actions) {
      let answer = try InProcessHost(.of(Probe<NoSettings>.self), mount: "/p").send("GET", "/p/x")
      #expect(answer.status == 404)
      #expect(answer.text.contains(#""code":"not-found""#))
      #expect(answer.reachedHandler)
    }
  }

  @Test("a problem whose status is no refusal is a fault")
  func problemWithWrongStatus() throws {
    let actions = ProbeActions(request: { _ in throw Problem(status: 200, code: "fine") })
    try ProbeActions.$current.withValue(actions) {
      let host = try InProcessHost(.of(Probe<NoSettings>.self))
      #expect(throws: PluginFault(phase: .request, message: "the host refuses the problem 200 'fine'")) {
        try host.send("GET", "/x")
      }
    }
  }

  @Test(
    "any other error is a fault that carries the error's description",
    arguments: [
      PluginFault.Phase.request, .handler, .response,
    ])
  func otherErrors(phase: PluginFault.Phase) throws {
    var actions = ProbeActions(routes: { routes in
      routes.get("x", access: .public) { _ in
        if phase == .handler { throw Broken() }
        return .noContent()
      }
    })
    if phase == .request { actions.request = { _ in throw Broken() } }
    if phase == .response { actions.response = { _ in throw Broken() } }
    try ProbeActions.$current.withValue(actions) {
      let host = try InProcessHost(.of(Probe<NoSettings>.self), mount: "/p")
      #expect(throws: PluginFault(phase: phase, message: "the fuse is blown")) {
        try host.send("GET", "/p/x")
      }
    }
  }

  @Test(
    "a line break in a header field's value is an error, and not a second field",
    arguments: [
      "a\r\nX-Evil: 1", "a\nb", "a\rb", "a\0b",
    ])
  func headerInjection(value: String) throws {
    let actions = ProbeActions(request: { request in
      #expect(throws: HostRefusal.header(name: "X-A")) { try request.response.setHeader("X-A", value) }
      #expect(throws: HostRefusal.header(name: "X-A")) { try request.response.addHeader("X-A", value) }
      return Response(headers: [("X-B", value)])
    })
    try ProbeActions.$current.withValue(actions) {
      let host = try InProcessHost(.of(Probe<NoSettings>.self))
      #expect(throws: PluginFault.self) { try host.send("GET", "/x") }
    }
  }

  @Test(
    "the host's own fields cannot be set",
    arguments: [
      "Content-Length", "transfer-encoding", "Connection", "Date", "X-Request-Id", "", "a b",
    ])
  func hostFields(name: String) throws {
    let actions = ProbeActions(request: { request in
      #expect(throws: HostRefusal.header(name: name)) { try request.response.setHeader(name, "1") }
      return nil
    })
    try ProbeActions.$current.withValue(actions) {
      let answer = try InProcessHost(.of(Probe<NoSettings>.self)).send("GET", "/x")
      #expect(answer.status == 200)
    }
  }

  @Test("a status outside 200...599 is refused", arguments: [-1, 0, 100, 199, 600, Int.max])
  func statusRange(status: Int) throws {
    let actions = ProbeActions(request: { _ in Response(status: status) })
    try ProbeActions.$current.withValue(actions) {
      let host = try InProcessHost(.of(Probe<NoSettings>.self))
      #expect(throws: PluginFault(phase: .request, message: HostRefusal.status(status).description)) {
        try host.send("GET", "/x")
      }
    }
  }
}

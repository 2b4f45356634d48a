import PluginAPI
import PluginTesting
import Testing

/// What the handler of one route answers, after the given phases.
private func answer(
  _ response: @escaping @Sendable () -> Response,
  request: @escaping @Sendable (borrowing Request) throws -> Response? = { _ in nil },
  edits: @escaping @Sendable (borrowing Request) throws -> Void = { _ in }
) throws -> Answer {
  let actions = ProbeActions(
    request: request, response: edits, routes: { $0.get("", access: .public) { _ in response() } })
  return try ProbeActions.$current.withValue(actions) {
    try InProcessHost(.of(Probe<NoSettings>.self), mount: "/p").send("GET", "/p")
  }
}

@Suite("Responses")
struct ResponseTests {
  @Test("text, JSON and an empty response have their status, type and body")
  func shapes() throws {
    let text = try answer { .text("grüße") }
    #expect(text.status == 200)
    #expect(text.header("Content-Type") == "text/plain; charset=utf-8")
    #expect(text.text == "grüße")
    let json = try answer { .json("{}", status: 201) }
    #expect(json.status == 201)
    #expect(json.header("Content-Type") == "application/json")
    #expect(try answer { .json([0x5B, 0x5D]) }.text == "[]")
    let empty = try answer { .noContent() }
    #expect(empty.status == 204)
    #expect(empty.body == [])
    #expect(empty.headers.isEmpty)
  }

  @Test("a response from the request phase skips the handler, and not the response phase")
  func early() throws {
    let answer = try answer(
      { .text("handler") }, request: { _ in Response(status: 418, body: .bytes([1])) },
      edits: { try $0.response.setHeader("X-Seen", "\($0.response.status)") })
    #expect(answer.status == 418)
    #expect(answer.body == [1])
    #expect(!answer.reachedHandler)
    #expect(answer.header("X-Seen") == "418")
  }

  @Test("fields set in the request phase stay on the handler's response")
  func earlyFields() throws {
    let answer = try answer(
      { Response(headers: [("X-B", "handler"), ("Vary", "Accept"), ("x-b", "again")]) },
      request: { request in
        try request.response.setHeader("X-A", "1")
        try request.response.setHeader("X-B", "early")
        try request.response.addHeader("vary", "Origin")
        return nil
      })
    #expect(answer.header("X-A") == "1")
    #expect(answer.headerValues("X-B") == ["handler", "again"])
    #expect(answer.headerValues("Vary") == ["Origin", "Accept"])
  }

  @Test("the response phase reads and changes everything")
  func edits() throws {
    let answer = try answer(
      { Response(status: 201, headers: [("X-A", "1"), ("X-C", "3")], body: .text("body")) },
      edits: { request in
        #expect(request.response.status == 201)
        #expect(request.response.header("x-a") == "1")
        #expect(request.response.header("x-z") == nil)
        #expect(request.response.body == Array("body".utf8))
        #expect(request.response.withBody { $0.count } == 4)
        try request.response.setStatus(202)
        request.response.removeHeader("X-C")
        try request.response.addHeader("X-A", "2")
        request.response.setBody("other")
      })
    #expect(answer.status == 202)
    #expect(answer.headerValues("X-A") == ["1", "2"])
    #expect(answer.header("X-C") == nil)
    #expect(answer.text == "other")
  }

  @Test("CORS is decided only by a plugin that says so")
  func cors() throws {
    let answer = try answer(
      { .text("") },
      edits: { request in
        #expect(throws: HostRefusal.decideCORS) { try request.response.decideCORS() }
      })
    #expect(!answer.decidedCORS)
  }

  @Test("Retry-After is in whole seconds, rounded up")
  func retryAfter() {
    #expect(Problem.tooManyRequests(retryAfter: .milliseconds(1200)).headers.first?.value == "2")
    #expect(Problem.unavailable(retryAfter: .seconds(3)).headers.first?.value == "3")
    #expect(Problem.unavailable().headers.isEmpty)
  }
}

import Testing

@testable import bulkhead

private let act = ActorPlugin.act

@Suite("Pipeline: the response")
struct ResponseTests {
  private static let cors = """
    [cors]
    origins = https://own.example
    expose = X-Request-Id


    """
  private static let app =
    ActorPlugin.section("mid", "Actor", "on-failure = closed", "mount = /mid")
    + ActorPlugin.section("app", "ActorRouter", "mount = /app")

  @Test("a plugin that fills the table of fields leaves the host room for its own")
  func manyFields() throws {
    let host = try TestHost(ResponseTests.cors + ResponseTests.app)
    let answer = try host.send(
      "GET", "/app/open", [("Origin", "https://own.example"), act("app", "route", "fields 100")])
    #expect(answer.status == 200)
    #expect(answer.all("Access-Control-Allow-Origin") == ["https://own.example"])
    let problem = try host.send(
      "GET", "/app/private", [("Origin", "https://own.example"), act("mid", "request", "fields 100")])
    #expect(problem.status == 401)
    #expect(problem["WWW-Authenticate"] != nil)
    #expect(problem["Content-Type"] == "application/problem+json")
    #expect(problem.all("Access-Control-Allow-Origin") == ["https://own.example"])
  }

  @Test("the trace context is the host's to say, once")
  func traceparent() throws {
    let host = try TestHost(ResponseTests.app)
    let theirs = "00-11111111111111111111111111111111-2222222222222222-01"
    let answer = try host.send(
      "GET", "/app/open",
      [act("app", "route", "set traceparent \(theirs)"), act("app", "route", "add Traceparent \(theirs)")])
    #expect(answer.status == 200)
    #expect(answer.all("traceparent").count == 1)
    #expect(answer["traceparent"] != theirs)
  }

  @Test(
    "205 has no body, and says so: streamed, or set before the status was",
    arguments: ["body abc", "stream 2 10"])
  func resetContent(_ body: String) throws {
    let host = try TestHost(ResponseTests.app)
    let client = try host.connect()
    client.send(
      TestClient.request(
        "GET", "/app/open", [act("app", "route", body), act("app", "route", "status 205")])
        + TestClient.request("GET", "/health"))
    let answer = try client.receive()
    #expect(answer.status == 205)
    #expect(answer.all("Content-Length") == ["0"])
    #expect(answer["Transfer-Encoding"] == nil)
    #expect(try client.receive().status == 200)
  }

  @Test("Vary is one list, each name in it once")
  func vary() throws {
    let host = try TestHost(ResponseTests.cors + ResponseTests.app)
    for (given, merged) in [
      ("Accept-Encoding", "Accept-Encoding, Origin"), ("origin, Cookie", "origin, Cookie"), ("*", "*"),
    ] {
      let answer = try host.send(
        "GET", "/app/open", [("Origin", "https://own.example"), act("app", "route", "set Vary \(given)")])
      #expect(answer.all("Vary") == [merged])
    }
  }

  @Test("CORS fields are there once, whoever the origin is, although a plugin set its own")
  func ownCORSFields() throws {
    let host = try TestHost(ResponseTests.cors + ResponseTests.app)
    let own = act("app", "route", "set Access-Control-Allow-Origin *")
    let allowed = try host.send("GET", "/app/open", [("Origin", "https://own.example"), own])
    #expect(allowed.all("Access-Control-Allow-Origin") == ["https://own.example"])
    // It has not declared that it decides CORS, so the policy of the file holds.
    let foreign = try host.send("GET", "/app/open", [("Origin", "https://other.example"), own])
    #expect(foreign.all("Access-Control-Allow-Origin") == [])
  }

  @Test("a plugin that decides CORS keeps the built-in policy out")
  func decided() throws {
    let host = try TestHost(
      ResponseTests.cors + ActorPlugin.section("cors", "ActorCORS", "applies-to = all", "on-failure = open")
        + ResponseTests.app)
    let fields = [
      ("Origin", "https://own.example"), act("cors", "request", "cors"),
      act("cors", "request", "set Access-Control-Allow-Origin https://mine.example"),
    ]
    #expect(
      try host.send("GET", "/app/open", fields).all("Access-Control-Allow-Origin") == ["https://mine.example"]
    )
    // It faults: the built-in policy is there again, and what it had begun is gone.
    let faulted = try host.send("GET", "/app/open", fields + [act("cors", "request", "fault x")])
    #expect(faulted.all("Access-Control-Allow-Origin") == ["https://own.example"])
  }

  @Test("a problem in place of a response takes over nothing that described the body before")
  func staleFields() throws {
    let host = try TestHost(ResponseTests.app)
    let answer = try host.send(
      "GET", "/app/open",
      [
        act("app", "route", "set Content-Encoding gzip"),
        act("app", "route", "set Cache-Control max-age=3600"),
        act("app", "route", "set ETag \"1\""), act("app", "route", "set X-Kept yes"),
        act("mid", "response", "fault x"),
      ])
    #expect(answer.status == 503)
    #expect(answer["Content-Encoding"] == nil)
    #expect(answer["Cache-Control"] == "no-store", "the host's own")
    #expect(answer["ETag"] == nil)
    #expect(answer["X-Kept"] == "yes")
  }

  @Test("a stream whose response a later phase replaces is let go, and the replacement is sent")
  func replacedStream() throws {
    let library = try ActorPlugin.copy(of: "ActorRouter")
    let host = try TestHost(
      ActorPlugin.section("mid", "Actor", "mount = /mid")
        + ActorPlugin.section("app", library, "mount = /app"))
    let released = try ActorPlugin.counter("actor_released", of: library)
    let answer = try host.send(
      "GET", "/app/open", [act("app", "route", "stream 3 10"), act("mid", "response", "fault x")])
    #expect(answer.status == 503)
    #expect(!answer.isChunked)
    #expect(try answer.member("code") == "plugin-fault")
    try wait(for: "the stream to be released") {
      try ActorPlugin.counter("actor_released", of: library) > released
    }
  }

  @Test("the text of a plugin's problem is always JSON")
  func problemText() throws {
    let host = try TestHost(ResponseTests.app)
    let answer = try host.send("GET", "/app/open", [act("app", "route", "problem 422 a\"b\\c")])
    #expect(answer.status == 422)
    #expect(try answer.member("code") == "a\"b\\c")
  }

  @Test("a preflight is answered by the policy in bare mode too, and anything else 503 with CORS fields")
  func bare() throws {
    let host = try TestHost(ResponseTests.cors + ResponseTests.app, isBare: true)
    let preflight = try host.send(
      "OPTIONS", "/app/open", [("Origin", "https://own.example"), ("Access-Control-Request-Method", "POST")])
    #expect(preflight.status == 204)
    #expect(preflight["Access-Control-Allow-Origin"] == "https://own.example")
    let answer = try host.send("GET", "/app/open", [("Origin", "https://own.example")])
    #expect(answer.status == 503)
    #expect(answer["Access-Control-Allow-Origin"] == "https://own.example")
  }

  @Test("the refusal of a HEAD request has no body")
  func refusedHead() throws {
    let host = try TestHost(ResponseTests.app)
    let client = try host.connect()
    client.send("HEAD /a%2Fb HTTP/1.1\r\nHost: a\r\n\r\n")
    let all = client.receiveAll()
    #expect(String(decoding: all.bytes, as: UTF8.self).hasPrefix("HTTP/1.1 400 "))
    #expect(String(decoding: all.bytes, as: UTF8.self).hasSuffix("\r\n\r\n"))
  }
}

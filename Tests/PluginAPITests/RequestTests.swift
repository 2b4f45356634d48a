import PluginAPI
import PluginTesting
import Testing

/// Runs `body` as the request phase of one request.
private func seen(
  _ method: String = "GET", _ target: String = "/x", headers: Fields = [:], bytes: [UInt8] = [],
  client: String = "192.0.2.1", access: Routes.Access = .public,
  _ body: @escaping @Sendable (borrowing Request) throws -> Void
) throws {
  let actions = ProbeActions(request: { request in
    try body(request)
    return nil
  })
  try ProbeActions.$current.withValue(actions) {
    let host = try InProcessHost(.of(Probe<NoSettings>.self))
    let answer = try host.send(method, target, headers: headers, bytes: bytes, access: access, client: client)
    #expect(answer.reachedHandler)
  }
}

@Suite("The view of a request")
struct RequestTests {
  @Test(
    "method, path and query are as sent",
    arguments: [
      ("GET", Method.get), ("HEAD", .head), ("POST", .post), ("PUT", .put), ("PATCH", .patch),
      ("DELETE", .delete),
      ("PROPFIND", .other("PROPFIND")),
    ])
  func line(name: String, method: Method) throws {
    try seen(name, "/a/b?c=d") { request in
      #expect(request.method == method)
      #expect(request.method.name == name)
      #expect(request.path == "/a/b")
      #expect(request.withPath { $0.count } == 4)
      #expect(request.query == "c=d")
    }
  }

  @Test("header fields are found without case, first one first")
  func headers() throws {
    try seen(headers: [("Accept", "text/html"), ("X-One", "1"), ("accept", "*/*"), ("X[", "wrong")]) {
      request in
      #expect(request.headers["ACCEPT"] == "text/html")
      #expect(request.headers.all("accept") == ["text/html", "*/*"])
      #expect(request.headers["x-two"] == nil)
      #expect(request.headers["X{"] == nil, "only letters differ by case")
      #expect(request.headers.count == 4)
      #expect(request.headers.withBytes("x-one") { $0?.count } == 1)
      #expect(request.headers.withBytes("x-two") { $0 == nil })
      #expect(request.headers.fields.map(\.name) == ["Accept", "X-One", "accept", "X["])
      var total = 0
      request.headers.withEach { name, value in total += name.count + value.count }
      #expect(total == 6 + 9 + 5 + 1 + 6 + 3 + 2 + 5)
    }
  }

  @Test("query parameters are decoded as forms send them")
  func query() throws {
    try seen("GET", "/x?a=1&b=two%20words&c=a+b&d&&%65=%C3%A9&a=2&f=%zz&g=%4&h=1=2") { request in
      #expect(request.queryParameter("a") == "1")
      #expect(request.queryParameter("b") == "two words")
      #expect(request.queryParameter("c") == "a b")
      #expect(request.queryParameter("d") == "")
      #expect(request.queryParameter("e") == "é")
      #expect(request.queryParameter("f") == "%zz", "what is no encoding stays")
      #expect(request.queryParameter("g") == "%4")
      #expect(request.queryParameter("h") == "1=2")
      #expect(request.queryParameter("i") == nil)
      #expect(request.queryParameters.map(\.name) == ["a", "b", "c", "d", "e", "a", "f", "g", "h"])
    }
  }

  @Test("a query that is not UTF-8 decodes to replacement characters")
  func queryOfOtherBytes() throws {
    try seen("GET", "/x?a=%FF%41") { request in #expect(request.queryParameter("a") == "\u{FFFD}A") }
  }

  @Test("a body is text only if it is UTF-8")
  func body() throws {
    try seen("POST", bytes: Array("grüße".utf8)) { request in
      #expect(request.body == "grüße")
      #expect(request.bodyCount == 7)
    }
    try seen("POST", bytes: [0xFF, 0x41]) { request in
      #expect(request.body == nil)
      #expect(request.withBody { Array($0) } == [0xFF, 0x41])
    }
    try seen("GET") { request in
      #expect(request.body == "")
      #expect(request.withBody { $0.count } == 0)
    }
  }

  @Test("the client's address is there as text and in network order")
  func client() throws {
    try seen(client: "192.0.2.7") { request in
      #expect(request.clientAddress == "192.0.2.7")
      #expect(request.withClientIP { Array($0) } == [192, 0, 2, 7])
    }
    try seen(client: "2001:db8::1") { request in
      #expect(request.withClientIP { $0.count } == 16)
      #expect(request.withClientIP { Array($0.prefix(4)) } == [0x20, 0x01, 0x0D, 0xB8])
    }
    try seen(client: "unix") { request in #expect(request.withClientIP { $0.count } == 0) }
  }

  @Test("the access of the matched route can be read")
  func access() throws {
    try seen(access: .public) { #expect($0.access == .public) }
    let actions = ProbeActions(request: { request in
      #expect(request.access == .role)
      return nil
    })
    try ProbeActions.$current.withValue(actions) {
      let host = try InProcessHost(.of(Probe<NoSettings>.self))
      let admin = Identity(subject: "1", role: "admin")
      #expect(try host.send("GET", "/x", identity: admin, access: .role("admin")).status == 200)
      #expect(try host.send("GET", "/x", identity: admin, access: .role("owner")).status == 403)
      #expect(try host.send("GET", "/x", access: .role("admin")).status == 401)
    }
  }

  @Test("the time left lies within the request's deadline")
  func remaining() throws {
    try seen { request in
      #expect(request.remaining > .seconds(1))
      #expect(request.remaining <= .seconds(30))
    }
  }

  @Test("a line in the log carries the request's id")
  func log() throws {
    let actions = ProbeActions(request: { request in
      request.log(.warning, "saw \(request.path)")
      return nil
    })
    try ProbeActions.$current.withValue(actions) {
      let host = try InProcessHost(.of(Probe<NoSettings>.self))
      _ = try host.send("GET", "/x")
      #expect(host.logLines == [LogLine(level: .warning, message: "saw /x", requestID: "request-1")])
    }
  }
}

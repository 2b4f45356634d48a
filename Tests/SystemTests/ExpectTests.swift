import PluginTesting
import Testing

/// A client that waits for `100 Continue` (RFC 9110 section 10.1.1) has not sent its body, and may never send it.
@Suite("Expect: 100-continue")
struct ExpectTests {
  private static let body = "GET /fault/echo?smuggled HTTP/1.1\r\nHost: a\r\n\r\n"

  private static func head(_ method: String, _ path: String, _ fields: String...) -> String {
    let lines = (["Expect: 100-continue"] + fields).map { "\($0)\r\n" }.joined()
    return "\(method) \(path) HTTP/1.1\r\nHost: a\r\nContent-Length: \(body.utf8.count)\r\n\(lines)\r\n"
  }

  private static let decided: [(String, String, Int)] = [
    ("POST", "/nothing", 404), ("PUT", "/api/v1/projects", 405), ("POST", "/health", 405),
    ("POST", "/__diag/nothing", 404), ("POST", "/__diag/bypass/all", 403), ("POST", "/a%2Fb", 400),
    ("POST", "/api/v1/projects", 401), ("POST", "/api/v1/credits/grant", 401),
    ("POST", "/fault/nothing", 404),
  ]

  private func start() throws -> HostProcess {
    try ShippedConfiguration.start(edit: { $0 + "\n" + Section.fault() })
  }

  @Test(
    "what head and route decide is answered without it, and the connection ends: whatever follows is no request"
  )
  func decidedAtOnce() throws {
    let host = try start()
    for (method, path, status) in Self.decided {
      // The body that was announced, the next request in its place, or nothing.
      for next in [Self.body, "GET /fault/echo HTTP/1.1\r\nHost: a\r\n\r\n", ""] {
        let connection = try host.connect()
        try connection.send(Self.head(method, path, "Origin: http://localhost:3000"))
        let answer = try connection.receive(to: method)
        #expect(answer.status == status, "\(method) \(path): \(answer.text)")
        #expect(answer.informational.isEmpty, "\(method) \(path)")
        #expect(answer.header("Connection") == "close", "\(method) \(path)")
        #expect(answer.header("Access-Control-Allow-Origin") == "http://localhost:3000", "\(method) \(path)")
        if status == 405 { #expect(answer.header("Allow") != nil, "\(method) \(path)") }
        if status == 401 { #expect(answer.header("WWW-Authenticate") != nil, "\(method) \(path)") }
        try connection.send(next)
        #expect(try connection.end() == .closed, "\(method) \(path)")
      }
    }
    let paths = try host.get("/__diag/requests").json["requests"].array.map { $0["path"].string }
    #expect(paths.contains("/nothing") && !paths.contains("/fault/echo"), "\(paths)")
  }

  @Test("a chunked body is not waited for either")
  func chunked() throws {
    let host = try start()
    let connection = try host.connect()
    try connection.send(
      "POST /nothing HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n")
    let answer = try connection.receive(to: "POST")
    #expect(answer.status == 404 && answer.informational.isEmpty)
    #expect(try connection.end() == .closed)
  }

  @Test("a request behind such a one was not taken up: the client knows, for the connection ends")
  func pipelined() throws {
    let host = try start()
    let connection = try host.connect()
    // The body comes along, though nobody asked for it: then it is the body, and what follows it a request.
    try connection.send(Self.head("POST", "/nothing") + Self.body + "GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(try connection.receive(to: "POST").status == 404)
    #expect(try connection.receive().json["status"].string == "ok")
    #expect(try connection.end(within: .milliseconds(200)) == .open)
  }

  @Test("where the body decides, or a token does, the client is told to go on")
  func continues() throws {
    let host = try start()
    for (path, fields, status) in [
      ("/fault/echo", "X-A: b", 200), ("/fault/echo", "Expect: 100-continue", 200),
      ("/api/v1/projects", "Authorization: Bearer a.b.c", 401),
      ("/api/v1/projects", "Cookie: session=a", 401),
    ] {
      let connection = try host.connect()
      try connection.send(Self.head("POST", path, fields))
      let interim = try #require(try connection.receiveBytes(within: .seconds(10)))
      #expect(String(decoding: interim, as: UTF8.self) == "HTTP/1.1 100 Continue\r\n\r\n", "\(path)")
      try connection.send(Self.body)
      #expect(try connection.receive(to: "POST").status == status, "\(path)")
      #expect(try connection.request("GET", "/health").status == 200, "\(path)")
    }
  }

  @Test(
    "a handler that answers without its body ends the connection, if the body was waiting to be asked for")
  func streamed() throws {
    let upload = try UploadHost()
    for (path, status) in [("/u/private", 401), ("/u/small", 200)] {
      for next in [Self.body, ""] {
        let connection = try upload.host.connect()
        try connection.send(Self.head("POST", path, "X-Take: 0"))
        let answer = try connection.receive(to: "POST")
        #expect(answer.status == status, "\(answer.text)")
        #expect(answer.informational.isEmpty)
        #expect(answer.header("Connection") == "close", "\(path)")
        try connection.send(next)
        #expect(try connection.end() == .closed)
      }
    }
  }
}

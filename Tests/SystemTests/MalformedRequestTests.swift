import PluginTesting
import Testing

/// The codec's list of malformed requests, over a socket against the whole host.
@Suite("Malformed requests")
struct MalformedRequestTests {
  @Test("each gets one refusal as a problem, with the request's id, and a closed connection")
  func eachIsRefusedOnce() throws {
    let host = try HostProcess(HostSettings(plugins: Section.fault(mount: "/")))
    for request in MalformedRequest.all {
      #expect(throws: Never.self, "\(request)") {
        let connection = try host.connect()
        try connection.send(request.bytes)
        let answer = try connection.receive()
        #expect(answer.status == request.status, "\(request)")
        #expect(answer.isProblem, "\(request): \(answer.text)")
        #expect(answer.header("X-Request-Id") != nil, "\(request)")
        #expect(answer.header("Access-Control-Allow-Origin") == nil, "\(request)")
        #expect(answer.header("Connection")?.lowercased() == "close", "\(request)")
        #expect(try connection.end() == .closed, "\(request)")
      }
    }
    #expect(try host.get("/echo").status == 200)
    #expect(try host.plugin("fault")["calls"].int ?? 0 <= 4, "no plugin has seen any of them")
  }

  @Test("a client that half-closes after it gets the refusal too")
  func halfClosed() throws {
    let host = try HostProcess()
    for request in MalformedRequest.all where request.name.count % 3 == 0 {
      let connection = try host.connect()
      try connection.send(request.bytes)
      connection.finishSending()
      #expect(throws: Never.self, "\(request)") {
        let answer = try connection.receive()
        #expect(answer.status == request.status, "\(request)")
      }
    }
  }

  @Test("the same bytes one at a time are refused alike")
  func byteByByte() throws {
    let host = try HostProcess()
    for request in MalformedRequest.all where request.bytes.count < 120 && request.name.count % 2 == 0 {
      let connection = try host.connect()
      for byte in request.bytes { try connection.send([byte]) }
      #expect(throws: Never.self, "\(request)") {
        let answer = try connection.receive()
        #expect(answer.status == request.status, "\(request)")
      }
    }
  }

  @Test(
    "a refusal has CORS headers for an allowed origin, if the head could be read that far",
    arguments: [
      ("Content-Length: 1\r\nContent-Length: 2", 400), ("Transfer-Encoding: gzip", 400), ("X : y", 400),
      ("Content-Length: 99999999999", 413), ("Expect: 200-ok", 417),
    ])
  func refusalsHaveCORS(line: String, status: Int) throws {
    let host = try HostProcess()
    for (origin, granted) in [(Origin.own, Origin.own), (Origin.foreign, nil)] as [(String, String?)] {
      let connection = try host.connect()
      try connection.send("POST / HTTP/1.1\r\nHost: a\r\nOrigin: \(origin)\r\n\(line)\r\n\r\n")
      let answer = try connection.receive(to: "POST")
      #expect(answer.status == status)
      #expect(
        answer.header("Access-Control-Allow-Origin") == granted, "\(line) from \(origin): \(answer.headers)")
    }
  }

  @Test(
    "a malformed request after good ones: those are answered, it is refused, and nothing after it is read")
  func afterGoodOnes() throws {
    let host = try HostProcess(HostSettings(plugins: Section.fault()))
    let connection = try host.connect()
    try connection.send(
      "GET /fault/echo?1 HTTP/1.1\r\nHost: a\r\n\r\nGET /fault/echo?2 HTTP/1.1\r\nHost: a\r\n\r\n"
        + "GET /fault/echo?3 HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\nGET /fault/echo?4 HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    #expect(try connection.receive().json["query"].string == "1")
    #expect(try connection.receive().json["query"].string == "2")
    #expect(try connection.receive().status == 400)
    #expect(try connection.end() == .closed)
  }

  @Test("a smuggled second request in a body is never run")
  func smuggling() throws {
    let host = try HostProcess(HostSettings(plugins: Section.fault()))
    let hidden = "GET /fault/echo?smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    let honest = try host.connect()
    try honest.send(
      "POST /fault/echo HTTP/1.1\r\nHost: a\r\nContent-Length: \(hidden.utf8.count)\r\n\r\n\(hidden)")
    #expect(try honest.receive(to: "POST").json["body"].string == hidden)
    #expect(try honest.end(within: .milliseconds(200)) == .open)
    for head in [
      "Content-Length: \(hidden.utf8.count)\r\nTransfer-Encoding: chunked",
      "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "Transfer-Encoding: \u{B}chunked",
      "Content-Length: 0\r\nContent-Length: \(hidden.utf8.count)",
    ] {
      let connection = try host.connect()
      try connection.send("POST /fault/echo HTTP/1.1\r\nHost: a\r\n\(head)\r\n\r\n0\r\n\r\n\(hidden)")
      let answer = try connection.receive(to: "POST")
      #expect(answer.status >= 400, "\(head)")
      #expect(try connection.end() == .closed, "\(head)")
    }
  }
}

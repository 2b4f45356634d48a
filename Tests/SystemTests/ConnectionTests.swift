import PluginTesting
import Testing

/// HTTP/1.1 as clients rely on it (RFC 9112, RFC 9110).
@Suite("Connections")
struct ConnectionTests {
  private func start(_ lines: String...) throws -> HostProcess {
    try HostProcess(HostSettings(host: lines.joined(separator: "\n"), plugins: Section.fault()))
  }

  @Test("a connection is kept for many requests")
  func keepAlive() throws {
    let host = try start()
    let connection = try host.connect()
    for index in 0..<200 {
      let answer = try connection.request("GET", "/fault/echo?\(index)")
      #expect(answer.status == 200)
      #expect(answer.json["query"].string == "\(index)")
    }
  }

  @Test("a hundred requests in one write are answered in their order")
  func pipelining() throws {
    let host = try start()
    let connection = try host.connect()
    try connection.send((0..<100).map { "GET /fault/echo?\($0) HTTP/1.1\r\nHost: a\r\n\r\n" }.joined())
    for index in 0..<100 {
      let answer = try connection.receive()
      #expect(answer.status == 200)
      #expect(answer.json["query"].string == "\(index)")
    }
    #expect(try connection.end(within: .milliseconds(100)) == .open)
  }

  @Test("pipelined requests to loop, pool and built-ins keep their order")
  func pipeliningMixed() throws {
    let host = try start()
    let connection = try host.connect()
    let targets = (0..<60).map { ["/fault/blocking?\($0)", "/fault/echo?\($0)", "/health"][$0 % 3] }
    try connection.send(targets.map { "GET \($0) HTTP/1.1\r\nHost: a\r\n\r\n" }.joined())
    for (index, target) in targets.enumerated() {
      let answer = try connection.receive()
      #expect(answer.status == 200)
      #expect(answer.json["query"].string == (target == "/health" ? nil : "\(index)"))
    }
  }

  @Test("a pipelined request whose bytes are cut at any place is answered")
  func cutAnywhere() throws {
    let host = try start()
    let connection = try host.connect()
    let text =
      "POST /fault/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: u\r\n\r\n"
    let bytes = Array(text.utf8)
    for cut in 1..<bytes.count {
      try connection.send(Array(bytes[..<cut]))
      try connection.send(Array(bytes[cut...]))
      let answer = try connection.receive(to: "POST")
      #expect(answer.json["body"].string == "abcde", "cut at \(cut)")
    }
  }

  @Test(
    "HEAD answers as GET would, without a body",
    arguments: ["/fault/echo", "/health", "/nothing", "/fault/stream"])
  func head(path: String) throws {
    let host = try start()
    let connection = try host.connect()
    let get = try connection.request("GET", path)
    let head = try connection.request("HEAD", path)
    #expect(head.status == get.status)
    #expect(head.header("Content-Type") == get.header("Content-Type"))
    if path != "/fault/echo" && path != "/nothing" {
      // The others' bodies differ in the method or the request's id.
      #expect(head.header("Content-Length") == get.header("Content-Length"))
    }
    #expect(head.header("Transfer-Encoding") == get.header("Transfer-Encoding"))
    #expect(try connection.request("GET", "/health").status == 200, "nothing is left in the way")
  }

  @Test("a chunked upload arrives whole, its extensions and trailers aside")
  func chunkedUpload() throws {
    let host = try start()
    let connection = try host.connect()
    let parts = (0..<500).map { String(repeating: "\($0 % 10)", count: $0 + 1) }
    var text = "POST /fault/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    for (index, part) in parts.enumerated() {
      // Few extensions: the host bounds what it skips.
      text += "\(String(part.utf8.count, radix: 16))\(index < 5 ? ";name=\"v\"" : "")\r\n\(part)\r\n"
    }
    try connection.send(text + "0\r\nX-Trailer: x\r\n\r\n")
    #expect(try connection.receive(to: "POST").json["body"].string == parts.joined())
    #expect(try connection.request("GET", "/fault/echo").status == 200)
  }

  @Test("Expect: 100-continue is told to go on before the body is sent")
  func continueExpected() throws {
    let host = try start()
    let connection = try host.connect()
    try connection.send(
      "POST /fault/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    let interim = try #require(try connection.receiveBytes(within: .seconds(10)))
    #expect(String(decoding: interim, as: UTF8.self) == "HTTP/1.1 100 Continue\r\n\r\n")
    try connection.send("hello")
    #expect(try connection.receive(to: "POST").json["body"].string == "hello")
  }

  @Test("Expect: 100-continue on a body that will be refused is refused at once")
  func continueRefused() throws {
    let host = try start("max-body = 1k")
    let connection = try host.connect()
    try connection.send(
      "POST /fault/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4096\r\nExpect: 100-continue\r\n\r\n")
    let answer = try connection.receive(to: "POST")
    #expect(answer.status == 413)
    #expect(answer.informational.isEmpty)
    #expect(try connection.end() == .closed)
  }

  @Test("HTTP/1.0 is closed after one response, and kept if it asks for that")
  func http10() throws {
    let host = try start()
    let plain = try host.connect()
    try plain.send("GET /fault/echo HTTP/1.0\r\n\r\n")
    #expect(try plain.receive().status == 200)
    #expect(try plain.end() == .closed)
    let kept = try host.connect()
    for _ in 0..<2 {
      try kept.send("GET /fault/echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
      let answer = try kept.receive()
      #expect(answer.status == 200)
      #expect(answer.header("Connection")?.lowercased() == "keep-alive")
    }
  }

  @Test("a stream to HTTP/1.0 has no chunks, and ends with the connection")
  func http10Stream() throws {
    let host = try start()
    let connection = try host.connect()
    try connection.send("GET /fault/stream HTTP/1.0\r\n\r\n")
    let answer = try connection.receive()
    #expect(!answer.isChunked)
    #expect(answer.text == "tick 1\ntick 2\ntick 3\n")
    #expect(try connection.end() == .closed)
  }

  @Test("Connection: close is obeyed, and said back")
  func close() throws {
    let host = try start()
    let connection = try host.connect()
    let answer = try connection.request("GET", "/fault/echo", headers: [("Connection", "close")])
    #expect(answer.status == 200)
    #expect(answer.header("Connection")?.lowercased() == "close")
    #expect(try connection.end() == .closed)
  }

  @Test(
    "a client that half-closes gets every answer that it asked for",
    arguments: ["echo", "blocking", "stream"])
  func halfClose(route: String) throws {
    let host = try start()
    let connection = try host.connect()
    try connection.send(String(repeating: "GET /fault/\(route) HTTP/1.1\r\nHost: a\r\n\r\n", count: 3))
    connection.finishSending()
    for _ in 0..<3 { #expect(try connection.receive().status == 200) }
    #expect(try connection.end() == .closed)
  }

  @Test("a client that half-closes inside a request gets no answer for it, and the host goes on")
  func halfCloseInside() throws {
    let host = try start()
    let connection = try host.connect()
    try connection.send("POST /fault/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
    connection.finishSending()
    let end = try connection.end()
    if case .unexpected(let bytes) = end {
      #expect(String(decoding: bytes, as: UTF8.self).hasPrefix("HTTP/1.1 4"))
    } else {
      #expect(end == .closed)
    }
    #expect(try host.get("/fault/echo").status == 200)
  }

  @Test("clients that reset in the middle of anything leave no descriptor behind")
  func resets() throws {
    let host = try start()
    let worker = try host.worker().pid
    let before = try #require(RunningProcess.descriptorCount(worker))
    for index in 0..<120 {
      let connection = try host.connect()
      connection.resetWhenClosed()
      try connection.send(
        [
          "", "GET /fault/echo HT", "GET /fault/stream HTTP/1.1\r\nHost: a\r\n\r\n",
          "POST /fault/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc",
          "GET /fault/blocking HTTP/1.1\r\nHost: a\r\n\r\nGET /fault/blocking HTTP/1.1\r\nHost: a\r\n\r\n",
        ][index % 5])
    }
    try wait("the descriptors to be closed") { RunningProcess.descriptorCount(worker) ?? 0 <= before + 1 }
    #expect(try host.get("/fault/echo").status == 200)
    #expect(try host.worker().pid == worker)
  }

  @Test("a large response reaches a slow reader whole, and holds up nobody else")
  func slowReader() throws {
    let host = try start("max-body = 16m")
    let slow = try host.connect(receiveBuffer: 4096)
    let body = [UInt8](repeating: UInt8(ascii: "x"), count: 8 << 20)
    slow.timeout = .seconds(60)
    let connection = try host.connect()
    try slow.send(
      Array("POST /fault/echo HTTP/1.1\r\nHost: a\r\nContent-Length: \(body.count)\r\n\r\n".utf8) + body)
    for _ in 0..<20 { #expect(try connection.request("GET", "/fault/echo").status == 200) }
    let answer = try slow.receive(to: "POST")
    #expect(answer.status == 200)
    #expect(answer.json["body"].string?.utf8.count == body.count)
  }

  @Test(
    "a wrong method answers 405 with Allow, OPTIONS the same list, and a slash at the end changes nothing")
  func methods() throws {
    let host = try start()
    let wrong = try host.send("DELETE", "/fault/echo")
    #expect(wrong.status == 405)
    #expect(wrong.isProblem)
    let allow = Set((wrong.header("Allow") ?? "").split(separator: ",").map { String($0.drop { $0 == " " }) })
    #expect(allow.isSuperset(of: ["GET", "HEAD", "POST", "OPTIONS"]), "\(allow)")
    let options = try host.send("OPTIONS", "/fault/echo")
    #expect((200..<300).contains(options.status))
    #expect(options.header("Allow")?.contains("POST") == true)
    #expect(try host.get("/fault/echo/").status == 200)
    #expect(try host.send("BREW", "/fault/echo").status == 405)
  }

  @Test("an absolute target is served like a path, its authority in place of Host")
  func absoluteTarget() throws {
    let host = try start()
    let connection = try host.connect()
    try connection.send("GET http://shop.example/fault/echo?x=1 HTTP/1.1\r\nHost: other\r\n\r\n")
    let answer = try connection.receive()
    #expect(answer.status == 200)
    #expect(answer.json["path"].string == "/fault/echo")
    #expect(answer.json["query"].string == "x=1")
    try connection.send("GET http://shop.example/__diag/request HTTP/1.1\r\nHost: other\r\n\r\n")
    #expect(try connection.receive().json["authority"].string == "shop.example")
  }

  @Test("a well-formed X-Request-Id is kept, another replaced, and traceparent continued")
  func requestIdentity() throws {
    let host = try start()
    let kept = try host.get("/fault/echo", headers: [("X-Request-Id", "abc-123_DEF.4")])
    #expect(kept.header("X-Request-Id") == "abc-123_DEF.4")
    #expect(kept.json["request_id"].string == "abc-123_DEF.4")
    for bad in ["a b", "<script>", String(repeating: "a", count: 1000), "a;b", "\"x\""] {
      let made = try host.get("/fault/echo", headers: [("X-Request-Id", bad)]).header("X-Request-Id")
      #expect(made != nil && made != bad, "\(bad)")
    }
    let ids = try (0..<50).map { _ in try host.get("/health").header("X-Request-Id") }
    #expect(Set(ids).count == 50)
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    let traced = try host.get("/fault/echo", headers: [("traceparent", "00-\(trace)-00f067aa0ba902b7-01")])
    #expect(traced.header("traceparent")?.contains(trace) == true)
    let fresh = try host.get(
      "/fault/echo", headers: [("traceparent", "00-\(String(repeating: "0", count: 32))-x-01")])
    #expect(fresh.header("traceparent")?.hasPrefix("00-") == true)
    #expect(fresh.header("traceparent")?.contains(String(repeating: "0", count: 32)) == false)
  }
}

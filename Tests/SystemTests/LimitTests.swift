import PluginTesting
import Testing

/// Limits on size and time, each with its own status.
@Suite("Limits")
struct LimitTests {
  private func start(_ lines: String...) throws -> HostProcess {
    try HostProcess(HostSettings(host: lines.joined(separator: "\n"), plugins: Section.fault()))
  }

  private func expectRefusal(_ answer: HTTPResponse, _ status: Int, _ connection: HTTPConnection) throws {
    #expect(answer.status == status)
    #expect(answer.isProblem, "\(answer.text)")
    #expect(answer.header("X-Request-Id") != nil)
    #expect(try connection.end() == .closed)
  }

  @Test("too long a target: 414")
  func target() throws {
    let host = try start()
    let connection = try host.connect()
    let answer = try connection.request("GET", "/" + String(repeating: "a", count: 9000))
    try expectRefusal(answer, 414, connection)
  }

  @Test("too large a head: 431, also when it comes a byte at a time and never ends")
  func head() throws {
    let host = try start("max-head = 2k")
    let connection = try host.connect()
    let answer = try connection.request(
      "GET", "/fault/echo", headers: [("X", String(repeating: "a", count: 4096))])
    try expectRefusal(answer, 431, connection)
    #expect(
      try host.get("/fault/echo", headers: [("X", String(repeating: "a", count: 1500))]).status == 200)
    let slow = try host.connect()
    try slow.send("GET /fault/echo HTTP/1.1\r\nHost: a\r\nX: ")
    for _ in 0..<60 { try slow.send(String(repeating: "a", count: 50)) }
    try expectRefusal(try slow.receive(), 431, slow)
  }

  @Test("too large a body: 413, by its length before it is sent, and by its chunks as they come")
  func body() throws {
    let host = try start("max-body = 10k")
    let exact = [UInt8](repeating: 65, count: 10 << 10)
    #expect(try host.send("POST", "/fault/echo", body: exact).status == 200)
    let declared = try host.connect()
    try declared.send("POST /fault/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10241\r\n\r\n")
    try expectRefusal(try declared.receive(to: "POST"), 413, declared)
    let chunked = try host.connect()
    try chunked.send("POST /fault/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in 0..<11 { try chunked.send("400\r\n" + String(repeating: "a", count: 1024) + "\r\n") }
    try expectRefusal(try chunked.receive(to: "POST"), 413, chunked)
  }

  @Test("a refused upload that is sent whole all the same still gets its answer, not a reset")
  func bodySentAnyway() throws {
    let host = try start("max-body = 1k")
    for _ in 0..<10 {
      let connection = try host.connect()
      let answer = try connection.request(
        "POST", "/fault/echo", body: [UInt8](repeating: 65, count: 256 << 10))
      #expect(answer.status == 413)
    }
  }

  @Test("a head that takes too long: 408, however steadily its bytes drip")
  func slowHead() throws {
    let host = try start("head-timeout = 400ms")
    let clock = ContinuousClock()
    let begin = clock.now
    let connection = try host.connect()
    var status: Int?
    // A byte every 20 ms for longer than the limit: 3 s at most.
    let head = Array(
      "GET /fault/echo HTTP/1.1\r\nHost: a\r\nX-Slow: \(String(repeating: "a", count: 150))".utf8)
    for byte in head where status == nil {
      try connection.send([byte])
      if let bytes = try connection.receiveBytes(within: .milliseconds(20)) {
        status = Int(String(decoding: bytes, as: UTF8.self).split(separator: " ").dropFirst().first ?? "")
      }
    }
    #expect(status == 408)
    #expect(clock.now - begin > .milliseconds(350))
    #expect(clock.now - begin < .seconds(3))
  }

  @Test("a body that takes too long: 408")
  func slowBody() throws {
    let host = try start("body-timeout = 400ms")
    let connection = try host.connect()
    try connection.send("POST /fault/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
    try expectRefusal(try connection.receive(to: "POST"), 408, connection)
  }

  @Test("a body that drips in has no more time than its request: 408, before its last byte")
  func drippingBody() throws {
    let host = try start("body-timeout = 30s", "request-timeout = 1s")
    let connection = try host.connect()
    try connection.send("POST /fault/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n")
    var bytes: [UInt8]?
    // A byte every 50 ms or so for as long as there is no answer: 20 s at most.
    for _ in 0..<400 where bytes == nil {
      try connection.send([65])
      bytes = try connection.receiveBytes(within: .milliseconds(50))
    }
    let answer = String(decoding: bytes ?? [], as: UTF8.self)
    #expect(answer.hasPrefix("HTTP/1.1 408 "), "\(answer)")
    #expect(answer.contains("body-timeout"))
    #expect(try host.plugin("fault")["calls"].int == 0)
  }

  @Test("an idle connection is closed without a word, one in use is not")
  func idle() throws {
    let host = try start("idle-timeout = 500ms")
    let idle = try host.connect()
    #expect(try idle.request("GET", "/fault/echo").status == 200)
    #expect(try idle.end() == .closed)
    let silent = try host.connect()
    #expect(try silent.end(within: .seconds(15)) == .closed)
    let busy = try host.connect()
    for _ in 0..<8 {
      #expect(try busy.request("GET", "/fault/echo").status == 200)
      #expect(try busy.end(within: .milliseconds(100)) == .open)
    }
  }

  @Test("slow clients by the hundred hold up nobody else")
  func slowloris() throws {
    let host = try start()
    var slow: [HTTPConnection] = []
    for _ in 0..<300 {
      let connection = try host.connect()
      try connection.send("GET /fault/echo HTTP/1.1\r\nHost: a\r\nX: ")
      slow.append(connection)
    }
    let clock = ContinuousClock()
    let begin = clock.now
    for _ in 0..<50 { #expect(try host.get("/fault/echo").status == 200) }
    #expect(clock.now - begin < .seconds(5))
    for connection in slow {
      try connection.send("y\r\n\r\n")
      #expect(try connection.receive().status == 200)
    }
  }

  @Test("a request past its deadline: 504 request-timeout, and nobody is blamed")
  func requestTimeout() throws {
    let host = try HostProcess(
      HostSettings(
        host: "request-timeout = 300ms",
        plugins: Section.fault("slow", mount: "/slow", "delay = 600ms", "paths = /slow")
          + Section.fault("other", mount: "/other", "paths = /other")))
    let answer = try host.get("/slow/echo", headers: [("Origin", Origin.own)])
    #expect(answer.status == 504)
    #expect(answer.json["code"].string == "request-timeout")
    #expect(answer.header("Access-Control-Allow-Origin") == Origin.own)
    #expect(try host.plugin("slow")["state"].string == "active")
    #expect(try host.get("/other/echo").status == 200)
  }
}

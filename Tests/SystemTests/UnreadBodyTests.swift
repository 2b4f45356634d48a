import Foundation
import PluginTesting
import Testing

/// Bodies that nobody reads to the end: answers that come early, clients that go, plugins that fail, workers that change.
@Suite("Request bodies that are not read to their end")
struct UnreadBodyTests {
  private static let smuggled = "GET /u/smuggled HTTP/1.1\r\nHost: test\r\n\r\n"

  /// A body that would be requests, were its end mistaken.
  private func smuggling(_ count: Int) -> [UInt8] {
    let text = UnreadBodyTests.smuggled
    let body = String(repeating: text, count: count / text.utf8.count + 1)
    return Array(body.utf8.prefix(count))
  }

  @Test("what little is left is skipped, and the next request answered", arguments: [false, true])
  func littleLeft(isChunked: Bool) throws {
    let upload = try UploadHost()
    let connection = try upload.host.connect()
    let body = smuggling(60_000)
    for take in [0, 1, 59_999] {
      // The handler waits until all of it has been sent.
      let gate = "gate-\(take)"
      let head = UploadHost.head(
        "/u/large", length: isChunked ? nil : body.count, ("X-Take", "\(take)"),
        ("X-Gate", upload.path(gate)))
      let framed = isChunked ? UploadHost.chunk(body) + Array("0\r\n\r\n".utf8) : body
      try connection.send(
        Array(head.utf8) + framed + Array("GET /health HTTP/1.1\r\nHost: test\r\n\r\n".utf8))
      try upload.open(gate: gate)
      let answer = try connection.receive()
      #expect(answer.status == 200 && answer.json["count"].int == take, "\(answer.text)")
      #expect(try connection.receive().json["status"].string == "ok")
    }
    #expect(try connection.end(within: .milliseconds(200)) == .open)
  }

  @Test("much that is left ends the connection: no byte of it is taken for a request")
  func muchLeft() throws {
    let upload = try UploadHost()
    for (path, status) in [("/u/large", 200), ("/u/private", 401)] {
      let connection = try upload.host.connect()
      let head = UploadHost.head(path, length: 100 << 20, ("X-Take", "10"))
      try connection.send(Array(head.utf8) + smuggling(100_000))
      let answer = try connection.receive()
      #expect(answer.status == status, "\(answer.text)")
      #expect(answer.header("Connection") == "close")
      #expect(try connection.end() == .closed)
    }
    #expect(try upload.isUnharmed())
  }

  @Test("uploads behind one another are answered in order")
  func pipelined() throws {
    let upload = try UploadHost()
    let connection = try upload.host.connect()
    var bytes: [UInt8] = []
    let counts = [5, 100_000, 0, 65_536, 70_001, 1]
    for count in counts {
      let body = UploadHost.bytes(count)
      bytes += Array(UploadHost.head("/u/large", length: count).utf8) + body
      bytes += Array(UploadHost.head("/u/large", length: nil).utf8)
      bytes += (count > 0 ? UploadHost.chunk(body) : []) + Array("0\r\n\r\n".utf8)
      bytes += Array(UploadHost.head("/u/whole", length: count).utf8) + body
    }
    try connection.send(bytes)
    for count in counts {
      for _ in 0..<2 {
        let answer = try connection.receive()
        #expect(answer.json["count"].int == count && answer.json["wrong"].int == -1, "\(answer.text)")
      }
      #expect(try connection.receive().json["whole"].int == count)
    }
  }

  @Test("however bodies are cut, framed and left unread, answers are right or the connection ends")
  func arbitrary() throws {
    let seed = UInt64.random(in: 1...UInt64.max)
    print("seed \(seed)")
    var random = SplitMix64(state: seed)
    let upload = try UploadHost()
    var connection = try upload.host.connect()
    var closed = 0
    for round in 0..<300 {
      let count = Int.random(in: 0...(random.next() % 4 == 0 ? 300_000 : 3000), using: &random)
      let isChunked = Bool.random(using: &random)
      let take = Bool.random(using: &random) ? count + 1 : Int.random(in: 0...count, using: &random)
      let piece = [1000, 4096, 65_536].randomElement(using: &random) ?? 1000
      var bytes: [UInt8] = []
      let head = UploadHost.head(
        "/u/large", length: isChunked ? nil : count, ("X-Take", "\(take)"), ("X-Piece", "\(piece)"))
      bytes += Array(head.utf8)
      var offset = 0
      while offset < count {
        let size = min(Int.random(in: 1...max(1, count / 3), using: &random), count - offset)
        let part = UploadHost.bytes(from: offset, count: size)
        bytes += isChunked ? UploadHost.chunk(part) : part
        offset += size
      }
      if isChunked { bytes += Array("0\r\n\r\n".utf8) }
      let cuts = (0..<3).map { _ in Int.random(in: 0...bytes.count, using: &random) }.sorted()
      var start = 0
      for end in cuts + [bytes.count] {
        if start < end { try connection.send(Array(bytes[start..<end])) }
        start = end
      }
      let answer = try connection.receive()
      #expect(
        answer.status == 200 && answer.json["count"].int == min(count, take)
          && answer.json["wrong"].int == -1,
        "seed \(seed), round \(round): \(answer.text)")
      if answer.header("Connection") == "close" {
        // Only if there was something left.
        #expect(take <= count, "seed \(seed), round \(round)")
        closed += 1
        connection = try upload.host.connect()
      }
    }
    print("\(closed) of 300 connections ended early")
    #expect(try upload.isUnharmed())
  }

  @Test(
    "a client that goes is reported to the handler, and is nobody's fault",
    arguments: ["close", "reset", "half"])
  func clientGone(how: String) throws {
    let upload = try UploadHost()
    var connection: HTTPConnection? = try upload.host.connect()
    try connection?.send(
      UploadHost.head(
        "/u/large", length: 1000, ("Expect", "100-continue"), ("X-Report", upload.path("report"))))
    // The handler reads.
    #expect(try connection?.receiveBytes(within: .seconds(10))?.isEmpty == false)
    try connection?.send(UploadHost.bytes(10))
    switch how {
    case "half":
      connection?.finishSending()
      let answer = try connection?.receive()
      #expect(answer?.status == 400 && answer?.json["code"].string == "body-incomplete")
    case "reset":
      connection?.resetWhenClosed()
      connection = nil
    default: connection = nil
    }
    let report = try upload.report("report")
    #expect(report["count"].int ?? 11 <= 10 && report["error"].int == 1, "\(report)")
    #expect(try upload.isUnharmed())
  }

  @Test(
    "a handler that fails while the body arrives is answered for, and its connection ends",
    arguments: [
      ("fault", 503, "threw"), ("trap", 503, "crashed"), ("wild", 503, "crashed"), ("hang", 504, "hung"),
    ])
  func fault(name: String, status: Int, reason: String) throws {
    let upload = try UploadHost(
      plugin: ["timeout = 500ms"],
      sections: Section.plugin("plain", library: "PlainCPlugin", ["mount = /plain"]))
    let neighbour = try upload.host.connect()
    #expect(try neighbour.request("GET", "/plain/items/1").status == 200)
    let connection = try upload.host.connect()
    try connection.send(
      UploadHost.head("/u/large", length: 1 << 30, ("X-Take", "70000"), ("X-Fault", name)))
    let sent = try connection.send(UploadHost.bytes(200_000), untilNothingIsTakenFor: .seconds(2))
    #expect(sent >= 70_000)
    let answer = try connection.receive()
    #expect(answer.status == status, "\(answer.text)")
    #expect(try connection.end() == .closed)
    let plugin = try upload.host.waitFor(plugin: "upload", state: "quarantined")
    #expect(plugin["last_fault"]["reason"].string == reason, "\(plugin)")
    #expect(plugin["last_fault"]["request"].string?.contains("/u/large") == true, "\(plugin)")
    #expect(try neighbour.request("GET", "/plain/items/1").status == 200)
    #expect(try upload.host.command("release", "upload").status == .exited(0))
    try wait("the plugin to be back") {
      let again = try upload.host.connect()
      try again.send(UploadHost.head("/u/large", length: 5))
      try again.send(UploadHost.bytes(5))
      return try again.receive().status == 200
    }
  }

  @Test("a new generation lets an upload come to its end in the old one")
  func swap() throws {
    let upload = try UploadHost("drain-timeout = 30s")
    let connection = try upload.host.connect()
    let count = 3 << 20
    try connection.send(UploadHost.head("/u/large", length: count))
    try connection.send(UploadHost.bytes(from: 0, count: 1 << 20))
    try upload.host.rewrite(
      HostSettings(
        host: "drain-timeout = 30s",
        plugins: UploadHost.section(upload.library, ["timeout = 29s"])))
    try wait("the next generation") { try upload.host.worker().generation > 1 }
    for offset in [1 << 20, 2 << 20] {
      try connection.send(UploadHost.bytes(from: offset, count: 1 << 20))
    }
    let answer = try connection.receive()
    #expect(answer.json["count"].int == count && answer.json["wrong"].int == -1, "\(answer.text)")
    try wait("the connection to go on in the new one") {
      try connection.request("GET", "/__version").json["generation"].int ?? 0 > 1
    }
  }

  @Test("a host that is told to end lets an upload come to its end")
  func ending() throws {
    let upload = try UploadHost("drain-timeout = 30s")
    let connection = try upload.host.connect()
    let count = 2 << 20
    let head = UploadHost.head(
      "/u/large", length: count, ("Expect", "100-continue"), ("X-Report", upload.path("report")))
    try connection.send(head)
    #expect(try connection.receiveBytes(within: .seconds(10))?.isEmpty == false)
    upload.host.process.send(signal: SIGTERM)
    try wait("the end to have begun") { upload.host.log.contains("stopping") }
    for offset in [0, 1 << 20] {
      try connection.send(UploadHost.bytes(from: offset, count: 1 << 20))
    }
    let answer = try connection.receive()
    #expect(answer.json["count"].int == count && answer.json["wrong"].int == -1, "\(answer.text)")
    #expect(try upload.host.process.waitForExit(within: .seconds(20)) == .exited(0))
  }

  @Test("a middleware that freezes before the handler does not take the body with it")
  func frozenMiddleware() throws {
    let upload = try UploadHost(
      sections: Section.fault("fault", "on-failure = open", "recover = never", "paths = /u"))
    let connection = try upload.host.connect()
    let head = UploadHost.head(
      "/u/large", length: 500_000, ("X-Fault", "segv"), ("X-Fault-Phase", "request"))
    try connection.send(Array(head.utf8) + UploadHost.bytes(250_000))
    try upload.host.waitFor(plugin: "fault", state: "quarantined")
    try connection.send(UploadHost.bytes(from: 250_000, count: 250_000))
    let answer = try connection.receive()
    #expect(answer.json["count"].int == 500_000 && answer.json["wrong"].int == -1, "\(answer.text)")
    #expect(try upload.isUnharmed())
  }

  @Test("more uploads than the pool has threads wait for one another, and none is lost")
  func many() throws {
    let upload = try UploadHost()
    let connections = try (0..<48).map { _ in try upload.host.connect(timeout: .seconds(60)) }
    let count = 300_000
    for connection in connections {
      try connection.send(UploadHost.head("/u/large", length: count))
      try connection.send(UploadHost.bytes(50_000))
    }
    for connection in connections {
      try connection.send(UploadHost.bytes(from: 50_000, count: count - 50_000))
    }
    for connection in connections {
      let answer = try connection.receive()
      #expect(answer.json["count"].int == count && answer.json["wrong"].int == -1, "\(answer.text)")
    }
    #expect(try upload.isUnharmed())
  }

  @Test("a handler on the loop may not read a body: the plugin does not start, and says why")
  func onLoop() throws {
    let upload = try UploadHost(defining: ["ON_LOOP"])
    let plugin = try upload.host.waitFor(plugin: "upload", state: "failed")
    #expect(plugin["last_fault"]["reason"].string == "start-failed", "\(plugin)")
    #expect(plugin["last_fault"]["message"].string?.contains("must be BH_BLOCKING") == true, "\(plugin)")
  }

  @Test("routes say how they get their bodies, and validate finds nothing to object to")
  func described() throws {
    let upload = try UploadHost()
    let routes = try upload.host.get("/__diag/routes").json["routes"].array
    let bodies = routes.map { "\($0["pattern"].string ?? "") \($0["body"].string ?? "")" }.sorted()
    #expect(
      bodies == [
        "/u/default streamed", "/u/large streamed", "/u/private streamed", "/u/small streamed",
        "/u/whole whole",
      ])
    let described = try ReleaseBuild.run(["describe", upload.library, "--json"])
    #expect(described.output.contains(#""body":"streamed""#), "\(described)")
    let validated = try ReleaseBuild.run(["validate", upload.library])
    #expect(validated.status == .exited(0), "\(validated.output)")
  }
}

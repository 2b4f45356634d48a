import PluginTesting
import Testing

/// The log's line of a streamed answer: when it is over, with what was sent of it.
@Suite("Streams in the log")
struct StreamLogTests {
  private func line(of id: String, in host: HostProcess) throws -> JSONValue {
    try wait("the line of \(id)") { host.log.contains(id) }
    let lines = host.log.split(separator: "\n").filter { $0.contains(id) }
    #expect(lines.count == 1, "\(lines)")
    return try JSONValue(parsing: Array(try #require(lines.first).utf8))
  }

  private func start() throws -> HostProcess {
    try HostProcess(HostSettings(host: "log-format = json\ndiagnostics = public", plugins: Section.fault()))
  }

  @Test("a stream that comes to its end is logged with the bytes of its body, as one of HTTP/1.0 is")
  func whole() throws {
    let host = try start()
    let answer = try host.get("/fault/stream", headers: [("X-Request-Id", "stream-1")])
    #expect(answer.isChunked && !answer.body.isEmpty)
    let json = try line(of: "stream-1", in: host)
    #expect(json["bytes"].int == answer.body.count)
    #expect(json["status"].int == 200)
    #expect(json["route"].string == "/fault/stream")
    let old = try host.connect()
    try old.send("GET /fault/stream HTTP/1.0\r\nX-Request-Id: stream-2\r\n\r\n")
    #expect(try old.receive().body == answer.body)
    #expect(try line(of: "stream-2", in: host)["bytes"].int == answer.body.count)
  }

  @Test("a stream to HEAD has sent nothing")
  func head() throws {
    let host = try start()
    #expect(try host.send("HEAD", "/fault/stream", headers: [("X-Request-Id", "head-1")]).status == 200)
    #expect(try line(of: "head-1", in: host)["bytes"].int == 0)
  }

  @Test("a stream without end is logged when its client goes, and not before")
  func clientGoes() throws {
    let host = try start()
    let received: Int
    do {
      let watcher = try host.connect()
      try watcher.send("GET /__diag/events HTTP/1.1\r\nHost: a\r\nX-Request-Id: watch-1\r\n\r\n")
      #expect(try watcher.receiveHead().status == 200)
      received = try watcher.receiveBytes(within: .seconds(10))?.count ?? 0
      #expect(received > 0)
      _ = try host.get("/health", headers: [("X-Request-Id", "after-1")])
      try wait("the line of a later request") { host.log.contains("after-1") }
      #expect(!host.log.contains("watch-1"))
    }
    let json = try line(of: "watch-1", in: host)
    #expect(json["bytes"].int ?? 0 > 0)
    #expect(json["path"].string == "/__diag/events")
  }
}

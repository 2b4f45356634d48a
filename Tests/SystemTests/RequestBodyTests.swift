import Foundation
import PluginTesting
import Testing

/// Bodies that handlers read as they arrive: what is received, what is held, and what is refused.
@Suite("Request bodies read as they arrive")
struct RequestBodyTests {
  private static let oddSizes = [1, 70_000, 4095, 999_983, 17, 65_536, 65_521, 2]

  /// Sends a body in pieces of odd sizes; a chunk each, if it is chunked.
  private func send(_ count: Int, isChunked: Bool, on connection: HTTPConnection) throws {
    var offset = 0
    var turn = 0
    while offset < count {
      let size = min(RequestBodyTests.oddSizes[turn % RequestBodyTests.oddSizes.count], count - offset)
      let bytes = UploadHost.bytes(from: offset, count: size)
      let extensions = turn < 20 ? ";a=\"b c\"" : ""
      try connection.send(isChunked ? UploadHost.chunk(bytes, extensions: extensions) : bytes)
      offset += size
      turn += 1
    }
    if isChunked { try connection.send("0\r\nChecksum: none\r\n\r\n") }
  }

  private func expect(
    _ answer: HTTPResponse, count: Int, _ location: SourceLocation = #_sourceLocation
  ) {
    #expect(answer.status == 200, "\(answer.text)", sourceLocation: location)
    #expect(answer.json["count"].int == count, "\(answer.text)", sourceLocation: location)
    #expect(answer.json["wrong"].int == -1, "\(answer.text)", sourceLocation: location)
    #expect(answer.json["whole"].int == 0, "\(answer.text)", sourceLocation: location)
  }

  @Test(
    "200 MB arrive byte for byte, in little memory; what is pipelined behind is answered next",
    arguments: [false, true])
  func large(isChunked: Bool) throws {
    let upload = try UploadHost()
    let connection = try upload.host.connect(timeout: .seconds(120))
    let before = try upload.memory()
    let count = 200 << 20
    try connection.send(UploadHost.head("/u/large", length: isChunked ? nil : count))
    try send(count, isChunked: isChunked, on: connection)
    try connection.send("GET /health HTTP/1.1\r\nHost: test\r\n\r\n")
    expect(try connection.receive(), count: count)
    #expect(try connection.receive().json["status"].string == "ok")
    let after = try upload.memory()
    print("resident: \(before.now) KB before, \(after.most) KB at most")
    #expect(after.most - before.now < 20 << 10)
  }

  @Test("a handler that does not read holds the client back")
  func backPressure() throws {
    let upload = try UploadHost()
    let connection = try upload.host.connect(timeout: .seconds(60))
    let count = 64 << 20
    try connection.send(UploadHost.head("/u/large", length: count, ("X-Gate", upload.path("gate"))))
    var sent = 0
    while sent < count {
      let piece = UploadHost.bytes(from: sent, count: min(1 << 20, count - sent))
      let taken = try connection.send(piece, untilNothingIsTakenFor: .seconds(1))
      sent += taken
      if taken < piece.count { break }
    }
    print("taken unread: \(sent) bytes")
    // What the kernel holds on both sides, and 64 KiB of the host's.
    #expect(sent < 24 << 20)
    try upload.open(gate: "gate")
    while sent < count {
      let piece = UploadHost.bytes(from: sent, count: min(1 << 20, count - sent))
      try connection.send(piece)
      sent += piece.count
    }
    expect(try connection.receive(), count: count)
  }

  @Test(
    "a body of no bytes is at its end at once, however that is said",
    arguments: ["none", "length", "chunked"])
  func empty(how: String) throws {
    let upload = try UploadHost()
    let connection = try upload.host.connect()
    switch how {
    case "none": try connection.send("POST /u/large HTTP/1.1\r\nHost: test\r\n\r\n")
    case "length": try connection.send(UploadHost.head("/u/large", length: 0))
    default: try connection.send(UploadHost.head("/u/large", length: nil) + "0\r\n\r\n")
    }
    let answer = try connection.receive()
    #expect(answer.json["count"].int == 0 && answer.json["status"].int == 0, "\(answer.text)")
    #expect(try connection.request("GET", "/health").status == 200)
  }

  @Test("HTTP/1.0 sends a body, too; over a Unix socket the client need not wait for the end")
  func otherClients() throws {
    let upload = try UploadHost(listen: ["127.0.0.1:0", "unix:DIRECTORY/socket"])
    let old = try upload.host.connect()
    try old.send(UploadHost.head("/u/large", length: 100_000, version: "1.0"))
    try old.send(UploadHost.bytes(100_000))
    expect(try old.receive(), count: 100_000)
    #expect(try old.end() == .closed)
    do {
      let local = try upload.host.connect(listener: 1)
      try local.send(
        UploadHost.head(
          "/u/large", length: 150_000, ("X-Report", upload.path("report")), ("X-Gate", upload.path("gate"))))
      try local.send(UploadHost.bytes(150_000))
    }
    try upload.open(gate: "gate")
    let report = try upload.report("report")
    #expect(report["count"].int == 150_000 && report["error"].int == 0, "\(report)")
  }

  @Test("a slow client is no fault of the plugin's, however long its timeout is outlasted")
  func slowClient() throws {
    let upload = try UploadHost(plugin: ["timeout = 300ms"])
    let connection = try upload.host.connect()
    try connection.send(UploadHost.head("/u/large", length: 8))
    for offset in 0..<8 {
      usleep(offset == 4 ? 800_000 : 100_000)
      try connection.send(UploadHost.bytes(from: offset, count: 1))
    }
    expect(try connection.receive(), count: 8)
    #expect(try upload.isUnharmed())
  }

  @Test("a handler that works longer in all than its timeout, and comes back for each piece, does not hang")
  func busyHandler() throws {
    let upload = try UploadHost(plugin: ["timeout = 300ms"])
    let connection = try upload.host.connect()
    try connection.send(
      UploadHost.head("/u/large", length: 10_000, ("X-Piece", "1000"), ("X-Pause", "80000")))
    try connection.send(UploadHost.bytes(10_000))
    expect(try connection.receive(), count: 10_000)
    #expect(try upload.isUnharmed())
  }

  @Test(
    "a body that does not come is answered 408, by body-timeout or by the request's deadline",
    arguments: ["body-timeout = 500ms", "request-timeout = 700ms"])
  func late(line: String) throws {
    let upload = try UploadHost(line)
    let connection = try upload.host.connect()
    try connection.send(UploadHost.head("/u/large", length: 1000, ("X-Report", upload.path("report"))))
    try connection.send(UploadHost.bytes(100))
    let answer = try connection.receive()
    #expect(answer.status == 408 && answer.json["code"].string == "body-timeout", "\(answer.text)")
    #expect(try connection.end() == .closed)
    let report = try upload.report("report")
    #expect(report["count"].int == 100 && report["error"].int == 4, "\(report)")
    #expect(try upload.isUnharmed())
  }

  @Test("a route has a limit of its own, or max-body; a longer length is refused before the handler runs")
  func tooLarge() throws {
    let upload = try UploadHost("max-body = 2k")
    for (path, limit) in [("/u/small", 1000), ("/u/default", 2048)] {
      let connection = try upload.host.connect()
      try connection.send(UploadHost.head(path, length: limit))
      try connection.send(UploadHost.bytes(limit))
      expect(try connection.receive(), count: limit)
      try connection.send(UploadHost.head(path, length: nil))
      try connection.send(UploadHost.chunk(UploadHost.bytes(limit)) + Array("0\r\n\r\n".utf8))
      expect(try connection.receive(), count: limit)

      try connection.send(
        UploadHost.head(path, length: limit + 1, ("X-Report", upload.path("unheard-of"))))
      let refused = try connection.receive()
      #expect(refused.status == 413 && refused.json["code"].string == "body-too-large", "\(refused.text)")
      #expect(try connection.end() == .closed)

      let name = "chunked-\(limit)"
      let chunked = try upload.host.connect()
      try chunked.send(UploadHost.head(path, length: nil, ("X-Report", upload.path(name))))
      try chunked.send(UploadHost.chunk(UploadHost.bytes(limit)) + Array("1\r\n".utf8))
      #expect(try chunked.receive().status == 413)
      #expect(try chunked.end() == .closed)
      let report = try upload.report(name)
      #expect(report["count"].int == limit && report["error"].int == 3, "\(report)")
    }
    // The others are held to max-body as ever.
    let whole = try upload.host.connect()
    try whole.send(UploadHost.head("/u/whole", length: 2049))
    #expect(try whole.receive().status == 413)
    #expect(!FileManager.default.fileExists(atPath: upload.path("unheard-of")))
    #expect(try upload.isUnharmed())
  }

  @Test("100 Continue is sent when the handler first reads, and not before")
  func expectContinue() throws {
    let upload = try UploadHost()
    let connection = try upload.host.connect()
    try connection.send(
      UploadHost.head("/u/large", length: 5, ("Expect", "100-continue"), ("X-Gate", upload.path("gate"))))
    #expect(try connection.end(within: .milliseconds(300)) == .open)
    try upload.open(gate: "gate")
    let bytes = try #require(try connection.receiveBytes(within: .seconds(10)))
    #expect(String(decoding: bytes, as: UTF8.self) == "HTTP/1.1 100 Continue\r\n\r\n")
    try connection.send(UploadHost.bytes(5))
    expect(try connection.receive(), count: 5)
    #expect(try connection.request("GET", "/health").status == 200)

    // Whoever may not is told so in its place.
    let stranger = try upload.host.connect()
    try stranger.send(UploadHost.head("/u/private", length: 1 << 30, ("Expect", "100-continue")))
    let refusal = try stranger.receive()
    #expect(refusal.status == 401 && refusal.informational.isEmpty)
    #expect(try stranger.end() == .closed)

    // So is one whose handler answers without reading.
    try connection.send(UploadHost.head("/u/large", length: 5, ("Expect", "100-continue"), ("X-Take", "0")))
    let unread = try connection.receive()
    #expect(unread.status == 200 && unread.informational.isEmpty)
    #expect(try connection.end() == .closed)
  }

  @Test("broken chunks are answered 400, and are no fault of the plugin's")
  func malformed() throws {
    let upload = try UploadHost()
    for (index, bytes) in ["zz\r\n", "5\r\nabcdeX", "0\r\nNo field\r\n\r\n", "5;=\r\n"].enumerated() {
      let connection = try upload.host.connect()
      try connection.send(
        UploadHost.head("/u/large", length: nil, ("X-Report", upload.path("\(index)"))))
      try connection.send(UploadHost.chunk(UploadHost.bytes(100)) + Array(bytes.utf8))
      let answer = try connection.receive()
      #expect(answer.status == 400, "\(bytes): \(answer.text)")
      #expect(try connection.end() == .closed)
      #expect(try upload.report("\(index)")["error"].int == 2)
    }
    #expect(try upload.isUnharmed())
  }
}

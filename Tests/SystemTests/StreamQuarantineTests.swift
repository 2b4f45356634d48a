import PluginTesting
import Testing

/// Streams that are open while their plugin is taken out.
@Suite("Streams of a plugin that is taken out")
struct StreamQuarantineTests {
  private static let released = "the stream is released"

  private func start() throws -> HostProcess {
    try HostProcess(
      HostSettings(plugins: Section.fault("fault", mount: "/fault", "paths = /fault", "recover = never")))
  }

  /// Opens a stream, and reads on until it flows.
  private func open(_ path: String, version: String = "1.1", on host: HostProcess) throws -> HTTPConnection {
    let connection = try host.connect()
    try connection.send("GET /fault/stream/\(path) HTTP/\(version)\r\nHost: a\r\n\r\n")
    #expect(try connection.receiveHead().status == 200)
    #expect(try #require(try connection.receiveBytes(within: .seconds(10))).isEmpty == false)
    return connection
  }

  /// What comes on the connection until it has ended, or the text ends with this.
  private func rest(of connection: HTTPConnection, until end: String) throws -> (text: String, isClosed: Bool)
  {
    var text = ""
    while !text.hasSuffix(end) || end.isEmpty {
      let bytes = try #require(
        try connection.receiveBytes(within: .seconds(10)), "no end came after \(text.suffix(60))")
      if bytes.isEmpty { return (text, true) }
      text += String(decoding: bytes, as: UTF8.self)
    }
    return (text, false)
  }

  private func count(of text: String, in log: String) -> Int {
    log.split(separator: "\n").count { $0.contains(text) }
  }

  @Test("an operator's quarantine ends a stream with its last chunk, and the connection serves on")
  func chunked() throws {
    let host = try start()
    let connection = try open("5", on: host)
    #expect(try host.command("quarantine", "fault").status == .exited(0))
    #expect(try rest(of: connection, until: "0\r\n\r\n").text.hasSuffix("0\r\n\r\n"))
    #expect(try connection.request("GET", "/health").status == 200)
    try wait("the release") { host.log.contains(Self.released) }
    #expect(count(of: Self.released, in: host.log) == 1)
  }

  @Test("a stream that waits for its source ends as soon, and not when that has something to say")
  func waiting() throws {
    let host = try start()
    let connection = try open("3600000", on: host)
    #expect(try host.command("quarantine", "fault").status == .exited(0))
    #expect(try rest(of: connection, until: "0\r\n\r\n").text.hasSuffix("0\r\n\r\n"))
    try wait("the release") { host.log.contains(Self.released) }
  }

  @Test("a stream that waits is asked when it is due, while its plugin serves")
  func due() throws {
    let host = try start()
    let connection = try open("2500", on: host)
    // Two more lines, a chunk each.
    for _ in 0..<2 {
      let bytes = try #require(try connection.receiveBytes(within: .seconds(20)))
      #expect(String(decoding: bytes, as: UTF8.self) == "5\r\ntick\n\r\n")
    }
  }

  @Test("where the connection's end is the body's end, it ends in order")
  func old() throws {
    let host = try start()
    let connection = try open("5", version: "1.0", on: host)
    #expect(try host.command("quarantine", "fault").status == .exited(0))
    // A reset would be thrown.
    #expect(try rest(of: connection, until: "").isClosed)
    try wait("the release") { host.log.contains(Self.released) }
    #expect(count(of: Self.released, in: host.log) == 1)
  }

  @Test("an error of another request of the plugin ends its streams in order, too")
  func threw() throws {
    let host = try start()
    let connection = try open("5", on: host)
    _ = try host.get("/fault/echo", headers: [("X-Fault", "throw")])
    #expect(try rest(of: connection, until: "0\r\n\r\n").text.hasSuffix("0\r\n\r\n"))
  }

  @Test("a crash of the plugin cuts its streams: what came may be wrong")
  func crashed() throws {
    let host = try start()
    let connection = try open("5", on: host)
    _ = try host.get("/fault/echo", headers: [("X-Fault", "trap")])
    #expect(!(try rest(of: connection, until: "0\r\n\r\n").text.hasSuffix("0\r\n\r\n")))
  }
}

import Foundation
import PluginTesting
import Testing

/// A browser gives an answer to its page only if that names the page's origin: also a refusal, and wherever TCP has cut
/// the request.
@Suite("Refused heads, however they are cut")
struct RefusedHeadTests {
  /// A request that is refused before its head is whole, from an origin that may read the answer.
  struct Refused: CustomStringConvertible, Sendable {
    let description: String
    let text: String
    let status: Int
    let code: String
    /// Whether the answer names the origin.
    var isNamed = true

    init(_ description: String, _ text: String, _ status: Int, _ code: String, isNamed: Bool = true) {
      self.description = description
      self.text = text
      self.status = status
      self.code = code
      self.isNamed = isNamed
    }

    var method: String { String(text.prefix { $0 != " " }) }
  }

  private static let origin = "Origin: \(Origin.own)\r\n"
  /// Behind the head, in the same bytes: never a request.
  private static let smuggled = "GET /fault/echo?smuggled HTTP/1.1\r\nHost: a\r\n\r\n"

  private static func head(_ line: String, _ fields: String...) -> String {
    "\(line)\r\nHost: a\r\n\(fields.map { $0 + "\r\n" }.joined())\(origin)X-Request-Id: id-1\r\n\r\n"
  }

  private static func many(_ count: Int) -> String { String(repeating: "a", count: count) }

  static let all: [Refused] = [
    .init("a long target", head("GET /health?q=\(many(9000)) HTTP/1.1"), 414, "target-too-long"),
    .init("a long target of HEAD", head("HEAD /health?q=\(many(9000)) HTTP/1.1"), 414, "target-too-long"),
    .init("a long absolute target", head("GET http://a/\(many(20_000)) HTTP/1.0"), 414, "target-too-long"),
    .init("a space before a colon", head("GET / HTTP/1.1", "X : y"), 400, "malformed-field-name"),
    .init("a method that is none", head("GE(T / HTTP/1.1"), 400, "malformed-method"),
    .init("a method too long", head("\(many(30)) / HTTP/1.1"), 501, "method-too-long"),
    .init("CONNECT", head("CONNECT a:1 HTTP/1.1"), 501, "connect-not-implemented"),
    .init("a blank in the target", head("GET /a b HTTP/1.1"), 400, "malformed-version"),
    .init(
      "two lengths", head("POST / HTTP/1.1", "Content-Length: 1", "Content-Length: 2"), 400,
      "repeated-content-length"),
    .init(
      "two framings", head("POST / HTTP/1.0", "Transfer-Encoding: chunked"), 400,
      "transfer-encoding-in-http-1-0"),
    .init("two hosts", head("GET / HTTP/1.1", "Host: b"), 400, "repeated-host"),
    .init("a folded field", head("GET / HTTP/1.1", "A: b", " c"), 400, "folded-field"),
    .init("a bare line feed", head("GET / HTTP/1.1\nA: b"), 400, "bare-lf"),
    .init(
      "empty lines before a bad request line", "\r\n\r\n" + head("GET / HTTP/x"), 400, "malformed-version"),
    .init("HTTP/1.2", head("GET / HTTP/1.2"), 505, "unsupported-version"),
    .init(
      "HTTP/3.0, preflight", head("OPTIONS / HTTP/3.0", "Access-Control-Request-Method: PUT"), 505,
      "unsupported-version"),
    .init("a large field", head("GET / HTTP/1.1", "Cookie: \(many(17_000))"), 431, "head-too-large"),
    .init(
      "a large field of HTTP/1.0", head("GET / HTTP/1.0", "Cookie: \(many(60_000))"), 431, "head-too-large"),
    .init(
      "a large preflight",
      head(
        "OPTIONS /fault/echo HTTP/1.1", "Access-Control-Request-Method: PUT",
        "Access-Control-Request-Headers: x-\(many(20_000))"), 431, "head-too-large"),
    .init(
      "many fields", head("GET / HTTP/1.1", (0..<120).map { "X-\($0): y" }.joined(separator: "\r\n")), 431,
      "too-many-fields"),
    .init(
      "the field in another case, with other whitespace",
      "GET / HTTP/1.1\r\nX : y\r\noRIGin:\t \(Origin.own)\t \r\n\r\n", 400, "malformed-field-name"),
    .init(
      "an origin behind 64 KiB", head("GET / HTTP/1.1", "Cookie: \(many(66_000))"), 431, "head-too-large",
      isNamed: false),
    .init(
      "two origins in it", "GET / HTTP/1.1\r\nX : y\r\n\(origin)\(origin)\r\n", 400, "malformed-field-name",
      isNamed: false),
    .init(
      "an origin behind the head", "GET / HTTP/1.1\r\nX : y\r\n\r\n\(origin)\r\n", 400,
      "malformed-field-name",
      isNamed: false),
  ]

  private func check(_ request: Refused, _ answer: HTTPResponse, _ comment: String) {
    #expect(answer.status == request.status, "\(comment)")
    if request.method != "HEAD" {
      #expect(answer.isProblem && answer.json["code"].string == request.code, "\(comment): \(answer.text)")
    }
    #expect(
      answer.header("Access-Control-Allow-Origin") == (request.isNamed ? Origin.own : nil),
      "\(comment): \(answer.headers)")
    #expect(answer.all("Vary") == ["Origin"], "\(comment)")
    #expect(answer.header("Connection") == "close", "\(comment)")
    if request.isNamed, request.text.contains("id-1") {
      #expect(answer.header("X-Request-Id") == "id-1", "\(comment)")
    }
  }

  /// Sends the bytes in pieces that end at `cuts`, so far apart that the host mostly sees each by itself.
  private func send(_ bytes: [UInt8], cutAt cuts: [Int], on connection: HTTPConnection) throws {
    var start = 0
    for end in cuts + [bytes.count] where end > start {
      try connection.send(Array(bytes[start..<end]))
      start = end
      usleep(200)
    }
  }

  @Test("are answered alike: status, code, CORS fields, and nothing behind them is a request")
  func cutAnywhere() throws {
    let seed = UInt64.random(in: 1...UInt64.max)
    print("seed \(seed)")
    var random = SplitMix64(state: seed)
    let host = try HostProcess(HostSettings(plugins: Section.fault()))
    for request in Self.all {
      let bytes = Array((request.text + Self.smuggled).utf8)
      for round in 0..<5 {
        let cuts: [Int] =
          switch round {
          case 0: []
          case 1: Array(stride(from: 1460, to: bytes.count, by: 1460))
          default:
            (0..<Int.random(in: 1...12, using: &random)).map { _ in
              Int.random(in: 1..<bytes.count, using: &random)
            }
            .sorted()
          }
        let comment = "seed \(seed), \(request), cut at \(cuts)"
        #expect(throws: Never.self, "\(comment)") {
          let connection = try host.connect()
          try send(bytes, cutAt: cuts, on: connection)
          check(request, try connection.receive(to: request.method), comment)
          #expect(try connection.end() == .closed, "\(comment)")
        }
      }
    }
    #expect(try host.plugin("fault")["calls"].int == 0, "no plugin has seen any of them")
  }

  @Test("byte by byte, too")
  func byteByByte() throws {
    let host = try HostProcess()
    for request in Self.all where request.text.utf8.count < 250 {
      let bytes = Array((request.text + Self.smuggled).utf8)
      let connection = try host.connect()
      try send(bytes, cutAt: Array(1..<bytes.count), on: connection)
      check(request, try connection.receive(to: request.method), "\(request)")
      #expect(try connection.end() == .closed)
    }
  }

  @Test("good requests before one are answered without waiting for its end")
  func behindGoodOnes() throws {
    let host = try HostProcess()
    let connection = try host.connect()
    try connection.send("GET /health HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nX : y\r\n")
    #expect(try connection.receive().status == 200)
    try connection.send(Self.origin + "\r\n")
    let answer = try connection.receive()
    #expect(answer.status == 400)
    #expect(answer.header("Access-Control-Allow-Origin") == Origin.own)
  }

  @Test(
    "one that never ends is answered after a while, with what is known by then",
    arguments: [
      ("X : y\r\n\(origin)", Origin.own), ("X : y\r\n\(origin)Cookie: ", Origin.own),
      ("X : y\r\nOrigin: \(Origin.own)", nil), ("X : y\r\n", nil),
    ] as [(String, String?)])
  func unfinished(fields: String, named: String?) throws {
    let host = try HostProcess()
    let connection = try host.connect(timeout: .seconds(8))
    try connection.send("GET / HTTP/1.1\r\nHost: a\r\n\(fields)")
    let answer = try connection.receive()
    #expect(answer.status == 400 && answer.json["code"].string == "malformed-field-name", "\(answer.text)")
    #expect(answer.header("Access-Control-Allow-Origin") == named)
    #expect(try connection.end() == .closed)
  }

  @Test("one whose client sends no more is answered at once, with what is known by then")
  func halfClosed() throws {
    let host = try HostProcess()
    let connection = try host.connect()
    try connection.send("GET / HTTP/1.1\r\nX : y\r\n\(Self.origin)")
    connection.finishSending()
    let answer = try connection.receive()
    #expect(answer.status == 400)
    #expect(answer.header("Access-Control-Allow-Origin") == Origin.own)
    #expect(try connection.end() == .closed)
  }

  @Test("a client that goes on for ever gets no more time than its head has, and its answer")
  func endless() throws {
    let host = try HostProcess(HostSettings(host: "head-timeout = 300ms"))
    let connection = try host.connect()
    try connection.send("GET / HTTP/1.1\r\nX : y\r\n\(Self.origin)")
    var received: [UInt8] = []
    try wait("the answer, and the end") {
      try connection.send("A: b\r\n")
      guard let bytes = try connection.receiveBytes(within: .milliseconds(5)) else { return false }
      received += bytes
      return bytes.isEmpty
    }
    let text = String(decoding: received, as: UTF8.self)
    #expect(text.hasPrefix("HTTP/1.1 400 "), "\(text)")
    #expect(text.contains("Access-Control-Allow-Origin: \(Origin.own)\r\n"), "\(text)")
  }

  @Test("a good head that is too slow is answered 408 for its origin, if that has come")
  func slow() throws {
    let host = try HostProcess(HostSettings(host: "head-timeout = 300ms"))
    for (fields, named) in [(Self.origin, Origin.own), ("Origin: \(Origin.own)", nil)] as [(String, String?)]
    {
      let connection = try host.connect()
      try connection.send("HEAD / HTTP/1.1\r\nHost: a\r\n\(fields)")
      let answer = try connection.receive(to: "HEAD")
      #expect(answer.status == 408)
      #expect(answer.header("Access-Control-Allow-Origin") == named)
      #expect(try connection.end() == .closed)
    }
  }
}

import PluginTesting
import Testing

/// A request that is refused is still somebody's: its ids are known, and once its head is whole its path and its client.
@Suite("The identity of refused requests")
struct RefusedIdentityTests {
  private static let trace = "0af7651916cd43dd8448eb211c80319c"
  private static let fields =
    "Host: a\r\nX-Request-Id: my-id-1\r\ntraceparent: 00-\(trace)-b7ad6b7169203331-01\r\n"
    + "X-Forwarded-For: 203.0.113.7\r\n"

  struct Refusal: Sendable, CustomTestStringConvertible {
    var status: Int
    var line: String
    /// Behind the fields that say whose it is, which do not end the head.
    var rest: String
    var path: String
    var testDescription: String { "\(status) \(line) \(rest.debugDescription)" }

    init(_ status: Int, _ line: String, _ rest: String, path: String = "/fault/echo") {
      (self.status, self.line, self.rest, self.path) = (status, line, rest, path)
    }
  }

  static let refusals = [
    Refusal(413, "POST /fault/echo", "Content-Length: 2000\r\n\r\n"),
    Refusal(413, "POST /fault/./echo", "Content-Length: 99999999999999999999\r\nX: y\r\n\r\n"),
    Refusal(
      413, "POST /fault/echo?a=b",
      "Transfer-Encoding: chunked\r\n\r\n7d0\r\n\(String(repeating: "a", count: 2000))\r\n0\r\n\r\n"),
    Refusal(400, "POST /fault/echo", "Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
    Refusal(408, "POST /fault/echo", "Content-Length: 10\r\n\r\nabc"),
    Refusal(417, "POST /fault/echo", "Expect: tea\r\nContent-Length: 1\r\n\r\na"),
    Refusal(400, "GET /fault%2Fecho", "\r\n", path: "/fault%2Fecho"),
  ]

  @Test("the answer and the log say whose request was refused", arguments: refusals)
  func identity(of refusal: Refusal) throws {
    let host = try HostProcess(
      HostSettings(
        host: """
          trusted-proxies = 127.0.0.1
          log-format = json
          max-body = 1k
          body-timeout = 300ms
          """, plugins: Section.fault()))
    let connection = try host.connect()
    try connection.send("\(refusal.line) HTTP/1.1\r\n\(RefusedIdentityTests.fields)\(refusal.rest)")
    let answer = try connection.receive(to: "POST")
    #expect(answer.status == refusal.status)
    #expect(answer.header("X-Request-Id") == "my-id-1")
    #expect(answer.header("traceparent")?.contains(RefusedIdentityTests.trace) == true)
    #expect(answer.json["request_id"].string == "my-id-1")
    #expect(answer.json["instance"].string == refusal.path)
    #expect(try connection.end() == .closed)
    try wait("the line") { host.log.contains("my-id-1") }
    let line = try #require(host.log.split(separator: "\n").first { $0.contains("my-id-1") })
    let json = try JSONValue(parsing: Array(line.utf8))
    #expect(json["path"].string == refusal.path)
    #expect(json["client"].string == "203.0.113.7")
    #expect(json["method"].string == refusal.line.split(separator: " ").first.map(String.init))
    #expect(json["status"].int == refusal.status)
  }

  @Test("a head that is refused before its end says its ids, and no path")
  func half() throws {
    let host = try HostProcess(HostSettings(host: "trusted-proxies = 127.0.0.1", plugins: Section.fault()))
    let connection = try host.connect()
    try connection.send("GET /fault/echo HTTP/1.1\r\n\(RefusedIdentityTests.fields)X : y\r\n\r\n")
    let answer = try connection.receive()
    #expect(answer.status == 400)
    #expect(answer.header("X-Request-Id") == "my-id-1")
    #expect(answer.header("traceparent")?.contains(RefusedIdentityTests.trace) == true)
    #expect(answer.json["request_id"].string == "my-id-1")
    #expect(answer.json["instance"] == .null)
  }
}

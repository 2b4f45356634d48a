import HTTPCodec
import Testing

@Suite("a request head")
struct RequestParserTests {
  @Test("is read into its parts")
  func parts() throws {
    let head = try #require(
      parsed(
        "GET /a/b?x=1&y HTTP/1.1\r\nHost: example.com:80\r\nX-Request-ID:  r1 \t\r\nAccept: */*\r\n\r\nrest"
      ))
    #expect(head.method == .get)
    #expect(head.methodName == "GET")
    #expect(head.target == "/a/b?x=1&y")
    #expect(head.path == "/a/b")
    #expect(head.query == "x=1&y")
    #expect(head.authority == "example.com:80")
    #expect(head.versionMinor == 1)
    #expect(head.isKeepAlive)
    #expect(!head.expectsContinue)
    #expect(head.framing == .none)
    #expect(head.fields == ["Host: example.com:80", "X-Request-ID: r1", "Accept: */*"])
    #expect(head.known[KnownField.requestID.rawValue] == "r1")
    #expect(head.known.compactMap(\.self).count == 1)
    #expect(head.count == 83)
  }

  @Test(
    "names its method, with case",
    arguments: [
      ("GET", .get), ("HEAD", .head), ("POST", .post), ("PUT", .put), ("PATCH", .patch),
      ("DELETE", .delete), ("OPTIONS", .options), ("TRACE", .other), ("get", .other), ("PROPFIND", .other),
      ("G", .other), ("GETS", .other), ("!#$%&'*+-.^_`|~09", .other),
      ("ABCDEFGHIJKLMNOPQRSTUVWX", .other),
    ] as [(String, Method)])
  func methods(name: String, method: Method) throws {
    let head = try #require(parsed("\(name) / HTTP/1.1\r\nHost: a\r\n\r\n"))
    #expect(head.method == method)
    #expect(head.methodName == name)
  }

  @Test(
    "divides its target",
    arguments: [
      ("/", "/", "", "h"), ("/?", "/", "", "h"), ("/a?b?c/d", "/a", "b?c/d", "h"),
      ("//a//", "//a//", "", "h"),
      ("/a%20b%zz", "/a%20b%zz", "", "h"), ("/a|b[0]", "/a|b[0]", "", "h"),
      ("/?q={\\^`}[]|", "/", "q={\\^`}[]|", "h"), ("http://b.c/d?e", "/d", "e", "b.c"),
      ("HTTPS://b:443/", "/", "", "b:443"), ("hTTp://b", "", "", "b"), ("http://b?q", "", "q", "b"),
      ("http://[::1]:80/x", "/x", "", "[::1]:80"), ("https://s.example/", "/", "", "s.example"),
    ])
  func targets(target: String, path: String, query: String, authority: String) throws {
    let head = try #require(parsed("GET \(target) HTTP/1.1\r\nHost: h\r\n\r\n"))
    #expect(head.target == target)
    #expect(head.path == path)
    #expect(head.query == query)
    #expect(head.authority == authority)
  }

  @Test("may have an asterisk for a target if its method is OPTIONS")
  func asterisk() throws {
    let head = try #require(parsed("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"))
    #expect(head.path == "*")
    #expect(head.query == "")
  }

  @Test(
    "says whether the connection stays open",
    arguments: [
      ("1", "", true), ("1", "close", false), ("1", "Close", false), ("1", "keep-alive", true),
      ("1", "upgrade, close", false), ("1", "keep-alive , close,", false), ("1", "closed", true),
      ("0", "", false), ("0", "keep-alive", true), ("0", "Keep-Alive", true), ("0", "close", false),
      ("0", "keep-alive, close", false), ("0", ", ,keep-alive", true),
    ])
  func keepAlive(minor: String, connection: String, isKeepAlive: Bool) throws {
    let head = try #require(
      parsed("GET / HTTP/1.\(minor)\r\nHost: a\r\nCONNECTION: \(connection)\r\n\r\n"))
    #expect(head.versionMinor == Int(minor))
    #expect(head.isKeepAlive == isKeepAlive)
  }

  @Test("closes the connection if any of its Connection fields says so")
  func repeatedConnection() throws {
    let head = try #require(
      parsed("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n"))
    #expect(!head.isKeepAlive)
  }

  @Test("needs no Host in HTTP/1.0")
  func hostInHTTP10() throws {
    let head = try #require(parsed("GET / HTTP/1.0\r\n\r\n"))
    #expect(head.authority == "")
  }

  @Test(
    "says how its body ends",
    arguments: [
      ("Content-Length: 0", .length(0)), ("content-length: 00012", .length(12)),
      ("CONTENT-LENGTH: 1048576", .length(1_048_576)), ("Transfer-Encoding: chunked", .chunked),
      ("transfer-encoding:CHUNKED", .chunked), ("X: y", .none),
    ] as [(String, Framing)])
  func framing(field: String, framing: Framing) throws {
    #expect(try #require(parsed("POST / HTTP/1.1\r\nHost: a\r\n\(field)\r\n\r\n")).framing == framing)
  }

  @Test("with a length beyond any integer is refused even if every body is allowed")
  func hugeLength() {
    let limits = CodecLimits(maxBody: .max)
    for length in ["9223372036854775807", "9223372036854775808", "99999999999999999999999"] {
      let outcome = parse("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \(length)\r\n\r\n", limits: limits)
      #expect(status(outcome) == 413, "\(length)")
    }
  }

  @Test(
    "expects 100-continue only in HTTP/1.1, and only with a body",
    arguments: [
      ("1", "Content-Length: 1", true), ("1", "Transfer-Encoding: chunked", true),
      ("1", "Content-Length: 0", false), ("1", "X: y", false), ("0", "Content-Length: 1", false),
    ])
  func expectation(minor: String, field: String, expectsContinue: Bool) throws {
    let head = try #require(
      parsed("POST / HTTP/1.\(minor)\r\nHost: a\r\nExpect: 100-Continue\r\n\(field)\r\n\r\n"))
    #expect(head.expectsContinue == expectsContinue)
  }

  @Test(
    "expects 100-continue once, however often that is said",
    arguments: [
      "Expect: 100-continue, 100-Continue", "Expect: 100-continue\r\nExpect: 100-continue",
      "Expect: ,100-continue ,", "Expect: 100-continue,\t100-continue",
    ])
  func repeatedExpectation(lines: String) throws {
    let head = try #require(parsed("POST / HTTP/1.1\r\nHost: a\r\n\(lines)\r\nContent-Length: 1\r\n\r\n"))
    #expect(head.expectsContinue)
  }

  @Test("expects nothing of an empty list")
  func noExpectation() throws {
    let head = try #require(parsed("POST / HTTP/1.1\r\nHost: a\r\nExpect:\r\nContent-Length: 1\r\n\r\n"))
    #expect(!head.expectsContinue)
  }

  @Test("finds the first field of every known name, in any case")
  func knownFields() throws {
    let names = [
      "origin", "x-request-id", "traceparent", "access-control-request-method",
      "access-control-request-headers", "access-control-request-private-network", "forwarded",
      "x-forwarded-for", "authorization", "content-type", "user-agent",
    ]
    for spell in [{ $0 }, { $0.uppercased() }] as [(String) -> String] {
      let lines = names.map { name in
        let mayRepeat = !["origin", "content-type"].contains(name)
        return "\(spell(name)): 1 \(name)\r\n" + (mayRepeat ? "\(spell(name)): 2\r\n" : "")
      }.joined()
      let head = try #require(parsed("GET / HTTP/1.1\r\nHost: a\r\n\(lines)\r\n"))
      #expect(head.known == names.map { "1 \($0)" })
    }
    // Names as long as known ones, of letters that differ from theirs by one bit.
    let others = names.map {
      $0.replacing("o", with: "n").replacing("e", with: "d").replacing("-", with: "_")
    }
    let lines = others.map { "\($0): 1\r\n" }.joined()
    #expect(try #require(parsed("GET / HTTP/1.1\r\nHost: a\r\n\(lines)\r\n")).known.allSatisfy { $0 == nil })
  }

  @Test("keeps values of any printable and non-ASCII bytes, and loses the whitespace around them")
  func values() throws {
    let value = (0x21...0x7E).map { String(UnicodeScalar(UInt8($0))) }.joined() + "\té ÿ"
    let head = try #require(
      parsed("GET / HTTP/1.1\r\nHost:\t a \r\nA: \t\(value) \t \r\nB:\r\nC: \t \r\nD:d\r\n\r\n"))
    #expect(head.fields == ["Host: a", "A: \(value)", "B: ", "C: ", "D: d"])
  }

  @Test("may be preceded by a few empty lines, which its count includes")
  func emptyLines() throws {
    #expect(try #require(parsed("\r\n\r\n\r\n\r\nGET / HTTP/1.0\r\n\r\n")).count == 26)
    #expect(status(parse("\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.0\r\n\r\n")) == 400)
  }
}

/// The status of a refusal.
func status(_ outcome: Outcome) -> Int? {
  if case .refused(let error) = outcome { error.status } else { nil }
}

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
}

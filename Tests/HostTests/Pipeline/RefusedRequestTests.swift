import Testing

@testable import bulkhead

@Suite("Refused requests")
struct RefusedRequestTests {
  private func origin(_ text: String) -> String? {
    Array(text.utf8).withUnsafeBytes { RefusedRequest.origin(in: $0)?.string }
  }

  @Test("the origin is found in whatever else is wrong, if it is said once")
  func origins() {
    #expect(origin("GET / HTTP/9\r\nOrigin: https://a\r\n\r\n") == "https://a")
    #expect(origin("GET / HTTP/1.1\nhost : x\norigin:https://a \n") == "https://a")
    #expect(origin("GET / HTTP/1.1\r\nORIGIN: https://a\r\nX: \u{1}\r\n") == "https://a")
    #expect(origin("GET / HTTP/1.1\r\nOrigin: https://a\r\nOrigin: https://b\r\n\r\n") == nil)
    #expect(origin("GET / HTTP/1.1\r\n\r\nOrigin: https://a\r\n") == nil)
    #expect(origin("GET / HTTP/1.1\r\nX-Origin: https://a\r\n\r\n") == nil)
    #expect(origin("Origin: https://a\r\n\r\n") == nil)
    #expect(origin("GET / HTTP/1.1\r\nOrigin: a\u{1}b\r\n\r\n") == nil)
    #expect(origin("GET / HTTP/1.1\r\nOrigin: a\rb\r\n\r\n") == nil)
    #expect(origin("") == nil)
  }

  @Test("the method is shown if it is one")
  func methods() {
    func method(_ text: String) -> String {
      Array(text.utf8).withUnsafeBytes { RefusedRequest.method(in: $0).string }
    }
    #expect(method("GET / HTTP/9") == "GET")
    #expect(method("G\u{1b}[2J / HTTP/1.1") == "")
    #expect(method("\u{16}\u{3}\u{1}") == "")
    #expect(method("") == "")
  }

  @Test("a refusal carries the CORS fields of the policy, once, and none for a foreign origin")
  func cors() throws {
    let host = try TestHost("[cors]\norigins = https://own.example\n")
    for (origin, expected) in [
      ("https://own.example", ["https://own.example"]), ("https://other.example", []),
    ] {
      let client = try host.connect()
      client.send(
        "GET / HTTP/1.1\r\nHost: a\r\nOrigin: \(origin)\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n")
      let answer = try client.receive()
      #expect(answer.status == 400)
      #expect(answer.all("Access-Control-Allow-Origin") == expected)
      #expect(answer.all("Vary") == ["Origin"])
    }
  }
}

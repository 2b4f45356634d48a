import Testing

@testable import bulkhead

@Suite("Refused requests")
struct RefusalTests {
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

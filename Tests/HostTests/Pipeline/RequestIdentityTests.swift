import Testing

@testable import bulkhead

@Suite("Request identity")
struct RequestIdentityTests {
  private static let trace = "0af7651916cd43dd8448eb211c80319c"
  private static let span = "b7ad6b7169203331"

  @Test(
    "a well-formed id is kept",
    arguments: ["a", "A-z_0.9~", "a/b+c==", "x:y@z", String(repeating: "i", count: 128)])
  func kept(_ id: String) throws {
    let answer = try TestHost().send("GET", "/health", [("X-Request-Id", id)])
    #expect(answer.all("X-Request-Id") == [id])
  }

  @Test(
    "any other is replaced",
    arguments: ["", "a b", "a\tb", "ä", "a\"b", "a,b", String(repeating: "i", count: 129)])
  func replaced(_ id: String) throws {
    let answer = try TestHost().send("GET", "/health", [("X-Request-Id", id)])
    #expect(answer.all("X-Request-Id").count == 1)
    #expect(answer["X-Request-Id"]?.count == 32)
    #expect(answer["X-Request-Id"] != id)
  }

  @Test(
    "traceparent is continued: the trace and its flags are kept, the parent is new",
    arguments: [
      ("00-\(trace)-\(span)-01", "01"), ("00-\(trace)-\(span)-00", "00"), ("00-\(trace)-\(span)-03", "03"),
      // A version to come, with and without more than is known.
      ("cc-\(trace)-\(span)-01", "01"), ("cc-\(trace)-\(span)-05-what", "01"),
      ("01-\(trace)-\(span)-08-", "00"),
    ])
  func continued(_ parent: String, _ flags: String) throws {
    let made = try TestHost().send("GET", "/health", [("traceparent", parent)])["traceparent"] ?? ""
    let parts = made.split(separator: "-").map(String.init)
    #expect(parts.count == 4)
    #expect(parts[0] == "00")
    #expect(parts[1] == RequestIdentityTests.trace)
    #expect(parts[2] != RequestIdentityTests.span && parts[2].count == 16)
    #expect(parts[3] == flags)
  }

  @Test(
    "a malformed one begins a new trace",
    arguments: [
      "", "00", "ff-\(trace)-\(span)-01", "00-\(trace)-\(span)-01-more", "cc-\(trace)-\(span)-01x",
      "00-00000000000000000000000000000000-\(span)-01", "00-\(trace)-0000000000000000-01",
      "00-\(trace.uppercased())-\(span)-01", "00-\(trace)-\(span)-0", "00-\(trace)_\(span)-01",
      "0g-\(trace)-\(span)-01",
    ])
  func begun(_ parent: String) throws {
    let answer = try TestHost().send("GET", "/health", [("traceparent", parent)])
    #expect(RequestView.isTraceparent(bh_bytes("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")))
    let made = answer["traceparent"] ?? ""
    #expect(made.withBytes { RequestView.isTraceparent($0) })
    #expect(!made.contains(RequestIdentityTests.trace))
  }

  @Test("ids differ from request to request, and are in the problem too")
  func distinct() throws {
    let host = try TestHost()
    var seen: Set<String> = []
    for _ in 0..<50 {
      let answer = try host.send("GET", "/nowhere")
      #expect(try answer.member("request_id") == answer["X-Request-Id"])
      seen.insert(answer["X-Request-Id"] ?? "")
      seen.insert(answer["traceparent"] ?? "")
    }
    #expect(seen.count == 100)
  }

  @Test("a refused request has both too")
  func refused() throws {
    let host = try TestHost()
    let client = try host.connect()
    client.send("GET / HTTP/1.1\r\nHost : a\r\n\r\n")
    let answer = try client.receive()
    #expect(answer.status == 400)
    #expect(answer["X-Request-Id"] != nil && answer["traceparent"] != nil)
  }
}

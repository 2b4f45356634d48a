import Testing

@testable import bulkhead

private let act = ActorPlugin.act

/// What is decided before the body of a client that waits for 100 Continue.
@Suite("Bodies that are waited for")
struct BodyUseTests {
  private static let sections =
    ActorPlugin.section("auth", "ActorAuth", "on-failure = open")
    + ActorPlugin.section("app", "ActorRouter", "mount = /app")

  private func ask(_ host: TestHost, _ target: String, _ fields: [(String, String)]) throws -> TestClient {
    let client = try host.connect()
    client.send(
      TestClient.request("GET", target, [("Expect", "100-continue"), ("Content-Length", "4")] + fields))
    return client
  }

  @Test("an identity of a request without credentials is told to send it again, and no handler has run")
  func identityWithoutCredentials() throws {
    let host = try TestHost(Self.sections)
    let answer = try ask(host, "/app/private", [act("auth", "request", "identity u viewer")]).receive()
    #expect(answer.status == 417)
    #expect(answer["Connection"] == "close")
    #expect(!answer.trail.contains("app.route"))
    let again = try host.send(
      "GET", "/app/private", [act("auth", "request", "identity u viewer")], body: "body")
    #expect(again.status == 200)
    #expect(again.trail.contains("app.route"))
  }

  @Test(
    "what may be a credential is looked at with the body",
    arguments: [
      ("", ("X-Api-Key", "k")), ("", ("Cookie", "a=b")), ("", ("X-Who", "Bearer t")),
      ("?access_token=t", ("X-A", "b")),
    ])
  func credentials(query: String, field: (String, String)) throws {
    let host = try TestHost(Self.sections)
    let client = try ask(
      host, "/app/private\(query)", [field, act("auth", "request", "identity u viewer")])
    #expect(try client.receiveHead().status == 100)
    client.send("body")
    #expect(try client.receive().status == 200)
  }

  @Test("in bare mode nothing waits for a body")
  func bare() throws {
    let host = try TestHost(Self.sections, isBare: true)
    #expect(try ask(host, "/app/open", []).receive().status == 503)
  }
}

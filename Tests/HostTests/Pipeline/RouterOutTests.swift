import Foundation
import Testing

@testable import bulkhead

private let act = ActorPlugin.act

@Suite("Pipeline: a router that is out")
struct RouterOutTests {
  private func quarantined(_ lines: String = "") throws -> TestHost {
    let host = try TestHost(
      ActorPlugin.section("auth", "ActorAuth")
        + ActorPlugin.section("app", "ActorRouter", "mount = /app", lines))
    #expect(try host.send("GET", "/app/open", [act("app", "route", "fault broken")]).status == 503)
    return host
  }

  @Test(
    "every path under its mount answers 503, whatever the method and whoever asks",
    arguments: [
      ("GET", "/app"), ("GET", "/app/open"), ("GET", "/app/private"), ("GET", "/app/admin"),
      ("PUT", "/app/open"),
      ("DELETE", "/app/items/7"), ("GET", "/app/nowhere"), ("GET", "/app/open/"), ("OPTIONS", "/app/open"),
    ])
  func below(_ method: String, _ path: String) throws {
    let host = try quarantined("recover = never")
    let answer = try host.send(method, path)
    #expect(answer.status == 503)
    #expect(try answer.member("code") == "plugin-unavailable")
    #expect(try answer.member("plugin") == "app")
    #expect(answer["Retry-After"] != nil)
  }

  @Test("beside its mount nothing changes")
  func beside() throws {
    let host = try quarantined()
    #expect(try host.send("GET", "/apple").status == 404)
    #expect(try host.send("GET", "/auth").status == 404)
  }

  @Test("a router that never loaded answers 503 below its mount, and 404 beside it")
  func neverLoaded() throws {
    let host = try TestHost(ActorPlugin.section("gone", "Gone", "mount = /gone"))
    #expect(try host.send("GET", "/gone/x").status == 503)
    #expect(try host.send("POST", "/gone").status == 503)
    #expect(try host.send("GET", "/gones").status == 404)
  }

  @Test("a request whose time is used up is answered 504, and blames nobody")
  func deadlineIsNobodysFault() throws {
    let host = try TestHost(
      host: "request-timeout = 1ms", ActorPlugin.section("app", "ActorRouter", "mount = /app"))
    let client = try host.connect()
    client.send("GET /app/open HTTP/1.1\r\n")
    // The time runs from the first byte.
    usleep(20_000)
    client.send("Host: a\r\n\r\n")
    let answer = try client.receive()
    #expect(answer.status == 504)
    #expect(try answer.member("code") == "request-timeout")
    #expect(try answer.member("plugin") == nil)
  }
}

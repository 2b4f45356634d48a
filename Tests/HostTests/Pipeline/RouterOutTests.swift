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

  private func expectOut(_ host: TestHost, _ path: String, of plugin: String, method: String = "GET") throws {
    let answer = try host.send(method, path)
    #expect(answer.status == 503, "\(method) \(path)")
    #expect(try answer.member("plugin") == plugin, "\(method) \(path)")
  }

  @Test("a router on / that never loaded answers 503 for what nobody else has, and for nothing else")
  func rootNeverLoaded() throws {
    let host = try TestHost(
      ActorPlugin.section("shop", "ActorRouter", "mount = /shop")
        + ActorPlugin.section("site", "Gone", "mount = /"))
    for path in ["/shop", "/shop/open", "/shop/items/7", "/health"] {
      #expect(try host.send("GET", path).status == 200, "\(path)")
    }
    for path in ["/", "/zzz", "/a/b", "/shop/zzz", "/shopping"] { try expectOut(host, path, of: "site") }
    #expect(try host.send("PUT", "/shop/open").status == 405)
    #expect(try host.send("OPTIONS", "/shop/open").status == 204)
    var status = JSONWriter()
    Diagnostics(worker: host.worker).writeStatus(to: &status)
    #expect(status.text.contains(#""mount":"/""#))
  }

  @Test("a router on / that is quarantined answers 503 for every path that nobody else has")
  func rootQuarantined() throws {
    let host = try TestHost(
      ActorPlugin.section("shop", "ActorRouter", "mount = /shop")
        + ActorPlugin.section("site", "ActorRouter", "mount = /", "recover = never"))
    #expect(try host.send("GET", "/zzz").status == 404)
    #expect(try host.send("GET", "/open", [act("site", "route", "fault broken")]).status == 503)
    for path in ["/open", "/zzz", "/items/7"] { try expectOut(host, path, of: "site") }
    #expect(try host.send("GET", "/shop/open").status == 200)
  }

  @Test("a plugin without a mount that is out takes no unknown path with it")
  func withoutMount() throws {
    let host = try TestHost(ActorPlugin.section("app", "ActorRouter", "recover = never"))
    #expect(try host.send("GET", "/open", [act("app", "route", "fault broken")]).status == 503)
    try expectOut(host, "/open", of: "app")
    #expect(try host.send("GET", "/zzz").status == 404)
  }

  @Test("below the mount of a router that is out an unknown path is never 404, whoever is mounted further in")
  func outer() throws {
    let host = try TestHost(
      ActorPlugin.section("inner", "ActorRouter", "mount = /api/v1")
        + ActorPlugin.section("outer", "Gone", "mount = /api"))
    #expect(try host.send("GET", "/api/v1/open").status == 200)
    #expect(try host.send("GET", "/zzz").status == 404)
    for path in ["/api", "/api/zzz", "/api/v1/zzz", "/api/v1/items/7/8"] {
      try expectOut(host, path, of: "outer")
    }
  }

  @Test("a path of a router whose routes are not known does not fall to the parameters of one further out")
  func parametersOfOthers() throws {
    let host = try TestHost(
      ActorPlugin.section("outer", "ActorRouter", "mount = /app")
        + ActorPlugin.section("inner", "Gone", "mount = /app/items")
        + ActorPlugin.section("opened", "Gone", "mount = /app/open")
        + ActorPlugin.section("deep", "ActorRouter", "mount = /app/items/deep"))
    try expectOut(host, "/app/items/7", of: "inner")
    try expectOut(host, "/app/items/7", of: "inner", method: "DELETE")
    // Whatever a library has, it would not have these: a route without parameters wins, and the longer mount is another's.
    #expect(try host.send("GET", "/app/open").status == 200)
    #expect(try host.send("GET", "/app/items/deep/items/7").status == 200)
    #expect(try host.send("GET", "/app/private").status == 401)
  }

  @Test("a router that did not start for want of a free route keeps its mount")
  func conflict() throws {
    let host = try TestHost(
      ActorPlugin.section("first", "ActorRouter", "mount = /a")
        + ActorPlugin.section("second", "ActorRouter", "mount = /a"))
    #expect(try host.send("GET", "/a/items/7").status == 200)
    try expectOut(host, "/a/zzz", of: "second")
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

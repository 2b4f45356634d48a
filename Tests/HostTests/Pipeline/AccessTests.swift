import Testing

@testable import bulkhead

private let act = ActorPlugin.act

/// No failure mode opens a protected route.
@Suite("Pipeline: access")
struct AccessTests {
  private static let guarded =
    ActorPlugin.section("auth", "ActorAuth", "on-failure = open")
    + ActorPlugin.section("app", "ActorRouter", "mount = /app")

  @Test("without an identity 401 with a challenge, with one 200, with another role 403")
  func rules() throws {
    let host = try TestHost(AccessTests.guarded)
    let anonymous = try host.send("GET", "/app/private")
    #expect(anonymous.status == 401)
    #expect(anonymous["WWW-Authenticate"]?.hasPrefix("Bearer") == true)
    #expect(try host.send("GET", "/app/private", [act("auth", "request", "identity u viewer")]).status == 200)
    let refused = try host.send("GET", "/app/admin", [act("auth", "request", "identity u viewer")])
    #expect(refused.status == 403)
    #expect(refused["WWW-Authenticate"] == "Bearer realm=\"bulkhead\", error=\"insufficient_scope\"")
    #expect(try host.send("GET", "/app/admin", [act("auth", "request", "identity u admin")]).status == 200)
    #expect(try host.send("GET", "/app/open").status == 200)
  }

  @Test("an identity set by a plugin that then faults opens nothing")
  func identityOfFaultedPlugin() throws {
    let host = try TestHost(AccessTests.guarded)
    let answer = try host.send(
      "GET", "/app/private",
      [act("auth", "request", "identity u viewer"), act("auth", "request", "fault late")])
    #expect(answer.status == 503)
    #expect(!answer.trail.contains("app.route"))
  }

  @Test("an authenticator that faulted, though not yet quarantined: 503, not a 401 that logs the client out")
  func countedFault() throws {
    let host = try TestHost(
      ActorPlugin.section("auth", "ActorAuth", "on-failure = open", "quarantine-after = 5/10s")
        + ActorPlugin.section("app", "ActorRouter", "mount = /app"))
    let answer = try host.send("GET", "/app/private", [act("auth", "request", "fault x")])
    #expect(host.plugin("auth").state == .active)
    #expect(answer.status == 503)
    #expect(try answer.member("plugin") == "auth")
    #expect(try host.send("GET", "/app/private").status == 401)
  }

  @Test("bypassed: 401; quarantined: 503; public routes are served in both")
  func out() throws {
    let bypassed = try TestHost(AccessTests.guarded, environment: ["BYPASS_ALL_MIDDLEWARE": "true"])
    let fields = [act("auth", "request", "identity u viewer")]
    #expect(try bypassed.send("GET", "/app/private", fields).status == 401)
    #expect(try bypassed.send("GET", "/app/open", fields).status == 200)

    let quarantined = try TestHost(AccessTests.guarded)
    _ = try quarantined.send("GET", "/app/open", [act("auth", "request", "fault x")])
    let answer = try quarantined.send("GET", "/app/private", fields)
    #expect(answer.status == 503)
    #expect(try answer.member("code") == "plugin-unavailable")
    #expect(answer["Retry-After"] != nil)
    #expect(try quarantined.send("GET", "/app/open", fields).status == 200)
  }

  @Test("a library that did not load is taken for the authenticator only if there is no other")
  func unknownPlugin() throws {
    let gone = ActorPlugin.section("gone", "Gone", "on-failure = open")
    let alone = try TestHost(gone + ActorPlugin.section("app", "ActorRouter", "mount = /app"))
    let answer = try alone.send("GET", "/app/private")
    #expect(answer.status == 503)
    #expect(try answer.member("plugin") == "gone")

    let beside = try TestHost(gone + AccessTests.guarded)
    #expect(try beside.send("GET", "/app/private").status == 401)
    #expect(
      try beside.send("GET", "/app/private", [act("auth", "request", "identity u viewer")]).status == 200)
    _ = try beside.send("GET", "/app/open", [act("auth", "request", "fault x")])
    let broken = try beside.send("GET", "/app/private")
    #expect(broken.status == 503)
    #expect(try broken.member("plugin") == "auth")
  }

  @Test("what a plugin did to the response before it faulted is undone if the request goes on without it")
  func halfDone() throws {
    let host = try TestHost(
      ActorPlugin.section("half", "Actor", "on-failure = open", "mount = /half")
        + ActorPlugin.section("app", "ActorRouter", "mount = /app"))
    let answer = try host.send(
      "GET", "/app/open",
      [
        act("half", "request", "status 418"), act("half", "request", "body nonsense"),
        act("half", "request", "add X-Half yes"), act("half", "request", "fault x"),
      ])
    #expect(answer.status == 200)
    #expect(answer.text.isEmpty)
    #expect(answer["X-Half"] == nil)
    #expect(answer.trail == ["app.route"])
  }
}

import Testing

@testable import bulkhead

private let act = ActorPlugin.act

@Suite("Pipeline: half-open probes", .serialized)
struct ProbeTests {
  /// The router's library: its counters and its gate are this test's alone.
  private let library: String

  init() throws { library = try ActorPlugin.copy(of: "ActorRouter") }

  private func out(_ sections: String, _ plugin: String, _ target: String, _ phase: String) throws -> TestHost
  {
    let host = try TestHost(sections)
    _ = try host.send("GET", target, [act(plugin, phase, "fault x")])
    #expect(host.plugin(plugin).state == .quarantined)
    return host
  }

  private func waitForRetry(_ plugin: Plugin) throws {
    try wait(for: "the back-off to end") {
      plugin.quarantine.withLock { $0.retryAt.map { $0 <= Clock.monotonic() } ?? true }
    }
  }

  @Test("a plugin that is both middleware and router serves its own probe to the end")
  func both() throws {
    let host = try out(
      ActorPlugin.section("both", "Actor", "mount = /both", "recover = 5ms"), "both", "/both/open", "request")
    try waitForRetry(host.plugin("both"))
    let answer = try host.send("GET", "/both/open")
    #expect(answer.status == 200)
    #expect(answer.trail == ["both.request", "both.route", "both.response"])
    #expect(host.plugin("both").state == .active)
  }

  @Test("while a probe runs on the pool all others are refused, and its end is its verdict")
  func onePool() throws {
    let host = try out(
      ActorPlugin.section("app", library, "mount = /app", "recover = 5ms"), "app", "/app/open", "route")
    try ActorPlugin.setGate(open: false, of: library)
    defer { try? ActorPlugin.setGate(open: true, of: library) }
    try waitForRetry(host.plugin("app"))
    let probe = try host.connect()
    probe.send(TestClient.request("GET", "/app/slow", [act("app", "route", "block")]))
    try wait(for: "the probe to run") { host.plugin("app").state == .probing }
    for _ in 0..<20 { #expect(try host.send("GET", "/app/open").status == 503) }
    try ActorPlugin.setGate(open: true, of: library)
    #expect(try probe.receive().status == 200)
    #expect(host.plugin("app").state == .active)
  }

  @Test("a probe whose client has gone still gets its verdict", arguments: [true, false])
  func clientGone(byReset: Bool) throws {
    let host = try out(
      ActorPlugin.section("guard", "Actor", "recover = 5ms", "mount = /guard")
        + ActorPlugin.section("app", library, "mount = /app"), "guard", "/app/slow", "request")
    try ActorPlugin.setGate(open: false, of: library)
    defer { try? ActorPlugin.setGate(open: true, of: library) }
    try waitForRetry(host.plugin("guard"))
    do {
      let probe = try host.connect()
      probe.send(TestClient.request("GET", "/app/slow", [act("app", "route", "block")]))
      try wait(for: "the probe to run") { host.plugin("guard").state == .probing }
      if byReset { probe.reset() }
    }
    if byReset {
      try wait(for: "the connection to go") {
        host.worker.loops[0].statistics.open.load(ordering: .relaxed) == 0
      }
    }
    try ActorPlugin.setGate(open: true, of: library)
    try wait(for: "the verdict", within: 5) { host.plugin("guard").state == .active }
  }

  @Test(
    "an authenticator's probe is a request that it decides; who has no credentials is told so, and proves nothing",
    arguments: [("identity u viewer", 200), ("problem 401 bad-token", 401)])
  func authenticator(verdict: String, status: Int) throws {
    let host = try out(
      ActorPlugin.section("auth", "ActorAuth", "applies-to = protected", "recover = 5ms")
        + ActorPlugin.section("app", library, "mount = /app"), "auth", "/app/private", "request")
    try waitForRetry(host.plugin("auth"))
    for _ in 0..<3 {
      let answer = try host.send("GET", "/app/private")
      #expect(answer.status == 401)
      #expect(try answer.member("code") == "unauthorized")
      #expect(answer["WWW-Authenticate"]?.hasPrefix("Bearer") == true)
      #expect(host.plugin("auth").state == .quarantined)
    }
    #expect(try host.send("GET", "/app/private", [act("auth", "request", verdict)]).status == status)
    #expect(host.plugin("auth").state == .active)
    #expect(try host.send("GET", "/app/private").status == 401)
  }
}

import PluginTesting
import Testing

/// Plugins that throw: named, quarantined within the request, and let back in by a probe.
@Suite("A plugin that throws")
struct ThrowTests {
  /// `fault` under /fault, and `other`, which must never notice.
  private func start(_ lines: String...) throws -> HostProcess {
    let fault = ["mount = /fault", "paths = /fault"] + lines
    return try HostProcess(
      HostSettings(
        plugins: Section.plugin("fault", library: "FaultPlugin", fault)
          + Section.fault("other", mount: "/other", "paths = /other")))
  }

  private func askForThrow(_ host: HostProcess, in phase: String, path: String = "/fault/echo") throws
    -> HTTPResponse
  {
    try host.get(path, headers: [("X-Fault", "throw"), ("X-Fault-Phase", phase), ("Origin", Origin.own)])
  }

  @Test(
    "closed: the request that meets the throw answers 503 plugin-fault, the next plugin-unavailable",
    arguments: ["request", "response", "route"])
  func closed(phase: String) throws {
    let host = try start("recover = never")
    #expect(try host.get("/fault/echo").status == 200)

    let answer = try askForThrow(host, in: phase)
    #expect(answer.status == 503)
    #expect(answer.isProblem)
    #expect(answer.json["code"].string == "plugin-fault")
    #expect(answer.json["plugin"].string == "fault")
    #expect(answer.header("Access-Control-Allow-Origin") == Origin.own)
    #expect(!answer.text.contains("thrown, as asked for"), "internals are no client's business")

    let next = try host.get("/fault/echo", headers: [("Origin", Origin.own)])
    #expect(next.status == 503)
    #expect(next.json["code"].string == "plugin-unavailable")
    #expect(next.json["plugin"].string == "fault")
    #expect(next.header("Retry-After") != nil)
    #expect(next.header("Access-Control-Allow-Origin") == Origin.own)

    let plugin = try host.plugin("fault")
    #expect(plugin["state"].string == "quarantined")
    #expect(plugin["faults"].int == 1)
    #expect(plugin["on_failure"].string == "closed")
    let fault = plugin["last_fault"]
    #expect(fault["reason"].string == "threw")
    #expect(fault["message"].string?.contains("thrown, as asked for") == true, "\(fault)")
    #expect(fault["request_id"].string == answer.header("X-Request-Id"))
    #expect(fault["request"].string?.contains("/fault/echo") == true)
    expectOthersServed(host)
  }

  @Test(
    "open: the request phase goes on without the plugin, its routes are out all the same",
    arguments: ["request", "response"])
  func open(phase: String) throws {
    let host = try HostProcess(
      HostSettings(
        plugins: Section.fault(
          "sick", mount: "/sick", "paths = /other", "on-failure = open", "recover = never")
          + Section.fault("other", mount: "/other", "paths = /nothing")))
    let answer = try askForThrow(host, in: phase, path: "/other/echo")
    #expect(answer.status == 200)
    #expect(answer.json["path"].string == "/other/echo")
    #expect(try host.plugin("sick")["state"].string == "quarantined")
    #expect(try host.get("/other/echo").status == 200)
    let route = try host.get("/sick/echo")
    #expect(route.status == 503, "a router that is out has no routes to skip to")
    #expect(route.json["code"].string == "plugin-unavailable")
    expectOthersServed(host)
  }

  @Test("every path under the mount of a router that is out answers 503, not 404")
  func mountOfRouterThatIsOut() throws {
    let host = try start("recover = never")
    #expect(try host.get("/fault/nothing").status == 404)
    _ = try askForThrow(host, in: "route")
    for path in ["/fault/echo", "/fault/nothing", "/fault", "/fault/echo/", "/fault/private"] {
      let answer = try host.get(path)
      #expect(answer.status == 503, "\(path)")
      #expect(answer.json["code"].string == "plugin-unavailable", "\(path)")
    }
    #expect(try host.get("/faulty").status == 404)
  }

  @Test(
    "a Problem is no fault: it answers as it says, and nothing is quarantined",
    arguments: ["request", "response", "route"])
  func problemsAreNoFaults(phase: String) throws {
    let host = try start("recover = never")
    let answer = try host.get("/fault/echo", headers: [("X-Fault", "problem"), ("X-Fault-Phase", phase)])
    #expect(answer.status == 418)
    #expect(answer.isProblem)
    #expect(answer.json["code"].string == "asked-for")
    let plugin = try host.plugin("fault")
    #expect(plugin["state"].string == "active")
    #expect(plugin["faults"].int == 0)
  }

  @Test("a half-open probe lets the plugin back in, and a probe that fails doubles the wait")
  func recovery() throws {
    let host = try start("recover = 300ms..2s")
    _ = try askForThrow(host, in: "request")
    let clock = ContinuousClock()
    var start = clock.now
    #expect(try host.get("/fault/echo").status == 503)

    // Each request in its scope asks for another throw: one of them is the probe.
    try wait("a probe that fails") {
      _ = try askForThrow(host, in: "request")
      return try host.plugin("fault")["faults"].int == 2
    }
    #expect(clock.now - start > .milliseconds(250))
    start = clock.now
    try wait("a probe that succeeds") { try host.get("/fault/echo").status == 200 }
    #expect(clock.now - start > .milliseconds(450), "the second wait is twice the first")
    #expect(try host.plugin("fault")["state"].string == "active")
    #expect(try host.get("/fault/echo").status == 200)
  }

  @Test("quarantine-after counts faults within its window")
  func threshold() throws {
    let host = try start("recover = never", "quarantine-after = 3/60s")
    for expected in ["active", "active", "quarantined"] {
      #expect(try askForThrow(host, in: "request").json["code"].string == "plugin-fault")
      #expect(try host.plugin("fault")["state"].string == expected)
    }
  }

  @Test("in shadow mode a throw is counted, and nothing is done")
  func shadow() throws {
    let host = try HostProcess(
      HostSettings(
        plugins: Section.fault(
          "shadowed", mount: "/shadowed", "paths = /other", "mode = shadow", "recover = never")
          + Section.fault("other", mount: "/other", "paths = /nothing")))
    #expect(try askForThrow(host, in: "request", path: "/other/echo").status == 200)
    #expect(try host.plugin("shadowed")["faults"].int == 1)
    #expect(
      try host.get("/other/echo", headers: [("X-Fault", "problem")]).status == 200,
      "what it would have answered is not answered")
  }

  @Test("a stream whose source throws ends without its last chunk, and the next request is served")
  func streams() throws {
    let host = try start("recover = never")
    let whole = try host.get("/fault/stream")
    #expect(whole.text == "tick 1\ntick 2\ntick 3\n")
    #expect(whole.isChunked)
    let connection = try host.connect()
    #expect(throws: HarnessError.self) {
      try connection.request(
        "GET", "/fault/stream", headers: [("X-Fault", "throw"), ("X-Fault-Phase", "pull")])
    }
    try host.waitFor(plugin: "fault", state: "quarantined")
    expectOthersServed(host)
  }

  private func expectOthersServed(_ host: HostProcess) {
    for (path, status) in [
      ("/other/echo", 200), ("/health", 200), ("/__version", 200), ("/__diag/ping", 200), ("/nothing", 404),
    ] {
      #expect(throws: Never.self) {
        let answer = try host.get(path)
        #expect(answer.status == status, "\(path)")
      }
    }
  }
}

import PluginABI
import PluginAPI
import PluginTesting
import Synchronization
import Testing

private struct Quiet: Middleware {
  static let plugin = PluginDescription(name: "quiet", version: "0.1.0", summary: "Says nothing")
  static let decidesCORS = true
  static let authenticates = true
  init(_ start: Start<NoSettings>) {}
  func request(_ request: borrowing Request) throws -> Response? {
    try request.response.decideCORS()
    return nil
  }
}

private struct OnlyRoutes: Router {
  static let plugin = PluginDescription(name: "only-routes", version: "0.1.0")
  init(_ start: Start<NoSettings>) {}
  func routes(_ routes: inout Routes) {
    routes.get("items/{id}", access: .public) { .text($0[parameter: "id"] ?? "none") }
    routes.get("items/new", access: .public) { request in
      #expect(request[parameter: "id"] == nil)
      return .text("new")
    }
    routes.delete("items/{id}", access: .authenticated) { _ in .noContent() }
    routes.post("", access: .role("admin"), execution: .blocking) { .text($0.route) }
    routes.put("a/{x}/b/{y}", access: .public) {
      .text("\($0[parameter: "x"] ?? "")-\($0[parameter: "y"] ?? "")")
    }
    routes.patch("", access: .public) { .text($0.route) }
  }
}

private struct BadRoute: Router {
  static let plugin = PluginDescription(name: "bad-route", version: "0.1.0")
  @TaskLocal static var stopped: @Sendable () -> Void = {}
  init(_ start: Start<NoSettings>) {}
  func stop() { Self.stopped() }
  func routes(_ routes: inout Routes) {
    routes.get("fine", access: .public) { _ in .noContent() }
    routes.get("{", access: .public) { _ in .noContent() }
  }
}

private struct Lifecycle: Middleware {
  static let plugin = PluginDescription(name: "lifecycle", version: "0.1.0")
  @TaskLocal static var event: @Sendable (String) throws -> Void = { _ in }
  init(_ start: Start<NoSettings>) throws { try Self.event("start") }
  func selfTest() throws { try Self.event("self-test") }
  func stop() {
    do {
      try Self.event("stop")
    } catch {
      Issue.record("stop: \(error)")
    }
  }
}

private struct Served: Middleware {
  static let plugin = PluginDescription(name: "served", version: "0.1.0")
  let host: Host
  let calls: Counter
  let level: Gauge
  let times: Histogram
  let region: UnsafeSendable

  struct UnsafeSendable: @unchecked Sendable { let pointer: UnsafeMutableRawPointer }

  init(_ start: Start<NoSettings>) throws {
    host = start.host
    calls = host.counter("calls_total", help: "Calls")
    level = host.gauge("level", help: "Level")
    times = host.histogram("seconds", help: "Times")
    _ = host.counter("Not A Name", help: "refused")
    region = UnsafeSendable(pointer: try host.sharedRegion("counters/1", byteCount: 128))
    #expect(throws: HostRefusal.sharedRegion(name: "none", byteCount: 0)) {
      try start.host.sharedRegion("none", byteCount: 0)
    }
    #expect(start.name == "section")
    #expect(start.mount == "/m")
    #expect(start.stateDirectory.hasPrefix("/"))
    #expect(start.generation == 3)
    #expect(start.loopCount == 2)
  }

  func request(_ request: borrowing Request) throws -> Response? {
    calls.add()
    level.set(5)
    level.add(-2)
    times.observe(.milliseconds(250))
    let count = region.pointer.load(as: Int.self) + 1
    region.pointer.storeBytes(of: count, as: Int.self)
    return .text("\(count)")
  }
}

@Suite("Plugins and their tables")
struct PluginTests {
  @Test("a type has one table, which says what the type is")
  func tables() {
    #expect(PluginTable.of(Quiet.self) == PluginTable.of(Quiet.self))
    let quiet = PluginTable.of(Quiet.self).pointee
    #expect(String(cString: quiet.name) == "quiet")
    #expect(String(cString: quiet.version) == "0.1.0")
    #expect(String(cString: quiet.summary) == "Says nothing")
    #expect(quiet.abi_major == BH_ABI_MAJOR)
    #expect(quiet.capabilities == UInt32(BH_HANDLES_REQUEST | BH_DECIDES_CORS | BH_AUTHENTICATES))
    #expect(quiet.response == nil)
    #expect(quiet.handle == nil)
    #expect(quiet.settings == nil)
    #expect(PluginTable.of(OnlyRoutes.self).pointee.capabilities == UInt32(BH_ROUTES))
    #expect(
      PluginTable.of(Probe<NoSettings>.self).pointee.capabilities
        == UInt32(BH_ROUTES | BH_HANDLES_REQUEST | BH_HANDLES_RESPONSE))
  }

  @Test("a plugin that is both middleware and router runs as both")
  func both() throws {
    let actions = ProbeActions(
      request: { request in
        try request.setAttribute("probe.seen", request.route.utf8)
        return nil
      },
      response: { try $0.response.setHeader("X-Response", "yes") },
      routes: { routes in
        routes.get("x", access: .public) {
          .text(String(decoding: $0.attribute("probe.seen") ?? [], as: UTF8.self))
        }
      })
    try ProbeActions.$current.withValue(actions) {
      let answer = try InProcessHost(.of(Probe<NoSettings>.self), mount: "/p").send("GET", "/p/x")
      #expect(answer.text == "/p/x")
      #expect(answer.header("X-Response") == "yes")
    }
  }

  @Test("routes are matched by segment, text before parameters, and their parameters decoded")
  func routes() throws {
    let host = try InProcessHost(.of(OnlyRoutes.self), mount: "/api")
    #expect(try host.send("GET", "/api/items/a%20b").text == "a b")
    #expect(try host.send("GET", "/api/items/new").text == "new")
    #expect(try host.send("PUT", "/api/a/1/b/2/").text == "1-2")
    #expect(try host.send("PATCH", "/api").text == "/api")
    #expect(try host.send("HEAD", "/api/items/1").body == [])
    #expect(try host.send("GET", "/api/none").status == 404)
    let wrong = try host.send("POST", "/api/items/1")
    #expect(wrong.status == 405)
    #expect(wrong.header("Allow") == "DELETE, GET")
    #expect(try host.send("DELETE", "/api/items/1").status == 401)
    #expect(try host.send("DELETE", "/api/items/1", identity: Identity(subject: "u")).status == 204)
    #expect(try host.send("POST", "/api", identity: Identity(subject: "u", role: "user")).status == 403)
    #expect(try host.send("POST", "/api", identity: Identity(subject: "u", role: "admin")).text == "/api")
    #expect(host.routes.first == "GET /api/items/{id}")
  }

  @Test("a route that the host refuses fails the start, and the plugin is stopped")
  func badRoute() {
    let stops = Mutex(0)
    let count: @Sendable () -> Void = { stops.withLock { $0 += 1 } }
    BadRoute.$stopped.withValue(count) {
      #expect(throws: StartFailure.startFailed("the host refuses the route GET '{'")) {
        try InProcessHost(.of(BadRoute.self))
      }
    }
    #expect(stops.withLock { $0 } == 1)
  }

  @Test("a plugin is started, tested and stopped, in this order and once")
  func lifecycle() throws {
    let events = Mutex<[String]>([])
    let note: @Sendable (String) -> Void = { event in events.withLock { $0.append(event) } }
    try Lifecycle.$event.withValue(note) {
      let host = try InProcessHost(.of(Lifecycle.self))
      _ = try host.send("GET", "/x")
      host.stop()
      host.stop()
    }
    #expect(events.withLock { $0 } == ["start", "self-test", "stop"])
  }

  @Test("an error in start or in the self-test is a failed start", arguments: ["start", "self-test"])
  func failedStart(phase: String) {
    let events = Mutex<[String]>([])
    let failing: @Sendable (String) throws -> Void = { event in
      events.withLock { $0.append(event) }
      if event == phase { throw Problem.conflict("no \(event)") }
    }
    Lifecycle.$event.withValue(failing) {
      #expect(throws: StartFailure.startFailed("409 conflict: no \(phase)")) {
        try InProcessHost(.of(Lifecycle.self))
      }
    }
    #expect(events.withLock { $0 } == (phase == "start" ? ["start"] : ["start", "self-test", "stop"]))
  }

  @Test("metrics, shared regions, log and clocks are the host's")
  func services() throws {
    let regions = SharedRegions()
    let host = try InProcessHost(
      .of(Served.self), mount: "/m", name: "section", regions: regions, generation: 3)
    #expect(try host.send("GET", "/x").text == "1")
    #expect(try host.send("GET", "/x").text == "2")
    #expect(host.metric("calls_total") == MetricValue(value: 2, count: 2))
    #expect(host.metric("level")?.value == 3)
    #expect(host.metric("seconds") == MetricValue(value: 0.5, count: 2))
    #expect(host.logLines.map(\.message) == ["the host refuses the metric 'Not A Name'"])
    let next = try InProcessHost(
      .of(Served.self), mount: "/m", name: "section", regions: regions, generation: 3)
    #expect(try next.send("GET", "/x").text == "3", "the region survives its host")
  }

  @Test("a plugin that decides CORS sees preflights")
  func preflight() throws {
    let host = try InProcessHost(.of(Quiet.self))
    let headers: Fields = ["Origin": "https://a.example", "Access-Control-Request-Method": "PUT"]
    #expect(try host.send("OPTIONS", "/x", headers: headers).decidedCORS)
    #expect(try !host.send("OPTIONS", "/x").decidedCORS)
  }

  @Test("random bytes differ, and clocks run")
  func randomAndClocks() throws {
    let seen = Mutex<Host?>(nil)
    let keep: @Sendable (Host) -> Void = { host in seen.withLock { $0 = host } }
    let inProcess = try HostReader.$sink.withValue(keep) { try InProcessHost(.of(HostReader.self)) }
    let host = try #require(seen.withLock { $0 })
    #expect(host.random(32) != host.random(32))
    #expect(host.random(0) == [])
    let before = host.monotonicNanoseconds
    #expect(host.monotonicNanoseconds >= before)
    #expect(host.realtimeNanoseconds > 1_700_000_000_000_000_000)
    #expect(!host.version.isEmpty)
    inProcess.stop()
  }
}

private struct HostReader: Middleware {
  static let plugin = PluginDescription(name: "host-reader", version: "0.1.0")
  @TaskLocal static var sink: @Sendable (Host) -> Void = { _ in }
  init(_ start: Start<NoSettings>) { Self.sink(start.host) }
}

import Foundation
import PluginTesting
import Testing

/// A generation is proven by its `probe` lines before it serves: who answers one wrongly is out, and nobody else.
@Suite("Proven by probes")
struct ProvingTests {
  private static let probe = "GET /app/echo"

  /// `app` is a router, which never does wrong; `middleware` stands before it.
  private func settings(_ middleware: String, wanted: Int = 200) -> HostSettings {
    HostSettings(
      host: "probe = \(Self.probe) \(wanted)",
      plugins: middleware + Section.fault("app", mount: "/app", "paths = /nothing"))
  }

  private func middleware(_ name: String = "gate", library: String = "FaultPlugin", _ lines: String...)
    -> String
  {
    Section.plugin(
      name, library: library,
      ["mount = /\(name)", "paths = /app", "probation = 300ms", "recover = never"] + lines)
  }

  private func expectFailed(_ host: HostProcess, _ name: String, _ message: String) throws {
    let plugin = try host.plugin(name)
    #expect(plugin["state"].string == "failed", "\(plugin)")
    #expect(plugin["reason"].string == "start-failed", "\(plugin)")
    #expect(plugin["last_fault"]["message"].string == message, "\(plugin)")
    #expect(try host.command("status").output.contains(message))
  }

  private func expectBlameless(_ host: HostProcess, _ name: String = "app") throws {
    let plugin = try host.plugin(name)
    #expect(plugin["state"].string == "active", "\(plugin)")
    #expect(plugin["last_fault"] == .null, "\(plugin)")
  }

  // MARK: New libraries

  @Test(
    "a release that answers a probe in the router's stead, or fails on it, is rolled back before a client meets it",
    arguments: ["refuses", "unknown-status"])
  func badRelease(broken: String) throws {
    let directory = try TemporaryDirectory()
    let library = try directory.copy(ReleaseBuild.library("FaultPlugin"), as: "libSwapped.so")
    let host = try HostProcess(settings(middleware(library: library)), in: directory)
    let digest = try #require(try host.plugin("gate")["sha256"].string)
    try wait("the library to be good") {
      FileManager.default.fileExists(atPath: "\(host.stateDirectory)/good/\(digest)")
    }
    let connection = try host.connect()
    try directory.copy(try BrokenPlugin.compile(broken, in: directory), as: "libSwapped.so")
    var statuses: Set<Int> = []
    try wait("the roll-back") {
      statuses.insert(try connection.request("GET", "/app/echo").status)
      return try host.plugin("gate")["rolled_back"]["to"].string == digest
    }
    statuses.insert(try connection.request("GET", "/app/echo").status)
    #expect(statuses == [200], "no client has met the bad release")
    #expect(try host.plugin("gate")["state"].string == "active")
    #expect(try host.get("/health/ready").status == 200)
    try expectBlameless(host)
  }

  @Test("without a good copy it is out, as its on-failure says", arguments: ["open", "closed"])
  func noGoodCopy(onFailure: String) throws {
    let directory = try TemporaryDirectory()
    let library = try BrokenPlugin.compile("refuses", in: directory)
    let host = try HostProcess(
      settings(middleware(library: library, "on-failure = \(onFailure)", "required = true")), in: directory)
    try expectFailed(host, "gate", "probe \(Self.probe) was answered 403, not 200")
    try expectBlameless(host)
    let answer = try host.get("/app/echo")
    #expect(answer.status == (onFailure == "open" ? 200 : 503))
    let ready = try host.get("/health/ready")
    #expect(ready.status == 503, "it is required")
    #expect(
      ready.json["failed_probes"].array.count == (onFailure == "open" ? 0 : 1),
      "a probe that meets who is out and closed is a failed one")
    if onFailure == "closed" { #expect(answer.json["plugin"].string == "gate") }
  }

  // MARK: Settings

  @Test("several that do wrong, each in its way, are found one behind the other")
  func several() throws {
    let host = try HostProcess(
      settings(
        middleware("refuser", "on-failure = open", "fault = problem", "phase = request")
          + middleware("changer", "on-failure = open", "fault = problem", "phase = response")
          + middleware("thrower", "fault = throw", "phase = request", "quarantine-after = 5/10s")
          + middleware("looker", "fault = problem", "phase = request", "mode = shadow")
          + middleware("idler", "fault = problem", "phase = request", "mode = off")))
    try expectFailed(host, "refuser", "probe \(Self.probe) was answered 418, not 200")
    try expectFailed(host, "changer", "probe \(Self.probe) was answered 418, not 200")
    try expectFailed(
      host, "thrower", "probe \(Self.probe) was answered 503, not 200: threw: thrown, as asked for")
    try expectBlameless(host, "looker")
    #expect(try host.plugin("idler")["state"].string == "off")
    try expectBlameless(host)
    #expect(try host.get("/app/echo").json["plugin"].string == "thrower")
  }

  @Test(
    "an edit of the settings that makes a plugin refuse everybody is held, and by force puts it out alone")
  func badSettings() throws {
    let host = try HostProcess(settings(middleware("gate", "on-failure = open")))
    let connection = try host.connect()
    try host.rewrite(settings(middleware("gate", "on-failure = open", "fault = problem", "phase = request")))
    try expectHeldThenForced(host, connection, "gate", reason: "start-failed")
    try expectFailed(host, "gate", "probe \(Self.probe) was answered 418, not 200")
    try host.rewrite(settings(middleware("gate", "on-failure = open", "tag = mended")))
    try host.waitFor(plugin: "gate", state: "active")
  }

  /// The plugin serves on while its edit is held; by force the edit is taken, and the plugin is out. No client meets it.
  private func expectHeldThenForced(
    _ host: HostProcess, _ connection: HTTPConnection, _ plugin: String, reason: String
  ) throws {
    var statuses: Set<Int> = []
    try wait("the edit to be held") {
      statuses.insert(try connection.request("GET", "/app/echo").status)
      return try host.diagnostics()["config"]["status"].string == "held"
    }
    let held = try host.diagnostics()["config"]["held"].array
    #expect(held.map { $0["plugin"].string } == [plugin], "\(held)")
    #expect(held.first?["reason"].string == reason, "\(held)")
    #expect(try host.plugin(plugin)["state"].string == "active")
    let forced = try host.command("reload", "--force")
    #expect(forced.status == .exited(0), "\(forced)")
    try wait("the edit to be taken") {
      statuses.insert(try connection.request("GET", "/app/echo").status)
      return try host.plugin(plugin)["state"].string == "failed"
    }
    #expect(statuses == [200])
  }

  @Test(
    "one that takes its thread or its worker along is not started again",
    arguments: ["trap", "exit", "hang"])
  func dies(fault: String) throws {
    let host = try HostProcess(settings(middleware("gate", "on-failure = open")))
    let connection = try host.connect()
    try host.rewrite(
      settings(
        middleware("gate", "on-failure = open", "fault = \(fault)", "phase = request", "timeout = 500ms")))
    let reasons = ["trap": "crashed", "exit": "exited", "hang": "hung"]
    try expectHeldThenForced(host, connection, "gate", reason: reasons[fault] ?? "")
    #expect(try host.plugin("gate")["reason"].string == reasons[fault])
    #expect(try host.get("/health/ready").status == 200)
    try expectBlameless(host)
  }

  @Test("one that is out already is not what is proven: it stays quarantined, and comes back by itself")
  func outAlready() throws {
    let directory = try TemporaryDirectory()
    let library = try BrokenPlugin.sabotaged("FaultPlugin", in: directory)
    func settings(_ tag: String) -> HostSettings {
      self.settings(
        Section.plugin("gate", library: library, ["mount = /gate", "paths = /app", "recover = 50ms..50ms"])
          + middleware("other", "on-failure = open", "tag = \(tag)"))
    }
    let host = try HostProcess(settings("one"), in: directory)
    try directory.write("sabotage", "request trap")
    #expect(try host.get("/app/echo").json["code"].string == "plugin-fault")
    // The next generation takes the place of the lost thread's, and its probe comes when the gate's back-off is over.
    let tainted = try host.worker().generation
    try wait("the next generation") { try host.worker().generation > tainted }
    let before = try host.worker().generation
    try host.rewrite(settings("two"))
    try wait("the edit to be taken") { try host.worker().generation > before }
    let plugin = try host.plugin("gate")
    #expect(plugin["state"].string == "quarantined", "\(plugin)")
    #expect(plugin["reason"].string == "crashed", "\(plugin)")
    #expect(try host.get("/health/ready").json["failed_probes"].array.count == 1)
    #expect(unlink("\(directory.path)/sabotage") == 0)
    try wait("the gate to come back") { try host.get("/app/echo").status == 200 }
    try wait("the probe to pass again") { try host.get("/health/ready").status == 200 }
  }

  @Test(
    "a handler that does not come back is not waited for as long as for a client's",
    arguments: ["echo", "blocking", "async"])
  func hangingHandler(route: String) throws {
    let host = try HostProcess(
      HostSettings(
        host: "probe = GET /sick/\(route) 200",
        plugins: Section.fault("sick", mount: "/sick", "paths = /nothing", "fault = hang", "phase = route")
          + Section.fault("other", mount: "/other", "paths = /nothing")))
    #expect(try host.plugin("sick")["state"].string == "failed")
    #expect(try host.plugin("sick")["reason"].string == "hung")
    #expect(try host.get("/other/echo").status == 200)
  }

  // MARK: Routers

  @Test(
    "a router is out that answers wrongly itself, or has no such route",
    arguments: [("/app/echo", "200, not 204"), ("/app/nothing", "404, not 204")])
  func router(target: String, outcome: String) throws {
    let host = try HostProcess(
      HostSettings(
        host: "probe = GET \(target) 204\nprobe = GET /other/echo 200",
        plugins: middleware() + Section.fault("app", mount: "/app", "paths = /nothing")
          + Section.fault("other", mount: "/other", "paths = /nothing")))
    try expectFailed(host, "app", "probe GET \(target) was answered \(outcome)")
    try expectBlameless(host, "gate")
    try expectBlameless(host, "other")
    #expect(try host.get("/health/ready").json["failed_probes"].array.count == 1)
  }

  @Test("a route that is missing is nobody's fault while a library is missing that may have had it")
  func missingLibrary() throws {
    let host = try HostProcess(
      HostSettings(
        host: "probe = GET /app/nothing 200",
        plugins: Section.plugin("gone", library: "Gone", ["on-failure = open"])
          + Section.fault("app", mount: "/app")))
    try expectBlameless(host)
    #expect(try host.get("/health/ready").json["failed_probes"].array.count == 1)
  }

  @Test("an answer of the host's own is nobody's fault: for want of a router, or of credentials")
  func hostsOwn() throws {
    let host = try HostProcess(
      HostSettings(
        host: "probe = GET /nothing 200\nprobe = GET /__version 201\nprobe = GET /app/private 200",
        plugins: Section.fault("app", mount: "/app")))
    try expectBlameless(host)
    #expect(try host.get("/health/ready").json["failed_probes"].array.count == 3)
  }
}

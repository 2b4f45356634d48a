import Foundation
import PluginTesting
import Testing

/// The first second of a host, and what its plugins may do in it.
@Suite("A cold start", .everyTree)
struct ColdStartTests {
  /// How long a host may be dark: generous, as the machine may be busy. The host means to take 100 ms.
  private static let light = Duration.seconds(5)

  private static let bystander = Section.plugin(
    "plain", library: "PlainCPlugin", ["mount = /plain", "paths = /plain/items"])

  /// A host that listens, and whose plugin `victim` breaks in its start as the file `sabotage` says.
  private func start(
    _ how: String, _ lines: String..., recover: String = "200ms..1s"
  ) throws -> HostProcess {
    let directory = try TemporaryDirectory()
    let library = try BrokenPlugin.sabotaged("FaultPlugin", in: directory)
    try directory.write("sabotage", "start \(how)")
    return try HostProcess(
      HostSettings(
        plugins: Section.plugin(
          "victim", library: library,
          ["mount = /victim", "paths = /victim", "recover = \(recover)"] + lines)
          + ColdStartTests.bystander),
      in: directory, waitsForPlugins: false, within: ColdStartTests.light)
  }

  @Test(
    "whatever a plugin does in its start, health is answered at once, the others are served, and it comes back by itself",
    arguments: ["hang", "trap", "exit", "throw"])
  func contained(how: String) throws {
    let host = try start(how, "start-timeout = 2s")
    let health = try host.get("/health", headers: [("Origin", Origin.own)])
    #expect(health.status == 200)
    #expect(health.header("Access-Control-Allow-Origin") == Origin.own)
    let plugin = try waitFor(host, "failed")
    let reasons = ["hang": "hung", "trap": "crashed", "exit": "exited", "throw": "start-failed"]
    #expect(plugin["reason"].string == reasons[how], "\(plugin)")
    if how == "hang" {
      #expect(plugin["last_fault"]["message"].string?.contains("start-timeout of 2s") == true, "\(plugin)")
    }
    #expect(try host.get("/plain/items/1").status == 200)
    let out = try host.get("/victim/echo")
    #expect(out.status == 503 && out.json["code"].string == "plugin-unavailable", "\(out.text)")
    try wait("the next try to be announced") { try host.plugin("victim")["retry_at"].string != nil }
    try FileManager.default.removeItem(atPath: host.directory.path + "/sabotage")
    _ = try waitFor(host, "active")
    #expect(try host.get("/victim/echo").status == 200)
    #expect(try host.get("/health").json["status"].string == "ok")
  }

  @Test(
    "while plugins start, the host says so: health 200, readiness 503, plugin paths 503 to be tried again")
  func starting() throws {
    let host = try start("hang", "start-timeout = 30s")
    let health = try host.get("/health")
    #expect(health.status == 200)
    #expect(health.json["status"].string == "starting")
    let ready = try host.get("/health/ready")
    #expect(ready.status == 503 && ready.json["reason"].string == "starting", "\(ready.text)")
    for path in ["/victim/echo", "/plain/items/1", "/nowhere"] {
      let answer = try host.get(path, headers: [("Origin", Origin.own)])
      #expect(answer.status == 503, "\(path)")
      #expect(answer.json["code"].string == "starting", "\(path): \(answer.text)")
      #expect(answer.header("Retry-After") == "1", "\(path)")
      #expect(answer.header("Access-Control-Allow-Origin") == Origin.own, "\(path)")
    }
    let preflight = try host.send(
      "OPTIONS", "/plain/items/1",
      headers: [("Origin", Origin.own), ("Access-Control-Request-Method", "GET")])
    #expect(preflight.status == 204 && preflight.header("Access-Control-Allow-Origin") == Origin.own)
    #expect(try host.get("/metrics").text.contains("bulkhead_starting 1"))
    let status = try host.command("status")
    #expect(status.output.contains("starting"), "\(status)")
    #expect(try host.stop() == .exited(0))
  }

  @Test("connections that the stand-in has taken go on in the worker that takes its place")
  func handOver() throws {
    let host = try start("slow", "start-timeout = 20s")
    let connection = try host.connect()
    #expect(try connection.request("GET", "/health").json["status"].string == "starting")
    var statuses: [Int] = []
    try wait("the plugins", within: .seconds(30)) {
      let status = try connection.request("GET", "/victim/echo").status
      if statuses.last != status { statuses.append(status) }
      return status == 200
    }
    #expect(statuses == [503, 200])
    #expect(try connection.request("GET", "/plain/items/1").status == 200)
    #expect(try host.get("/health").json["status"].string == "ok")
  }

  @Test(
    "a worker that dies is followed by one without the plugin that cannot start, which is back when it can")
  func afterDeath() throws {
    let directory = try TemporaryDirectory()
    let library = try BrokenPlugin.sabotaged("FaultPlugin", in: directory)
    let host = try HostProcess(
      HostSettings(
        plugins: Section.plugin(
          "victim", library: library, ["mount = /victim", "paths = /victim", "recover = 200ms..1s"])
          + ColdStartTests.bystander),
      in: directory)
    #expect(try host.get("/victim/echo").status == 200)
    try directory.write("sabotage", "start throw")
    let worker = try host.worker().pid
    kill(worker, SIGKILL)
    let plugin = try waitFor(host, "failed")
    #expect(plugin["reason"].string == "start-failed")
    #expect(try host.get("/plain/items/1").status == 200)
    try FileManager.default.removeItem(atPath: directory.path + "/sabotage")
    _ = try waitFor(host, "active")
    #expect(try host.get("/victim/echo").status == 200)
  }

  @Test("the operator's release of a plugin that has failed starts it again at once")
  func released() throws {
    let host = try start("throw", recover: "1h")
    _ = try waitFor(host, "failed")
    try FileManager.default.removeItem(atPath: host.directory.path + "/sabotage")
    let release = try host.command("release", "victim")
    #expect(release.status == .exited(0), "\(release)")
    _ = try waitFor(host, "active")
  }

  private func waitFor(_ host: HostProcess, _ state: String) throws -> JSONValue {
    var plugin = JSONValue.null
    try wait("the victim to be \(state)", within: .seconds(30)) {
      plugin = try host.plugin("victim")
      return plugin["state"].string == state
    }
    return plugin
  }
}

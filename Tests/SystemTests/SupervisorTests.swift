import Foundation
import PluginTesting
import Testing

/// Generations: what outlives them, and what does not.
@Suite("Generations")
struct SupervisorTests {
  private func settings(_ lines: String..., tag: String = "one") -> HostSettings {
    HostSettings(
      plugins: Section.plugin("fault", library: "FaultPlugin", ["mount = /fault", "paths = /fault"] + lines)
        + Section.fault("other", mount: "/other", "paths = /other", "tag = \(tag)"))
  }

  private func reload(_ host: HostProcess) throws {
    let before = try host.worker().generation
    let result = try host.command("reload")
    #expect(result.status == .exited(0), "\(result)")
    #expect(try host.worker().generation > before)
  }

  @Test(
    "an operator's quarantine outlives a reload, an edit elsewhere and the worker's death; an edit of its section ends it"
  )
  func operatorDecision() throws {
    let host = try HostProcess(settings())
    #expect(try host.command("quarantine", "fault").status == .exited(0))
    try reload(host)
    #expect(try host.plugin("fault")["state"].string == "quarantined")
    try host.rewrite(settings(tag: "two"))
    try wait("the edit") { try host.get("/other/echo").json["tag"].string == "two" }
    #expect(try host.plugin("fault")["state"].string == "quarantined")
    let worker = try host.worker().pid
    kill(worker, SIGKILL)
    try wait("the next worker") { try host.worker().pid != worker }
    let plugin = try host.plugin("fault")
    #expect(plugin["state"].string == "quarantined")
    #expect(plugin["reason"].string == "operator")
    #expect(try host.get("/fault/echo").status == 503)
    try host.rewrite(settings("timeout = 3s", tag: "two"))
    try wait("the edit of its own section") { try host.get("/fault/echo").status == 200 }
  }

  @Test("a quarantine outlives the worker's death with its back-off, and is released by command")
  func quarantineOutlivesDeath() throws {
    let host = try HostProcess(settings("recover = 600s"))
    #expect(try host.get("/fault/echo", headers: [("X-Fault", "throw")]).status == 503)
    let before = try host.waitFor(plugin: "fault", state: "quarantined")
    let worker = try host.worker().pid
    kill(worker, SIGKILL)
    try wait("the next worker") { try host.worker().pid != worker }
    let after = try host.plugin("fault")
    #expect(after["state"].string == "quarantined")
    #expect(after["last_fault"]["id"].string == before["last_fault"]["id"].string)
    #expect(after["retry_at"].string?.prefix(18) == before["retry_at"].string?.prefix(18))
    #expect(try host.command("release", "fault").status == .exited(0))
    #expect(try host.get("/fault/echo").status == 200)
  }

  @Test("a plugin that ends the process each time is tried ever more seldom")
  func backOffGrows() throws {
    let host = try HostProcess(settings("recover = 200ms..600s", "fault = exit", "phase = request"))
    var pauses: [Double] = []
    for round in 1...3 {
      let worker = try host.worker().pid
      try wait("death \(round)") {
        // Refused until its back-off is over; then the probe takes the worker along.
        _ = try? host.get("/fault/echo")
        return !RunningProcess.exists(worker)
      }
      let plugin = try host.waitFor(plugin: "fault", state: "quarantined")
      #expect(plugin["last_fault"]["reason"].string == "exited")
      let retry = try #require(plugin["retry_at"].string)
      let at = try #require(plugin["last_fault"]["at"].string)
      let format = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
      pauses.append(try Date(retry, strategy: format).timeIntervalSince(try Date(at, strategy: format)))
    }
    #expect(pauses[1] > pauses[0] * 1.5 && pauses[2] > pauses[1] * 1.5, "\(pauses)")
    #expect(try host.get("/health").json["status"].string == "degraded", "and it is never bare")
  }

  @Test("a bare host takes its plugins back by itself after a while, and at once when the file is edited")
  func leavesBare() throws {
    let host = try HostProcess(settings())
    func makeBare() throws {
      for _ in 0..<3 {
        let worker = try host.worker().pid
        kill(worker, SIGKILL)
        try wait("the next worker") { try host.worker().pid != worker }
      }
      #expect(try host.get("/health").json["status"].string == "bare")
      #expect(try host.command("status").output.contains("bare"))
    }
    try makeBare()
    try host.rewrite(settings(tag: "two"))
    try wait("the edit to bring the plugins back", within: .seconds(4)) {
      try host.get("/other/echo").json["tag"].string == "two"
    }
    try makeBare()
    let connection = try host.connect()
    #expect(try connection.request("GET", "/other/echo").status == 503)
    try wait("the plugins to be tried again", within: .seconds(20)) {
      try connection.request("GET", "/other/echo").status == 200
    }
  }

  @Test(
    "a plugin that ends the process as it starts is held back, and by force is left out of the next generation"
  )
  func exitsAtStart() throws {
    let host = try HostProcess(settings())
    let worker = try host.worker().pid
    let connection = try host.connect()
    try host.rewrite(settings("fault = exit", "phase = start"))
    var statuses: Set<Int> = []
    try wait("the edit to be held") {
      statuses.insert(try connection.request("GET", "/other/echo").status)
      return try host.get("/health").json["config"].string == "held"
    }
    #expect(try host.worker().pid == worker)
    #expect(try host.get("/fault/echo").status == 200)
    #expect(try host.command("reload", "--force").status == .exited(0))
    try wait("the next generation") {
      statuses.insert(try connection.request("GET", "/other/echo").status)
      return try host.worker().pid != worker
    }
    #expect(statuses == [200])
    let plugin = try host.plugin("fault")
    #expect(plugin["state"].string == "failed")
    #expect(plugin["last_fault"]["reason"].string == "exited", "\(plugin)")
    #expect(try host.get("/fault/echo").status == 503)
  }

  @Test("listeners that an edit adds are opened, those that it removes are closed, and the rest goes on")
  func listeners() throws {
    let directory = try TemporaryDirectory()
    func settings(_ names: String...) -> HostSettings {
      HostSettings(listen: names.map { "unix:\(directory.path)/\($0).sock" }, plugins: Section.fault())
    }
    let host = try HostProcess(settings("a", "b"), in: directory)
    let a = host.endpoints[0]
    let c = Endpoint.unix(path: "\(directory.path)/c.sock")
    let onB = try host.connect(listener: 1)
    #expect(try onB.request("GET", "/fault/echo").status == 200)
    try host.rewrite(settings("a", "c"))
    try wait("the new listener") { (try? HTTPConnection(c).request("GET", "/fault/echo").status) == 200 }
    #expect(try HTTPConnection(a).request("GET", "/fault/echo").status == 200)
    #expect(throws: HarnessError.self) { try HTTPConnection(host.endpoints[1]) }
    #expect(try onB.request("GET", "/fault/echo").status == 200, "a connection outlives its listener")
    // A listener that cannot be had changes nothing.
    try host.rewrite(
      HostSettings(listen: ["unix:\(directory.path)/a.sock", "203.0.113.1:1"], plugins: Section.fault()))
    try wait("the rejection") {
      try HTTPConnection(a).request("GET", "/__diag/plugins").json["config"]["status"].string == "rejected"
    }
    #expect(try HTTPConnection(c).request("GET", "/fault/echo").status == 200)
    let reload = try host.command("reload")
    #expect(reload.status == .exited(1))
    #expect(reload.errors.contains("203.0.113.1:1"))
  }

  @Test(
    "a broken file: reload says every error and ends with 1, status shows them, the metric is 1; mended, it is 0"
  )
  func brokenFile() throws {
    let host = try HostProcess(settings())
    let good = settings().text(stateDirectory: host.stateDirectory)
    try host.directory.write(
      "plugins.conf", good.replacing("[host]", with: "[host]\nlisen = x\nmax-body = lots"))
    let reload = try host.command("reload")
    #expect(reload.status == .exited(1))
    #expect(
      reload.errors.contains("plugins.conf:2:") && reload.errors.contains("plugins.conf:3:"), "\(reload)")
    let status = try host.command("status")
    #expect(status.status == .exited(0))
    #expect(status.output.contains("rejected") && status.output.contains("lisen"), "\(status)")
    try wait("the metric") { try host.get("/metrics").text.contains("bulkhead_config_rejected 1") }
    // A worker that is replaced meanwhile knows of it too.
    let worker = try host.worker().pid
    kill(worker, SIGKILL)
    try wait("the next worker") { try host.worker().pid != worker }
    #expect(try host.diagnostics()["config"]["status"].string == "rejected")
    try host.directory.write("plugins.conf", good)
    try wait("the mended file to be seen") { try host.diagnostics()["config"]["status"].string == "active" }
    #expect(try host.get("/metrics").text.contains("bulkhead_config_rejected 0"))
  }

  @Test("saving a file that says the same makes no generation")
  func unchanged() throws {
    let host = try HostProcess(settings())
    try host.rewrite(settings())
    try host.rewrite(settings(tag: "two"))
    try wait("the change") { try host.get("/other/echo").json["tag"].string == "two" }
    // A stand-in may have been one too.
    let generations = try host.get("/__diag/generations").json["generations"].array
    #expect(generations.filter { $0["bare"].bool == false }.count == 2, "\(generations)")
  }

  @Test("a worker past max-rss is replaced without loss")
  func recycled() throws {
    let host = try HostProcess(
      HostSettings(host: "max-rss = 64m", plugins: Section.fault("fault", mount: "/fault", "paths = /fault")))
    let before = try host.worker()
    let connection = try host.connect()
    try wait("the worker to be replaced", within: .seconds(30)) {
      #expect(try connection.request("GET", "/fault/echo", headers: [("X-Fault", "leak")]).status == 200)
      return try host.worker().generation > before.generation
    }
    #expect(try host.plugin("fault")["state"].string == "active")
  }

  @Test("max-rss below what any worker needs: it is said, and workers are replaced ever more seldom")
  func recycledInVain() throws {
    let directory = try TemporaryDirectory()
    let library = try BrokenPlugin.compile(
      "wild", in: directory, links: ["pthread"], defining: ["BALLAST=64"])
    let host = try HostProcess(
      HostSettings(
        host: "max-rss = 32m", plugins: Section.plugin("wild", library: library, ["mount = /wild"])),
      in: directory)
    try wait("the warning", within: .seconds(40)) { host.log.contains("a worker needs more than max-rss") }
    #expect(try host.worker().generation <= 4)
    #expect(try host.get("/wild/do/nothing").status == 200)
  }

  @Test("a state directory that is removed is made anew: operators find the host again, and faults a place")
  func stateDirectoryRemoved() throws {
    let host = try HostProcess(settings("recover = never"))
    try FileManager.default.removeItem(atPath: host.stateDirectory)
    try wait("the control socket", within: .seconds(20)) { try host.command("status").status == .exited(0) }
    #expect(try host.get("/fault/echo", headers: [("X-Fault", "throw")]).status == 503)
    try wait("the record") { try host.command("faults").output.contains("threw") }
    let second = try ReleaseBuild.run(["run", "--config", host.configurationPath])
    #expect(second.status == .exited(69), "it is locked: \(second)")
    try host.rewrite(settings(tag: "two"))
    try wait("the edit") { try host.get("/other/echo").json["tag"].string == "two" }
    #expect(try host.command("stop").status == .exited(0))
    #expect(try host.process.waitForExit(within: .seconds(10)) == .exited(0))
  }
}

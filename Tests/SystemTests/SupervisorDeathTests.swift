import Foundation
import PluginTesting
import Testing

/// The supervisor's own end, and what is left of it.
@Suite("Without a supervisor")
struct SupervisorDeathTests {
  /// A port that was free a moment ago.
  private func freePort() throws -> String { try HostProcess().endpoints[0].description }

  @Test("another host takes the address at once, while the old worker finishes what is in flight")
  func successor() throws {
    let address = try freePort()
    let settings = HostSettings(
      listen: [address], plugins: Section.fault("fault", mount: "/fault", "paths = /fault", "delay = 1500ms"))
    let first = try HostProcess(settings)
    let old = try first.worker().pid
    let busy = try first.connect()
    try busy.send("GET /fault/echo HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(try busy.end(within: .milliseconds(200)) == .open)
    first.process.send(signal: SIGKILL)
    #expect(try first.process.waitForExit(within: .seconds(5)) == .killed(signal: SIGKILL))
    let clock = ContinuousClock()
    let begin = clock.now
    var second: HostProcess?
    try wait("the next host to start", within: .seconds(5)) {
      second = try? HostProcess(settings, within: .seconds(5))
      return second != nil
    }
    #expect(clock.now - begin < .seconds(1))
    #expect(try second?.get("/health").status == 200)
    #expect(try busy.receive().status == 200)
    try wait("the old worker to end") { !RunningProcess.exists(old) }
  }

  @Test(
    "a worker that hangs in a plugin does not outlive its supervisor for long",
    arguments: ["request", "start"])
  func hangs(phase: String) throws {
    let directory = try TemporaryDirectory()
    let host = try HostProcess(
      HostSettings(
        host: "drain-timeout = 500ms", plugins: Section.fault("fault", mount: "/fault", "timeout = 600s")),
      in: directory)
    var workers = [try host.worker().pid]
    let connection = try host.connect()
    if phase == "request" {
      try connection.send("GET /fault/echo HTTP/1.1\r\nHost: a\r\nX-Fault: spin\r\n\r\n")
      #expect(try connection.end(within: .milliseconds(300)) == .open)
    } else {
      try host.rewrite(
        HostSettings(
          host: "drain-timeout = 500ms",
          plugins: Section.fault("fault", mount: "/fault", "fault = hang", "phase = start")))
      try wait("the next generation to be prepared") {
        let generations = try JSONValue(parsing: try host.command("status", "--json").output.utf8)[
          "generations"]
        workers += generations.array.filter { $0["state"].string == "starting" }.compactMap {
          $0["pid"].int.map(pid_t.init)
        }
        return workers.count > 1
      }
    }
    host.process.send(signal: SIGKILL)
    #expect(try host.process.waitForExit(within: .seconds(5)) == .killed(signal: SIGKILL))
    for worker in workers {
      try wait("worker \(worker) to end", within: .seconds(10)) { !RunningProcess.exists(worker) }
    }
  }

  @Test("faults are on record after the host has gone, and shown by the next one")
  func ledgerOutlives() throws {
    let settings = HostSettings(plugins: Section.fault("fault", mount: "/fault", "recover = never"))
    let first = try HostProcess(settings)
    #expect(try first.get("/fault/echo", headers: [("X-Fault", "throw")]).status == 503)
    let id = try #require(try first.plugin("fault")["last_fault"]["id"].string)
    #expect(try first.stop() == .exited(0))
    let listed = try first.command("faults", "--json")
    #expect(listed.status == .exited(0))
    #expect(try JSONValue(parsing: listed.output.utf8)["faults"][id, by: "id"]["reason"].string == "threw")
    let shown = try first.command("faults", id)
    #expect(shown.status == .exited(0) && shown.output.contains("thrown, as asked for"), "\(shown)")
    #expect(try first.command("faults", "0000000000000000").status == .exited(1))
    #expect(try first.command("status").status == .exited(69))
    let second = try HostProcess(settings, in: first.directory)
    #expect(try second.get("/__diag/faults").json["faults"][id, by: "id"] != .null)
    #expect(try second.plugin("fault")["state"].string == "active", "a new host tries it anew")
  }

  @Test("two hosts on one state directory: the second ends with 69, and the first is not disturbed")
  func oneStateDirectory() throws {
    let host = try HostProcess(HostSettings(plugins: Section.fault()))
    let second = try ReleaseBuild.run(["run", "--config", host.configurationPath])
    #expect(second.status == .exited(69))
    #expect(second.errors.contains("another running host"))
    #expect(try host.get("/fault/echo").status == 200)
    #expect(try host.command("status").status == .exited(0))
  }

  @Test("the control socket is the host's user's alone, and one that a dead host left is replaced")
  func controlSocket() throws {
    let settings = HostSettings(plugins: Section.fault())
    let first = try HostProcess(settings)
    let path = "\(first.stateDirectory)/control.sock"
    #expect(try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int == 0o600)
    first.process.send(signal: SIGKILL)
    #expect(try first.process.waitForExit(within: .seconds(5)) == .killed(signal: SIGKILL))
    #expect(try first.command("status").status == .exited(69))
    let second = try HostProcess(settings, in: first.directory)
    #expect(try second.command("status").status == .exited(0))
    #expect(try second.command("quarantine", "fautl").errors.contains("did you mean 'fault'?"))
    #expect(try second.command("stop").status == .exited(0))
    #expect(try second.process.waitForExit(within: .seconds(5)) == .exited(0))
    #expect(!FileManager.default.fileExists(atPath: path))
  }
}

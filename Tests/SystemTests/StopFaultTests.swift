import PluginTesting
import Testing

/// Plugins that do not let themselves be stopped.
@Suite("A plugin that faults as it is stopped")
struct StopFaultTests {
  @Test(
    "the host ends in good time, and the fault has a name",
    arguments: [("crash", "crashed"), ("hang", "hung")])
  func hostEnds(way: String, reason: String) throws {
    let wild = try WildHost("on-stop = \(way)", "timeout = 500ms")
    #expect(try wild.host.get("/other/echo").status == 200)
    // Were it waited for, it would be for the drain-timeout of 30 s.
    #expect(try wild.host.stop(within: .seconds(25)) == .exited(0))
    let fault = try wild.recorded()
    #expect(fault["reason"].string == reason)
    #expect(fault["message"].string?.hasPrefix("in its stop: ") == true, "\(fault)")
    #expect(wild.host.log.contains("plugin wild \(reason) in its stop"))
  }

  @Test("of a worker that was replaced it is on record, and held against nobody")
  func workerEnds() throws {
    let wild = try WildHost("on-stop = crash")
    let worker = try wild.host.worker().pid
    #expect(try wild.host.command("reload").status == .exited(0))
    try wait("the old worker to end", within: .seconds(25)) { !RunningProcess.exists(worker) }
    try wait("the record") { try wild.recorded()["reason"].string == "crashed" }
    #expect(try wild.host.plugin("wild")["state"].string == "active")
    #expect(try wild.outcome(of: "nothing") == "nothing")
  }
}

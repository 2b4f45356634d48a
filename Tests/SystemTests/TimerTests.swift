import PluginTesting
import Testing

/// What a plugin does without a request, on timers of the host's.
@Suite("A plugin's timers")
struct TimerTests {
  private func start(_ lines: String...) throws -> HostProcess {
    try HostProcess(
      HostSettings(
        plugins: Section.plugin(
          "fault", library: "FaultPlugin", ["mount = /fault", "paths = /fault", "recover = never"] + lines)
          + Section.fault("other", mount: "/other", "paths = /other")))
  }

  private func ticks(_ host: HostProcess) throws -> Int {
    let line = try host.get("/metrics").text.split(separator: "\n").first {
      $0.hasPrefix("plugin_fault_ticks_total ")
    }
    return line.flatMap { Double($0.split(separator: " ")[1]) }.map { Int($0) } ?? 0
  }

  @Test("they fire while their generation serves, and after a swap in the next one only")
  func serving() throws {
    let host = try start("timer = 10ms")
    try wait("the timer to fire") { try ticks(host) >= 5 }
    let before = try host.worker()
    #expect(try host.command("reload").status == .exited(0))
    try wait("the next generation") { try host.worker().generation > before.generation }
    try wait("the worker before to end", within: .seconds(45)) { !RunningProcess.exists(before.pid) }
    let seen = try ticks(host)
    try wait("the next generation's timer to fire") { try ticks(host) > seen }
    #expect(try host.plugin("fault")["faults"].int == 0)
    #expect(try host.stop() == .exited(0))
  }

  @Test(
    "a fault in one is the plugin's, whatever it is: it is out, and the rest is served",
    arguments: [
      ("throw", "threw"), ("trap", "crashed"), ("segv", "crashed"), ("stack", "crashed"), ("hang", "hung"),
      ("spin", "hung"), ("exit", "exited"),
    ])
  func fault(kind: String, reason: String) throws {
    let host = try start("timer = 50ms", "timeout = 500ms", "phase = timer", "fault = \(kind)")
    // It is out at once; the record comes when the backtrace has its symbols.
    try wait("the fault to be on record", within: .seconds(30)) {
      try host.plugin("fault")["last_fault"]["reason"].string == reason
    }
    let plugin = try host.waitFor(plugin: "fault", state: "quarantined", within: .seconds(30))
    #expect(try host.get("/other/echo").status == 200)
    #expect(try host.get("/fault/echo").json["code"].string == "plugin-unavailable")
    if kind == "throw" { #expect(plugin["last_fault"]["message"].string == "thrown, as asked for") }
    #expect(try host.stop() == .exited(0))
  }
}

import Foundation
import PluginTesting
import Testing

/// Faults are held against whom they are shown to be of, and counts of them never go back.
@Suite("Who is blamed")
struct BlameTests {
  private func start(_ lines: String...) throws -> HostProcess {
    let directory = try TemporaryDirectory()
    let library = try BrokenPlugin.compile("slow", in: directory)
    return try HostProcess(
      HostSettings(
        plugins: Section.plugin(
          "slow", library: library, ["mount = /slow", "paths = /slow", "recover = never"] + lines)
          + Section.fault("fault", mount: "/fault", "paths = /fault", "recover = never")
          + Section.fault("other", mount: "/other", "paths = /other")),
      in: directory)
  }

  /// Has the plugin do what the client may get no answer to.
  private func ask(_ deed: String, of host: HostProcess) {
    _ = try? host.get("/fault/echo", headers: [("X-Fault", deed), ("X-Fault-Phase", "route")])  // lint: allow
  }

  /// Sends a request that is in the plugin's hands for a while, and waits until it is.
  private func occupy(_ host: HostProcess, _ headers: String = "X-Slow-Route: 1500") throws -> HTTPConnection
  {
    let before = told(host)
    let connection = try host.connect()
    try connection.send("GET /slow/block HTTP/1.1\r\nHost: x\r\n\(headers)\r\n\r\n")
    try wait("it to be in the plugin's hands") { told(host) > before }
    return connection
  }

  /// How often the plugin has said that it takes its time.
  private func told(_ host: HostProcess) -> Int {
    host.log.components(separatedBy: "slow: takes its time").count
  }

  @Test("a worker killed from outside blames nobody, whatever was on its stacks, and rolls nothing back")
  func killed() throws {
    let host = try start()
    for expected in ["active", "quarantined"] {
      let worker = try host.worker().pid
      let connection = try occupy(host)
      kill(worker, SIGKILL)
      #expect(throws: HarnessError.self) { try connection.receive() }
      try wait("the next worker") { try host.worker().pid != worker }
      let plugin = try host.plugin("slow")
      // The second time in a row that it alone was there, it is held to be the cause: its memory may be what is wanting.
      #expect(plugin["state"].string == expected)
      #expect(plugin["rolled_back"] == .null)
      for innocent in ["fault", "other"] {
        #expect(try host.plugin(innocent)["state"].string == "active")
      }
    }
    #expect(host.log.contains("killed from outside, or by the kernel for want of memory"))
    #expect(host.log.contains("at work then: slow"))
  }

  @Test("who calls exit is named, though others have entered since")
  func exits() throws {
    let host = try start()
    for _ in 0..<3 {
      let worker = try host.worker().pid
      let later = try (0..<4).map { _ in try occupy(host) }
      ask("exit", of: host)
      try wait("the next worker") { try host.worker().pid != worker }
      #expect(try host.waitFor(plugin: "fault", state: "quarantined")["reason"].string == "exited")
      #expect(try host.plugin("slow")["state"].string == "active")
      #expect(try host.command("release", "fault").status == .exited(0))
      _ = later
    }
  }

  @Test("what faults in a worker that another has spoilt is answered and recorded, and held against nobody")
  func collateral() throws {
    let host = try start()
    let worker = try host.worker().pid
    let late = try occupy(host, "X-Slow-Route: 1200\r\nX-Slow-Then: trap")
    ask("segv", of: host)
    let answer = try late.receive()
    #expect(answer.status == 503)
    #expect(answer.json["plugin"].string == "slow")
    try wait("the next worker") { try host.worker().pid != worker }
    #expect(try host.waitFor(plugin: "fault", state: "quarantined")["reason"].string == "crashed")
    #expect(try host.plugin("slow")["state"].string == "active")
    #expect(try host.plugin("slow")["faults"].int == 0)
    #expect(try host.get("/slow/block").status == 200)
    try wait("its record") {
      try JSONValue(parsing: host.command("faults", "--json").output.utf8)["faults"]["slow", by: "plugin"][
        "collateral"
      ]
      .bool == true
    }
  }

  @Test("… also if the spoilt worker is killed before it has ended")
  func collateralThenKilled() throws {
    let host = try start()
    let worker = try host.worker().pid
    let late = try occupy(host, "X-Slow-Route: 700\r\nX-Slow-Then: trap")
    let last = try occupy(host, "X-Slow-Route: 20000")
    ask("segv", of: host)
    #expect(try late.receive().status == 503)
    kill(worker, SIGKILL)
    #expect(throws: HarnessError.self) { try last.receive() }
    try wait("the worker to be buried") { host.log.contains("after a fault that had spoilt it") }
    let plugin = try host.plugin("slow")
    #expect(plugin["state"].string == "active" && plugin["faults"].int == 0, "\(plugin)")
  }

  @Test("faults by reason are counted over crashes, reloads and edits")
  func counts() throws {
    let host = try start()
    func total(_ reason: String) throws -> Int? {
      let text = try host.get("/metrics").text
      let name = "bulkhead_plugin_faults_total{plugin=\"fault\",reason=\"\(reason)\"} "
      return text.split(separator: "\n").first { $0.hasPrefix(name) }.flatMap {
        Int($0.dropFirst(name.count))
      }
    }
    #expect(try total("crashed") == 0)
    for round in 1...3 {
      let generation = try host.worker().generation
      ask("trap", of: host)
      try wait("another worker") { try host.worker().generation > generation }
      #expect(try total("crashed") == round)
      #expect(try host.command("release", "fault").status == .exited(0))
      #expect(try host.command("reload").status == .exited(0))
      #expect(try total("crashed") == round)
    }
    #expect(try host.command("quarantine", "fault").status == .exited(0))
    #expect(try host.plugin("fault")["faults"].int == 3, "an operator's hand is no fault")
  }
}

import Foundation
import PluginTesting
import Testing

/// What no Swift code can catch: traps, signals, hangs and ends of the process.
@Suite("A plugin that takes its thread or process down", .everyTree)
struct CrashTests {
  private func start(_ lines: String...) throws -> HostProcess {
    let fault = ["mount = /fault", "paths = /fault", "recover = never"] + lines
    return try HostProcess(
      HostSettings(
        plugins: Section.plugin("fault", library: "FaultPlugin", fault)
          + Section.fault("other", mount: "/other", "paths = /other")))
  }

  @Test(
    "a crash in any phase: the plugin is named, the worker replaced, everything else served",
    arguments: ["trap", "index", "nil", "overflow", "segv", "abort", "stack"],
    ["request", "response", "route"])
  func crash(fault: String, phase: String) throws {
    let host = try start()
    let before = try host.worker()
    let connection = try host.connect()
    _ = try? connection.request(
      "GET", "/fault/echo", headers: [("X-Fault", fault), ("X-Fault-Phase", phase)])
    try wait("the worker to be replaced") { try host.worker().generation > before.generation }
    let plugin = try host.waitFor(plugin: "fault", state: "quarantined")
    #expect(plugin["last_fault"]["reason"].string == "crashed", "\(plugin)")
    #expect(try host.get("/fault/echo").json["code"].string == "plugin-unavailable")
    #expect(try host.get("/other/echo").status == 200)
    #expect(try host.worker().pid != before.pid)
    try wait("the tainted worker to end", within: .seconds(45)) { !RunningProcess.exists(before.pid) }
  }

  @Test(
    "the request that meets a trap is answered 503 plugin-fault with CORS, and the connection lives on",
    arguments: ["trap", "segv", "stack"])
  func crashAnswersItsRequest(fault: String) throws {
    let host = try start()
    let connection = try host.connect()
    let answer = try connection.request(
      "GET", "/fault/echo", headers: [("X-Fault", fault), ("Origin", Origin.own)])
    #expect(answer.status == 503)
    #expect(answer.json["code"].string == "plugin-fault")
    #expect(answer.json["plugin"].string == "fault")
    #expect(answer.header("Access-Control-Allow-Origin") == Origin.own)
    #expect(try connection.request("GET", "/other/echo").status == 200)
  }

  @Test("the record of a crash: signal, version, digest, request, and a backtrace with symbols")
  func crashRecord() throws {
    let host = try start()
    let before = try host.worker()
    _ = try? host.get("/fault/echo?crash=1", headers: [("X-Fault", "stack"), ("X-Request-Id", "crash-1")])
    try wait("the worker to be replaced") { try host.worker().generation > before.generation }
    let plugin = try host.waitFor(plugin: "fault", state: "quarantined")
    let fault = plugin["last_fault"]
    #expect(fault["signal"].string?.hasPrefix("SIG") == true, "\(fault)")
    #expect(fault["version"].string == "1.0.0")
    #expect(fault["sha256"].string == plugin["sha256"].string)
    #expect(fault["request_id"].string == "crash-1")
    #expect(fault["request"].string?.hasPrefix("GET /fault/echo") == true)
    #expect(fault["generation"].int == before.generation)
    #expect(fault["backtrace"].array.contains { ($0.string ?? "\($0)").contains("FaultPlugin") }, "\(fault)")
    #expect(
      try host.get("/__diag/faults").json["faults"].array.contains { $0["id"].string == fault["id"].string })
  }

  @Test("a trap leaves idle and busy connections open")
  func crashLeavesConnectionsOpen() throws {
    let host = try start()
    let connections = try (0..<20).map { _ in try host.connect() }
    for connection in connections { #expect(try connection.request("GET", "/other/echo").status == 200) }
    let before = try host.worker()
    _ = try? host.get("/fault/echo", headers: [("X-Fault", "trap")])
    try wait("the worker to be replaced") { try host.worker().generation > before.generation }
    for (index, connection) in connections.enumerated() {
      #expect(throws: Never.self, "connection \(index)") {
        let answer = try connection.request("GET", "/other/echo")
        #expect(answer.status == 200)
      }
    }
  }

  @Test(
    "a hang is ended at its timeout with 504 plugin-timeout, and the plugin is out",
    arguments: ["hang", "spin"], ["request", "route"])
  func hang(fault: String, phase: String) throws {
    let host = try start("timeout = 300ms")
    let connection = try host.connect()
    let clock = ContinuousClock()
    let begin = clock.now
    let answer = try connection.request(
      "GET", "/fault/echo", headers: [("X-Fault", fault), ("X-Fault-Phase", phase), ("Origin", Origin.own)])
    #expect(answer.status == 504)
    #expect(answer.json["code"].string == "plugin-timeout")
    #expect(answer.header("Access-Control-Allow-Origin") == Origin.own)
    #expect(clock.now - begin < .seconds(5))
    let plugin = try host.waitFor(plugin: "fault", state: "quarantined")
    #expect(plugin["last_fault"]["reason"].string == "hung")
    #expect(try host.get("/other/echo").status == 200)
  }

  @Test("a plugin that calls exit is named, and the worker replaced")
  func exits() throws {
    let host = try start()
    let before = try host.worker()
    _ = try? host.get("/fault/echo", headers: [("X-Fault", "exit")])
    try wait("the worker to be replaced") { try host.worker().generation > before.generation }
    let plugin = try host.waitFor(plugin: "fault", state: "quarantined")
    #expect(plugin["last_fault"]["reason"].string == "exited")
    #expect(try host.get("/other/echo").status == 200)
  }

  @Test("a trap on a thread of the plugin's own names the plugin")
  func backgroundTrap() throws {
    let host = try start()
    let before = try host.worker()
    _ = try? host.get("/fault/echo", headers: [("X-Fault", "background-trap")])
    try wait("the worker to be replaced") { try host.worker().generation > before.generation }
    let plugin = try host.waitFor(plugin: "fault", state: "quarantined")
    #expect(plugin["last_fault"]["reason"].string == "crashed")
    #expect(try host.get("/other/echo").status == 200)
  }

  @Test("kill -9 of the worker: it is replaced, nobody is blamed, and no connection is refused")
  func killedWorker() throws {
    let host = try start()
    let before = try host.worker()
    kill(before.pid, SIGKILL)
    // From here on every connection must be taken; a request may wait, and may not be refused.
    for _ in 0..<50 { #expect(try host.get("/other/echo").status == 200) }
    let after = try host.worker()
    #expect(after.pid != before.pid)
    #expect(after.generation > before.generation)
    #expect(try host.plugin("fault")["state"].string == "active")
    #expect(try host.plugin("other")["state"].string == "active")
    #expect(try host.get("/health").json["status"].string == "ok")
  }

  @Test("a worker killed again and again with no culprit: the host goes bare, and says so")
  func bare() throws {
    let host = try start()
    for _ in 0..<3 {
      let worker = try host.worker()
      kill(worker.pid, SIGKILL)
      try wait("the next worker") { try host.worker().pid != worker.pid }
    }
    #expect(try host.get("/health").json["status"].string == "bare")
    let answer = try host.get("/other/echo", headers: [("Origin", Origin.own)])
    #expect(answer.status == 503)
    #expect(answer.header("Access-Control-Allow-Origin") == Origin.own)
    #expect(try host.get("/__diag/plugins").status == 200)
  }

  @Test("kill -9 of the supervisor: its worker ends too, and another host can take its place")
  func killedSupervisor() throws {
    let host = try start()
    let worker = try host.worker().pid
    host.process.send(signal: SIGKILL)
    #expect(try host.process.waitForExit(within: .seconds(5)) == .killed(signal: SIGKILL))
    try wait("the worker to end") { !RunningProcess.exists(worker) }
  }
}

import Foundation
import PluginTesting
import Testing

/// Plugins that spoil what they share with the host: it is put right, others notice nothing, and whoever did it is named where
/// that can be told.
@Suite("A plugin that spoils what it shares with the host")
struct TamperTests {
  /// Kept-alive connections of others, asked again and again; each answer within a second.
  private struct Others {
    let connections: [HTTPConnection]

    init(_ host: HostProcess) throws {
      connections = try (0..<8).map { _ in try host.connect(timeout: .seconds(5)) }
      try expectServed("before")
    }

    func expectServed(_ when: String) throws {
      for (index, connection) in connections.enumerated() {
        let began = ContinuousClock.now
        #expect(
          try connection.request("GET", index.isMultiple(of: 2) ? "/health" : "/other/echo").status == 200,
          "\(when)")
        #expect(ContinuousClock.now - began < .seconds(1), "\(when)")
      }
    }
  }

  @Test(
    "the worker goes on, the others notice nothing, and it is named",
    arguments: [
      ("clear-nonblock", "O_NONBLOCK"), ("reset-handlers", "changed the handler of"),
      ("stop-self", "stopped its own process"), ("stop-by-kill", "stopped its own process"),
      ("thread-stop", "stopped its own process"),
      ("trap-floats", "floating-point exceptions"),
    ])
  func named(deed: String, message: String) throws {
    let wild = try WildHost()
    let others = try Others(wild.host)
    let worker = try wild.host.worker()
    _ = try wild.outcome(of: deed)
    try others.expectServed("after it")
    // Nobody is named for what a look finds between calls. Then the deed is done again.
    try wait("it to be named", within: .seconds(30)) {
      if try wild.host.plugin("wild")["reason"].string == "tampered" { return true }
      if wild.host.log.contains("which one is not known") { _ = try wild.outcome(of: deed) }
      return false
    }
    let plugin = try wild.host.plugin("wild")
    #expect(plugin["state"].string == "quarantined")
    #expect(plugin["last_fault"]["message"].string?.contains(message) == true, "\(plugin["last_fault"])")
    #expect(try wild.host.plugin("other")["state"].string == "active")
    try others.expectServed("at last")
    #expect(try wild.host.worker() == worker)
    // Faults of others are contained as before.
    let answer = try wild.host.get("/other/echo", headers: [("X-Fault", "segv"), ("X-Fault-Phase", "route")])
    #expect(answer.status == 503)
    #expect(try wild.host.waitFor(plugin: "other", state: "quarantined")["reason"].string == "crashed")
  }

  @Test(
    "what it frees, or writes to, of the host's ends its own call, and nothing else",
    arguments: [
      "write-table", "free-request", "free-exchange",
    ])
  func contained(deed: String) throws {
    let wild = try WildHost()
    let others = try Others(wild.host)
    #expect(try wild.outcome(of: deed) == "503")
    #expect(try wild.host.waitFor(plugin: "wild", state: "quarantined")["reason"].string == "crashed")
    try others.expectServed("after it")
    #expect(try wild.host.plugin("other")["state"].string == "active")
  }

  @Test("a count past every memory is taken for none")
  func absurd() throws {
    let wild = try WildHost()
    #expect(try wild.outcome(of: "absurd-count") == "nothing")
    for _ in 0..<100 { #expect(try wild.host.get("/other/echo").status == 200) }
  }

  @Test(
    "one that ends its own process by a signal, or by another program, is named at once",
    arguments: [
      ("kill-self", "signal 9"), ("execute", "exec"),
    ])
  func ended(deed: String, message: String) throws {
    let wild = try WildHost()
    let generation = try WildHost.generation(of: wild.host)
    let began = ContinuousClock.now
    WildHost.doAtAnyCost(deed, on: wild.host)
    try wild.waitForSuccessor(of: generation)
    #expect(ContinuousClock.now - began < .seconds(8), "not as long as the program runs")
    let plugin = try wild.host.waitFor(plugin: "wild", state: "quarantined")
    #expect(plugin["reason"].string == "exited")
    #expect(try wild.recorded()["message"].string?.contains(message) == true)
    #expect(try wild.host.plugin("other")["state"].string == "active")
  }

  @Test("one that resets handlers in its start does not come to serve, and is told why")
  func start() throws {
    let directory = try TemporaryDirectory()
    let library = try WildHost.library(in: directory, defining: ["RESETS_HANDLERS"])
    let host = try HostProcess(
      HostSettings(
        plugins: Section.plugin("wild", library: library, ["mount = /wild", "recover = never"])
          + Section.fault("other", mount: "/other", "paths = /other")),
      in: directory)
    let plugin = try host.plugin("wild")
    #expect(plugin["state"].string == "failed")
    #expect(plugin["reason"].string == "tampered")
    #expect(
      plugin["last_fault"]["message"].string?.hasPrefix("in its start it changed the handler of SIG") == true)
    let answer = try host.get("/other/echo", headers: [("X-Fault", "segv"), ("X-Fault-Phase", "route")])
    #expect(answer.status == 503, "it is contained")
  }

  @Test("with --debug nobody is late, and what crashes is contained")
  func debugging() throws {
    let host = try HostProcess(
      HostSettings(
        plugins: Section.fault(
          "fault", mount: "/fault", "paths = /fault", "timeout = 200ms", "recover = never")
          + Section.fault("other", mount: "/other", "paths = /other")),
      arguments: ["--debug"])
    #expect(host.log.contains("--debug: no plugin is late"))
    let waiting = try host.connect(timeout: .seconds(2))
    try waiting.send(
      "GET /fault/blocking HTTP/1.1\r\nHost: x\r\nX-Fault: hang\r\nX-Fault-Phase: route\r\n\r\n")
    #expect(throws: HarnessError.self) { try waiting.receive() }
    #expect(try host.plugin("fault")["state"].string == "active")
    _ = try host.get("/other/echo", headers: [("X-Fault", "trap"), ("X-Fault-Phase", "route")])
    #expect(try host.waitFor(plugin: "other", state: "quarantined")["reason"].string == "crashed")
  }
}

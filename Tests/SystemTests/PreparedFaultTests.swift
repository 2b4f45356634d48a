import Foundation
import PluginTesting
import Testing

/// A plugin that falls while its generation is prepared: the one that serves must not notice.
@Suite("The fault matrix of a generation in the making")
struct PreparedFaultTests {
  private static let faults = [
    "throw", "trap", "index", "nil", "overflow", "segv", "abort", "stack", "exit", "background-trap",
  ]

  private static func reasons(_ fault: String) -> [String] {
    switch fault {
    case "throw": ["start-failed"]
    case "exit": ["exited"]
    case "hang": ["hung"]
    default: ["crashed"]
    }
  }

  private static func victim(_ policy: String, _ lines: String...) -> String {
    Section.plugin(
      "victim", library: "FaultPlugin",
      ["mount = /victim", "paths = /victim, /plain/hello", "on-failure = \(policy)", "recover = never"]
        + lines)
  }

  /// Out of the victim's scope, and at work all the time.
  private static let bystander = Section.plugin(
    "plain", library: "PlainCPlugin", ["mount = /plain", "paths = /plain/items"])

  private func load(on host: HostProcess) throws -> SteadyLoad {
    try SteadyLoad(
      on: host.endpoints[0], clients: 16,
      turns: [SteadyLoad.get("/plain/items/1"), SteadyLoad.get("/health")])
  }

  @Test(
    "in its start or self-test: named with its reason, its scope answers by on-failure, and no request fails",
    arguments: ["start", "selftest"], ["closed", "open"])
  func matrix(phase: String, policy: String) throws {
    let host = try HostProcess(
      HostSettings(plugins: PreparedFaultTests.victim(policy) + PreparedFaultTests.bystander))
    let load = try load(on: host)
    var table = ["| fault | phase | on-failure | scope | reason |", "| --- | --- | --- | --- | --- |"]
    for fault in PreparedFaultTests.faults {
      let what = "\(fault) in \(phase), \(policy)"
      try host.rewrite(
        HostSettings(
          plugins: PreparedFaultTests.victim(policy, "fault = \(fault)", "phase = \(phase)")
            + PreparedFaultTests.bystander))
      table.append(try row(host, what, fault: fault, phase: phase, policy: policy))
      // Well again: an edit makes good what was forced.
      try host.rewrite(
        HostSettings(plugins: PreparedFaultTests.victim(policy) + PreparedFaultTests.bystander))
      #expect(try host.command("reload").status == .exited(0), "\(what)")
      _ = try host.waitFor(plugin: "victim", state: "active")
      #expect(try host.get("/victim/echo").status == 200, "\(what)")
    }
    let (served, failures) = load.end()
    print(table.joined(separator: "\n"))
    print("\(served) requests beside the faults, \(failures.count) of them failed")
    #expect(failures == [])
    #expect(served > 1000)
  }

  private func row(
    _ host: HostProcess, _ what: String, fault: String, phase: String, policy: String
  ) throws -> String {
    let held = try host.command("reload")
    if fault != "background-trap" {
      // What serves is not given up for it.
      #expect(held.status == .exited(1), "\(what): \(held)")
      #expect(held.errors.contains("victim: \(PreparedFaultTests.reasons(fault)[0])"), "\(what): \(held)")
      #expect(try host.get("/victim/echo").status == 200, "\(what)")
    }
    #expect(try host.command("reload", "--force").status == .exited(0), "\(what)")
    // A thread of the plugin's own may fall a moment after the generation was ready.
    let state = fault == "background-trap" ? "quarantined" : "failed"
    var plugin = try host.plugin("victim")
    try wait("\(what): the plugin to be out") {
      plugin = try host.plugin("victim")
      return plugin["state"].string == "failed" || plugin["state"].string == state
    }
    let reason = plugin["reason"].string ?? "none"
    #expect(PreparedFaultTests.reasons(fault).contains(reason), "\(what): \(plugin)")
    let scope = try host.get("/plain/hello", headers: [("Origin", Origin.own)])
    #expect(scope.status == (policy == "open" ? 200 : 503), "\(what): \(scope.text)")
    #expect(scope.header("Access-Control-Allow-Origin") == Origin.own, "\(what)")
    #expect(try host.get("/victim/echo").status == 503, "\(what)")
    return "| \(fault) | \(phase) | \(policy) | \(scope.status) | \(reason) |"
  }

  @Test("in dlopen: the same", arguments: ["throw", "trap", "segv", "abort", "stack", "exit"])
  func load(fault: String) throws {
    // The variable is the whole host's; only this library heeds it.
    let host = try HostProcess(
      HostSettings(plugins: PreparedFaultTests.bystander), environment: ["BULKHEAD_FAULT_LOAD": fault])
    let load = try load(on: host)
    for policy in ["closed", "open"] {
      try host.rewrite(
        HostSettings(plugins: PreparedFaultTests.victim(policy) + PreparedFaultTests.bystander))
      #expect(try host.command("reload").status == .exited(0))
      let plugin = try host.plugin("victim")
      #expect(plugin["state"].string == "failed", "\(plugin)")
      let expected = fault == "throw" ? ["load-failed"] : PreparedFaultTests.reasons(fault)
      #expect(expected.contains(plugin["reason"].string ?? "none"), "\(plugin)")
      #expect(try host.get("/plain/hello").status == (policy == "open" ? 200 : 503))
      #expect(try host.get("/victim/echo").status == 503)
    }
    let (served, failures) = load.end()
    #expect(failures == [])
    #expect(served > 20)
  }

  @Test(
    "that hangs: the generation is given up after start-timeout, and made without it",
    arguments: ["start", "selftest"])
  func hang(phase: String) throws {
    let host = try HostProcess(HostSettings(plugins: PreparedFaultTests.bystander))
    let load = try load(on: host)
    try host.rewrite(
      HostSettings(
        plugins: PreparedFaultTests.victim("closed", "fault = hang", "phase = \(phase)", "start-timeout = 1s")
          + PreparedFaultTests.bystander))
    let plugin = try host.waitFor(plugin: "victim", state: "failed", within: .seconds(60))
    #expect(plugin["reason"].string == "hung", "\(plugin)")
    #expect(try host.get("/plain/hello").status == 503)
    let (served, failures) = load.end()
    #expect(failures == [])
    #expect(served > 1000)
  }
}

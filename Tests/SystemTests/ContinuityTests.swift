import Foundation
import PluginTesting
import Testing

/// What operators read of a plugin goes on over a swap that changes nothing about it.
@Suite("Over generations")
struct ContinuityTests {
  private func status(_ host: HostProcess, of plugin: String) throws -> JSONValue {
    try JSONValue(parsing: Array(try host.command("status", "--json").output.utf8))["plugins"][
      plugin, by: "name"]
  }

  private func since(_ host: HostProcess, of plugin: String) throws -> Date {
    try Date(
      try #require(try status(host, of: plugin)["since"].string),
      strategy: Date.ISO8601FormatStyle(includingFractionalSeconds: true))
  }

  @Test("a plugin that cannot load is failed since it first failed so; an edit of its section begins anew")
  func since() throws {
    func settings(onFailure: String = "open") -> HostSettings {
      HostSettings(
        plugins: Section.fault()
          + Section.plugin(
            "gone", library: "NoSuchLibrary", ["mount = /gone", "on-failure = \(onFailure)"]))
    }
    let host = try HostProcess(settings())
    let first = try since(host, of: "gone")
    try wait("a second", within: .seconds(5)) { Date().timeIntervalSince(first) > 1.2 }
    #expect(try host.command("reload").status == .exited(0))
    #expect(abs(try since(host, of: "gone").timeIntervalSince(first)) < 0.5, "after a swap")
    let worker = try host.worker().pid
    kill(worker, SIGKILL)
    try wait("the next worker") { try host.worker().pid != worker }
    #expect(abs(try since(host, of: "gone").timeIntervalSince(first)) < 0.5, "after a death")
    try host.rewrite(settings(onFailure: "closed"))
    try wait("the edit") { try host.plugin("gone")["on_failure"].string == "closed" }
    #expect(try since(host, of: "gone").timeIntervalSince(first) > 1)
  }

  @Test("calls and faults go on over swaps and edits; a fault that ends the process counts too")
  func counts() throws {
    func settings(tag: String) -> HostSettings {
      HostSettings(
        plugins: Section.fault("fault", mount: "/fault", "paths = /fault", "recover = never", "tag = \(tag)")
          + Section.fault("other", mount: "/other", "paths = /other", "recover = never"))
    }
    let host = try HostProcess(settings(tag: "one"))
    for _ in 0..<3 { #expect(try host.get("/fault/echo").status == 200) }
    #expect(try host.get("/fault/echo", headers: [("X-Fault", "throw")]).status == 503)
    let calls = try #require(try host.plugin("fault")["calls"].int)
    #expect(calls >= 7)
    func expectCounts(_ when: String) throws {
      try wait("the counts \(when)") { try host.plugin("fault")["calls"].int == calls }
      #expect(try host.plugin("fault")["faults"].int == 1, "\(when)")
      #expect(try status(host, of: "fault")["calls"].int == calls, "\(when)")
      #expect(try status(host, of: "fault")["faults"].int == 1, "\(when)")
    }
    try expectCounts("at first")
    for _ in 0..<2 { #expect(try host.command("reload").status == .exited(0)) }
    #expect(try host.plugin("fault")["state"].string == "quarantined")
    try expectCounts("after two swaps")
    let worker = try host.worker().pid
    _ = try? host.get("/other/echo", headers: [("X-Fault", "exit")])
    try wait("the next worker") { (try? host.worker().pid).map { $0 != worker } ?? false }
    try expectCounts("after the worker's end")
    #expect(try host.plugin("other")["faults"].int == 1)
    try host.rewrite(settings(tag: "two"))
    try wait("the edit") { try host.get("/fault/echo").status == 200 }
    #expect(try #require(try host.plugin("fault")["calls"].int) > calls)
    #expect(try host.plugin("fault")["faults"].int == 1)
  }
}

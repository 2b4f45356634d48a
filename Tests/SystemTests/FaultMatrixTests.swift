import Foundation
import PluginTesting
import Testing

/// Every way to fail in every phase, closed and open, with clients of other routes who must not notice.
@Suite("The fault matrix", .serialized, .everyTree)
struct FaultMatrixTests {
  private static let faults = [
    "throw", "trap", "index", "nil", "overflow", "segv", "abort", "stack", "hang", "spin", "background-trap",
  ]
  private static let phases = ["request", "response", "route"]

  /// What the request that meets the fault is answered.
  private static func expected(_ fault: String, _ phase: String, _ policy: String) -> Int {
    // The call itself returns; the plugin falls a moment later.
    if fault == "background-trap" { return 200 }
    // An open middleware is left out of another plugin's route; a handler cannot be.
    if policy == "open" && phase != "route" { return 200 }
    return ["hang", "spin"].contains(fault) ? 504 : 503
  }

  private static func reason(_ fault: String) -> String {
    switch fault {
    case "throw": "threw"
    case "hang", "spin": "hung"
    default: "crashed"
    }
  }

  @Test(
    "32 keep-alive clients of other routes see no failure, reset or close, whatever falls beside them",
    arguments: ["closed", "open"])
  func matrix(policy: String) throws {
    let victim = Section.fault(
      policy, mount: "/\(policy)", "paths = /\(policy), /\(policy)-c", "on-failure = \(policy)",
      "timeout = 250ms", "recover = never")
    let host = try HostProcess(
      HostSettings(
        plugins: victim + Section.fault("other", mount: "/other", "paths = /other")
          + Section.plugin(
            "bystander", library: "PlainCPlugin", ["mount = /\(policy)-c", "paths = /\(policy)-c"])))
    let load = try SteadyLoad(
      on: host.endpoints[0], clients: 16,
      turns: [SteadyLoad.get("/other/echo"), SteadyLoad.get("/health")])
    var table = [
      "| fault | phase | on-failure | answer | reason | generation |",
      "| --- | --- | --- | --- | --- | --- |",
    ]
    // One of each kind is enough where the code is the same, and only the files lie elsewhere.
    let few = ["throw", "trap", "segv", "stack", "hang", "background-trap"]
    for fault in ReleaseBuild.isInstalled ? few : FaultMatrixTests.faults {
      for phase in FaultMatrixTests.phases {
        table.append(try row(host, fault: fault, phase: phase, policy: policy))
      }
    }
    let (served, failures) = load.end()
    print(table.joined(separator: "\n"))
    print("\(served) requests beside the faults, \(failures.count) of them failed")
    #expect(failures == [])
    #expect(served > (ReleaseBuild.isInstalled ? 300 : 1000))
  }

  private func row(_ host: HostProcess, fault: String, phase: String, policy: String) throws -> String {
    let what = "\(fault) in \(phase), \(policy)"
    let before = try host.worker().pid
    let connection = try host.connect()
    let answer = try connection.request(
      "GET", phase == "route" ? "/\(policy)/echo" : "/\(policy)-c/hello",
      headers: [("X-Fault", fault), ("X-Fault-Phase", phase), ("Origin", Origin.own)])
    #expect(answer.status == FaultMatrixTests.expected(fault, phase, policy), "\(what): \(answer.text)")
    #expect(answer.header("Access-Control-Allow-Origin") == Origin.own, "\(what)")
    #expect(try connection.request("GET", "/other/echo").status == 200, "\(what): the same connection")
    let plugin = try host.waitFor(plugin: policy, state: "quarantined")
    #expect(plugin["reason"].string == FaultMatrixTests.reason(fault), "\(what): \(plugin)")
    if fault != "throw" {
      // While both take connections, the next fault could fall in the one that is on its way out.
      try wait("\(what): the tainted worker to end", within: .seconds(40)) { !RunningProcess.exists(before) }
    }
    let generation = try host.worker().generation
    #expect(try host.command("release", policy).status == .exited(0), "\(what)")
    try wait("\(what): the plugin to be back") { try host.get("/\(policy)/echo").status == 200 }
    return
      "| \(fault) | \(phase) | \(policy) | \(answer.status) | \(plugin["reason"].string ?? "?") | \(generation) |"
  }
}

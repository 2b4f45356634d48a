import Foundation
import PluginTesting
import Testing

/// Swaps without end, under every kind of load.
@Suite("A storm of swaps", .serialized, .everyTree)
struct SwapStormTests {
  private func settings(_ tag: Int) -> HostSettings {
    HostSettings(plugins: Section.fault("other", mount: "/other", "tag = \(tag)"))
  }

  /// Descriptors that a process has open.
  private func descriptors(of pid: pid_t) throws -> Int {
    try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd").count
  }

  @Test("100 swaps in a row: nothing fails, is reset, refused or closed, and nothing is left behind")
  func hundred() throws {
    let count = ReleaseBuild.isInstalled ? 20 : 100
    let host = try HostProcess(settings(0))
    let supervisor = host.process.pid
    let before = try descriptors(of: supervisor)
    let endpoint = host.endpoints[0]
    let load = try SteadyLoad(
      on: endpoint, clients: 4,
      turns: [
        SteadyLoad.get("/other/echo"), SteadyLoad.pipelined("/other/echo"),
        SteadyLoad.slowUpload("/other/echo"),
        SteadyLoad.get("/other/blocking"), SteadyLoad.get("/other/stream"),
        { _ in
          // A client that never comes back: each connection is new.
          let answer = try HTTPConnection(endpoint).request("GET", "/other/echo")
          usleep(5000)
          return answer.status == 200 ? nil : "a new connection was answered \(answer.status)"
        },
      ])
    var workers: [pid_t] = []
    for round in 1...count {
      workers.append(try host.worker().pid)
      try host.rewrite(settings(round))
      host.process.send(signal: SIGHUP)
      try wait("tag \(round)") { try host.get("/other/echo").json["tag"].string == "\(round)" }
    }
    let (served, failures) = load.end()
    print("\(served) turns over \(count) swaps, \(failures.count) of them failed")
    #expect(failures == [])
    #expect(served > count)
    for worker in Set(workers) {
      try wait("worker \(worker) to end", within: .seconds(45)) { !RunningProcess.exists(worker) }
    }
    try wait("descriptors to be closed") { try descriptors(of: supervisor) <= before + 2 }
  }
}

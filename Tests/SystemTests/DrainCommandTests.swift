import Foundation
import PluginTesting
import Testing

/// `bulkhead drain`: out of a balancer's rotation, and back.
@Suite("The command drain")
struct DrainCommandTests {
  private func readiness(_ host: HostProcess) throws -> (status: Int, reason: String?) {
    let answer = try host.get("/health/ready")
    return (answer.status, answer.json["reason"].string)
  }

  private func status(_ host: HostProcess) throws -> JSONValue {
    try JSONValue(parsing: Array(try host.command("status", "--json").output.utf8))
  }

  @Test("drain: /health/ready answers 503 with reason draining, all else is served and told; and back")
  func drains() throws {
    let host = try HostProcess(HostSettings(plugins: Section.fault()))
    let worker = try host.worker().pid
    #expect(try readiness(host) == (200, nil))
    #expect(try status(host)["draining"].bool == false)
    let connection = try host.connect()
    #expect(try connection.request("GET", "/fault/echo").status == 200)
    #expect(try host.command("drain").status == .exited(0))
    #expect(try readiness(host) == (503, "draining"))
    #expect(try connection.request("GET", "/fault/echo").status == 200, "it is kept open")
    #expect(try host.get("/fault/echo").status == 200)
    #expect(try host.get("/health/live").status == 200)
    let health = try host.get("/health")
    #expect(health.status == 200)
    #expect(health.json["status"].string == "ok")
    #expect(health.json["draining"].bool == true)
    #expect(try host.diagnostics()["draining"].bool == true)
    #expect(try host.get("/metrics").text.contains("bulkhead_draining 1\n"))
    #expect(try status(host)["draining"].bool == true)
    #expect(try host.command("status").output.contains("\ndrain "))
    #expect(host.log.contains("draining"))
    #expect(try host.command("drain", "off").status == .exited(0))
    #expect(try readiness(host) == (200, nil))
    #expect(try host.get("/metrics").text.contains("bulkhead_draining 0\n"))
    #expect(try !host.command("status").output.contains("\ndrain "))
    #expect(try host.worker().pid == worker, "no new generation")
  }

  @Test("draining outlives a reload and the worker's death, and the host still ends with 0")
  func outlivesGenerations() throws {
    let host = try HostProcess(HostSettings(plugins: Section.fault()))
    let result = try host.command("drain", "on", "--json")
    #expect(try JSONValue(parsing: Array(result.output.utf8))["ok"].bool == true)
    #expect(try host.command("reload").status == .exited(0))
    #expect(try readiness(host) == (503, "draining"))
    let worker = try host.worker().pid
    kill(worker, SIGKILL)
    try wait("the next worker") { try host.worker().pid != worker }
    #expect(try readiness(host) == (503, "draining"))
    #expect(try host.command("drain", "maybe").status == .exited(64))
    #expect(try host.stop() == .exited(0))
  }

  @Test("a host that is not ready for another reason says which")
  func reasons() throws {
    let host = try HostProcess(
      HostSettings(plugins: Section.fault("fault", mount: "/fault", "required = true")))
    #expect(try host.command("quarantine", "fault").status == .exited(0))
    #expect(try readiness(host) == (503, "required-out"))
    #expect(try host.command("drain").status == .exited(0))
    #expect(try readiness(host) == (503, "draining"))
  }
}

import PluginTesting
import Testing

/// Blocking handlers run on one pool, and hang there until their `timeout`.
@Suite("A plugin whose blocking handlers all hang")
struct PoolShareTests {
  @Test("others' blocking handlers are served meanwhile, and its own requests are all answered in the end")
  func others() throws {
    let host = try HostProcess(
      HostSettings(
        plugins: Section.fault("fault", "paths = /nothing", "timeout = 5s", "recover = never")
          + Section.fault("other", mount: "/other", "paths = /nothing")))
    let endpoint = host.endpoints[0]
    let before = try host.worker().pid
    // More than the pool has threads; each on a connection that waits for its answer.
    let waiting = try (0..<48).map { _ in
      let connection = try HTTPConnection(endpoint, timeout: .seconds(60))
      try connection.send(
        "GET /fault/blocking HTTP/1.1\r\nHost: x\r\nX-Fault: hang\r\nX-Fault-Phase: route\r\n\r\n")
      return connection
    }
    for _ in 0..<20 { #expect(try host.get("/other/blocking").status == 200) }
    #expect(
      try host.plugin("fault")["state"].string == "active", "none of it may have waited for the hang's end")
    let statuses = try waiting.map { try $0.receive().status }
    #expect(Set(statuses).isSubset(of: [503, 504]), "\(statuses)")
    #expect(statuses.contains(504))
    #expect(try host.waitFor(plugin: "fault", state: "quarantined")["reason"].string == "hung")
    try wait("the worker with the frozen threads to be replaced") { try host.worker().pid != before }
    #expect(try host.get("/other/blocking").status == 200)
  }
}

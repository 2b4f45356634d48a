import PluginTesting
import Testing

/// A route whose handler awaits: what falls after the wait is attributed as in any other.
@Suite("Async routes")
struct AsyncRouteTests {
  @Test(
    "a fault after an await is the plugin's and the request's; others are served, and the plugin comes back",
    arguments: [
      ("throw", 503, "threw"), ("trap", 503, "crashed"), ("segv", 503, "crashed"), ("stack", 503, "crashed"),
      ("hang", 504, "hung"),
    ])
  func faults(fault: String, status: Int, reason: String) throws {
    let host = try HostProcess(
      HostSettings(
        plugins: Section.fault("fault", "paths = /fault", "recover = never", "timeout = 500ms")
          + Section.fault("other", mount: "/other", "paths = /other")))
    let neighbour = try host.connect()
    #expect(try neighbour.request("GET", "/other/async").status == 200)
    let answer = try host.get("/fault/async?q", headers: [("X-Fault", fault), ("X-Fault-Phase", "route")])
    #expect(answer.status == status, "\(answer.text)")
    let plugin = try host.waitFor(plugin: "fault", state: "quarantined")
    #expect(plugin["last_fault"]["reason"].string == reason, "\(plugin)")
    #expect(plugin["last_fault"]["request"].string?.contains("/fault/async") == true, "\(plugin)")
    #expect(try neighbour.request("GET", "/other/async").status == 200)
    #expect(try host.plugin("other")["faults"].int == 0)
    #expect(try host.command("release", "fault").status == .exited(0))
    try wait("the plugin to be back") { try host.get("/fault/async").status == 200 }
  }

  @Test("many at once await beside each other, and each is answered")
  func many() throws {
    let host = try HostProcess(HostSettings(plugins: Section.fault()))
    let endpoint = host.endpoints[0]
    let served = try onThreads(8) { _ in
      let connection = try HTTPConnection(endpoint)
      return try (0..<50).count {
        try connection.request("GET", "/fault/async?\($0)").json["query"].string == "\($0)"
      }
    }
    #expect(served == Array(repeating: 50, count: 8))
  }
}

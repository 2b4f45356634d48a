import PluginTesting
import Testing

/// Processes that plugins make: theirs, and no part of the worker, whatever they have inherited.
@Suite("A plugin that makes processes")
struct ForkTests {
  @Test(
    "programs are run, and children end, as anywhere else",
    arguments: [
      ("child-executes", "exit 0"), ("child-leaves", "exit 5"), ("child-shares-memory", "exit 6"),
      ("child-of-shell", "exit 7"),
    ])
  func ends(deed: String, end: String) throws {
    let wild = try WildHost("timeout = 20s")
    let worker = try wild.host.worker()
    #expect(try wild.outcome(of: deed) == end)
    #expect(try wild.host.worker() == worker)
  }

  @Test("a child that crashes is no fault of anybody in the worker")
  func crashes() throws {
    let wild = try WildHost("timeout = 20s")
    let worker = try wild.host.worker()
    #expect(try wild.outcome(of: "child-crashes") == "signal 11")
    #expect(try wild.host.worker() == worker)
    for plugin in ["wild", "other"] { #expect(try wild.host.plugin(plugin)["state"].string == "active") }
    #expect(try wild.recorded() == .null)
  }

  @Test("a child that comes back from its plugin is ended, and answers nobody")
  func returns() throws {
    let wild = try WildHost("timeout = 20s")
    let worker = try wild.host.worker()
    let connection = try wild.host.connect()
    #expect(try connection.request("GET", "/wild/do/child-returns").text == "exit 70")
    #expect(try connection.request("GET", "/other/echo").status == 200)
    #expect(try connection.end(within: .milliseconds(200)) == .open, "there is one answer to each")
    #expect(try wild.host.worker() == worker)
  }

  @Test("connections that have gone, and that a child still has open, mean nothing to the worker")
  func inherits() throws {
    let wild = try WildHost(host: "idle-timeout = 500ms")
    let worker = try wild.host.worker()
    let idle = try (0..<32).map { _ in try wild.host.connect() }
    for connection in idle { #expect(try connection.request("GET", "/other/echo").status == 200) }
    #expect(try wild.outcome(of: "child-stays") == "stays")
    try wait("the idle ones to be closed") {
      try wild.host.get("/metrics").text.contains("\nbulkhead_connections_open 1\n")
    }
    for connection in idle { try connection.send("GET /other/echo HTTP/1.1\r\nHost: a\r\n\r\n") }
    for _ in 0..<64 { #expect(try wild.host.get("/other/echo").status == 200) }
    #expect(try wild.host.worker() == worker)
    #expect(try wild.recorded() == .null)
  }
}

import Testing

@testable import bulkhead

@Suite("Worker: ending", .serialized)
struct EndingTests {
  private static let app = ActorPlugin.section("app", "ActorRouter", "mount = /app")

  @Test("a plugin is stopped once its last request is over")
  func stops() throws {
    let host = try TestHost(EndingTests.app)
    #expect(try host.send("GET", "/app/open").status == 200)
    let stopped = try ActorPlugin.counter("actor_stopped", of: "ActorRouter")
    host.worker.drain()
    try wait(for: "the loops to end") { !host.worker.isRunning }
    host.worker.stop(by: Clock.monotonic() + 2_000_000_000)
    #expect(try ActorPlugin.counter("actor_stopped", of: "ActorRouter") == stopped + 1)
  }

  @Test("a plugin in which a handler still runs is not stopped under its feet, though the client has gone")
  func leavesRunning() throws {
    let host = try TestHost(EndingTests.app)
    try ActorPlugin.setGate(open: false, of: "ActorRouter")
    defer { try? ActorPlugin.setGate(open: true, of: "ActorRouter") }
    let waiting = try ActorPlugin.counter("actor_waiting", of: "ActorRouter")
    do {
      let client = try host.connect()
      client.send(TestClient.request("GET", "/app/slow", [ActorPlugin.act("app", "route", "block")]))
      try wait(for: "the handler") { try ActorPlugin.counter("actor_waiting", of: "ActorRouter") > waiting }
      client.reset()
    }
    let stopped = try ActorPlugin.counter("actor_stopped", of: "ActorRouter")
    host.worker.drain()
    host.worker.stop(by: Clock.monotonic() + 200_000_000)
    #expect(try ActorPlugin.counter("actor_stopped", of: "ActorRouter") == stopped)
  }
}

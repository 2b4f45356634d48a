import Testing

@testable import bulkhead

@Suite("Worker: ending", .serialized)
struct EndingTests {
  /// The router's library: its counters and its gate are this test's alone.
  private let library: String

  init() throws { library = try ActorPlugin.copy(of: "ActorRouter") }

  private var app: String { ActorPlugin.section("app", library, "mount = /app") }

  @Test("a plugin is stopped once its last request is over")
  func stops() throws {
    let host = try TestHost(app)
    #expect(try host.send("GET", "/app/open").status == 200)
    let stopped = try ActorPlugin.counter("actor_stopped", of: library)
    host.worker.drain()
    try wait(for: "the loops to end") { !host.worker.isRunning }
    host.worker.stop(by: Clock.monotonic() + 2_000_000_000)
    #expect(try ActorPlugin.counter("actor_stopped", of: library) == stopped + 1)
  }

  @Test("a request that has arrived on an idle connection is answered, not reset")
  func arrived() throws {
    let host = try TestHost(app)
    try ActorPlugin.setGate(open: false, of: library)
    defer { try? ActorPlugin.setGate(open: true, of: library) }
    let (idle, blocker) = (try host.connect(), try host.connect())
    idle.send(TestClient.request("GET", "/health"))
    #expect(try idle.receive().status == 200)
    // The loop is held up, is told to drain, and then the request comes.
    blocker.send(TestClient.request("GET", "/app/open", [ActorPlugin.act("app", "route", "block")]))
    try wait(for: "the handler") { try ActorPlugin.counter("actor_waiting", of: library) == 1 }
    host.worker.drain()
    idle.send(TestClient.request("GET", "/app/open"))
    try ActorPlugin.setGate(open: true, of: library)
    let answer = try idle.receive()
    #expect(answer.status == 200)
    #expect(answer["Connection"] == "close")
    #expect(idle.receiveAll().end == .closed)
    try wait(for: "the loops to end") { !host.worker.isRunning }
  }

  @Test("a plugin in which a handler still runs is not stopped under its feet, though the client has gone")
  func leavesRunning() throws {
    let host = try TestHost(app)
    try ActorPlugin.setGate(open: false, of: library)
    defer { try? ActorPlugin.setGate(open: true, of: library) }
    let waiting = try ActorPlugin.counter("actor_waiting", of: library)
    do {
      let client = try host.connect()
      client.send(TestClient.request("GET", "/app/slow", [ActorPlugin.act("app", "route", "block")]))
      try wait(for: "the handler") { try ActorPlugin.counter("actor_waiting", of: library) > waiting }
      client.reset()
    }
    let stopped = try ActorPlugin.counter("actor_stopped", of: library)
    host.worker.drain()
    host.worker.stop(by: Clock.monotonic() + 200_000_000)
    #expect(try ActorPlugin.counter("actor_stopped", of: library) == stopped)
  }
}

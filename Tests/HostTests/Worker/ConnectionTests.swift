import Foundation
import Testing

@testable import bulkhead

private let act = ActorPlugin.act

@Suite("Connection", .serialized)
struct ConnectionTests {
  /// The router's library: its counters and its gate are this test's alone.
  private let library: String

  init() throws { library = try ActorPlugin.copy(of: "ActorRouter") }

  private var app: String { ActorPlugin.section("app", library, "mount = /app") }

  @Test("a client that pours in requests has its turn, and then it is the others'")
  func fairness() throws {
    let host = try TestHost(app)
    let loop = host.worker.loops[0]
    try ActorPlugin.setGate(open: false, of: library)
    defer { try? ActorPlugin.setGate(open: true, of: library) }
    let waiting = try ActorPlugin.counter("actor_waiting", of: library)
    // A Unix socket: what was sent can be read at once, to its end.
    var pair: [Int32] = [-1, -1]
    #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair) == 0)
    var size: Int32 = 208 << 10
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, 4)
    try FileDescriptor(raw: pair[1]).setNonBlocking()
    loop.post(.adopt(PassedConnection(descriptor: FileDescriptor(raw: pair[1]), isTCP: false)))
    let greedy = TestClient(descriptor: pair[0])
    let (modest, blocker) = (try host.connect(), try host.connect())
    for client in [greedy, modest] {
      client.send(TestClient.request("GET", "/health"))
      #expect(try client.receive().status == 200)
    }
    // The loop is held up in a handler of its own until both have sent.
    blocker.send(TestClient.request("GET", "/app/open", [act("app", "route", "block")]))
    try wait(for: "the handler") { try ActorPlugin.counter("actor_waiting", of: library) > waiting }
    let request = TestClient.request("GET", "/app/open", [("X-Fill", String(repeating: "x", count: 4000))])
    let count = 75
    greedy.send(String(repeating: request, count: count))
    modest.send(TestClient.request("GET", "/app/items/modest"))
    try ActorPlugin.setGate(open: true, of: library)
    #expect(try modest.receive().status == 200)
    for _ in 0..<count { #expect(try greedy.receive().status == 200) }
    try wait(for: "the loop to rest") { loop.turnStartedAt == 0 }
    let served = loop.recent.snapshot().sorted { $0.realtime < $1.realtime }.map { $0.path.string }
    #expect(served.last == "/app/open")
  }

  @Test("a stream that asks for the end of time is waited for, and the host lives")
  func later() throws {
    let host = try TestHost(app)
    let client = try host.connect()
    client.send(TestClient.request("GET", "/app/open", [act("app", "route", "later 18446744073709551615")]))
    #expect(try client.receiveHead().status == 200)
    #expect(try host.send("GET", "/health").status == 200)
  }

  @Test("a stream that fails is cut so that HTTP/1.0 can tell it from its end")
  func cut() throws {
    let host = try TestHost(app)
    let old = try host.connect()
    old.send("GET /app/open HTTP/1.0\r\nAct: app route cut 10\r\n\r\n")
    #expect(old.receiveAll().end == .reset)
    #expect(host.worker.faults.last(of: "app")?.message.contains("cut on purpose") == true)
    // Out of service: the next host has it again.
    let next = try TestHost(app)
    let new = try next.connect()
    new.send(TestClient.request("GET", "/app/open", [act("app", "route", "cut 10")]))
    #expect(!String(decoding: new.receiveAll().bytes, as: UTF8.self).hasSuffix("0\r\n\r\n"))
  }

  @Test("a reader of HTTP/1.0 that stalls past body-timeout meets a reset: half a body looks whole otherwise")
  func stalledReader() throws {
    let host = try TestHost(host: "body-timeout = 300ms", app)
    let released = try ActorPlugin.counter("actor_released", of: library)
    let client = try TestClient(port: host.port, receiveBuffer: 4096)
    client.send("GET /app/open HTTP/1.0\r\nAct: app route endless 100000\r\n\r\n")
    try wait(for: "the stream to be let go") {
      try ActorPlugin.counter("actor_released", of: library) > released
    }
    let (bytes, end) = client.receiveAll()
    #expect(bytes.starts(with: "HTTP/1.1 200 OK\r\n".utf8))
    #expect(end == .reset)
  }

  @Test("what is pipelined behind a long stream has its own time")
  func behindStream() throws {
    let host = try TestHost(host: "request-timeout = 1s", app)
    let client = try TestClient(port: host.port, receiveBuffer: 4096)
    client.send(
      TestClient.request("GET", "/app/open", [act("app", "route", "stream 40 200000")])
        + TestClient.request("GET", "/app/open"))
    // The reader takes its time: more than a request has.
    usleep(1_200_000)
    #expect(try client.receive().body.count == 8_000_000)
    #expect(try client.receive().status == 200)
  }

  @Test("a quiet stream whose client has gone is let go")
  func quietStream() throws {
    let host = try TestHost(host: "body-timeout = 300ms", app)
    let released = try ActorPlugin.counter("actor_released", of: library)
    do {
      let client = try host.connect()
      client.send(TestClient.request("GET", "/app/open", [act("app", "route", "later 20000000")]))
      #expect(try client.receiveHead().status == 200)
    }
    try wait(for: "the release") { try ActorPlugin.counter("actor_released", of: library) > released }
  }

  @Test("an endless stream whose client has gone is let go", arguments: [true, false])
  func endlessStream(byReset: Bool) throws {
    let host = try TestHost(app)
    let released = try ActorPlugin.counter("actor_released", of: library)
    do {
      let client = try host.connect()
      client.send(TestClient.request("GET", "/app/open", [act("app", "route", "endless 10000")]))
      #expect(try client.receiveHead().status == 200)
      if byReset { client.reset() }
    }
    try wait(for: "the release") { try ActorPlugin.counter("actor_released", of: library) > released }
    try wait(for: "the connection") { host.worker.loops[0].statistics.open.load(ordering: .relaxed) == 0 }
  }

  @Test("a half-closed client still gets a stream to its end")
  func halfClosed() throws {
    let host = try TestHost(app)
    let client = try host.connect()
    client.send(TestClient.request("GET", "/app/open", [act("app", "route", "stream 3 1000")]))
    client.finishSending()
    #expect(try client.receive().body.count == 3000)
    #expect(client.receiveAll().end == .closed)
  }

  @Test("a request over a Unix socket whose client has gone at once is served all the same")
  func unixFireAndForget() throws {
    let host = try TestHost(app)
    var pair: [Int32] = [-1, -1]
    #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair) == 0)
    try FileDescriptor(raw: pair[1]).setNonBlocking()
    let request = Array(TestClient.request("GET", "/app/open").utf8)
    #expect(write(pair[0], request, request.count) == request.count)
    close(pair[0])
    let route = try #require(
      host.worker.pipeline.routes.routes.first { $0.pattern == "/app/open" && $0.method == "GET" })
    let loop = host.worker.loops[0]
    loop.post(.adopt(PassedConnection(descriptor: FileDescriptor(raw: pair[1]), isTCP: false)))
    try wait(for: "the request to be served") { route.latency.counts().reduce(0, +) == 1 }
    try wait(for: "the connection to end") { loop.statistics.open.load(ordering: .relaxed) == 0 }
  }

  @Test("a loop gives back what one large response took")
  func largeResponse() throws {
    let host = try TestHost(app)
    let answer = try host.send("GET", "/app/open", [act("app", "route", "large 8000000")])
    #expect(answer.body.count == 8_000_000)
    #expect(try host.send("GET", "/health").status == 200)
    try wait(for: "the loop to rest") { host.worker.loops[0].turnStartedAt == 0 }
    #expect(host.worker.loops[0].output.capacity <= 1 << 20)
  }

  @Test("a large response to a slow reader waits for it, and the next request after it")
  func slowReader() throws {
    let host = try TestHost(app)
    let client = try TestClient(port: host.port, receiveBuffer: 4096)
    client.send(TestClient.request("GET", "/app/open", [act("app", "route", "large 4000000")]))
    client.send(TestClient.request("GET", "/app/slow"))
    client.send(TestClient.request("GET", "/health"))
    usleep(50_000)
    #expect(try client.receive().body.count == 4_000_000)
    #expect(try client.receive().status == 200)
    #expect(try client.receive().status == 200)
  }

  @Test("pipelined: what comes after a blocking handler is answered after it, also if it came while that ran")
  func pipelinedBlocking() throws {
    let host = try TestHost(app)
    try ActorPlugin.setGate(open: false, of: library)
    defer { try? ActorPlugin.setGate(open: true, of: library) }
    let waiting = try ActorPlugin.counter("actor_waiting", of: library)
    let client = try host.connect()
    client.send(TestClient.request("POST", "/app/slow", [act("app", "route", "block")], body: "abc"))
    client.send("GET /health HTTP/1.1\r\nHo")
    try wait(for: "the handler") { try ActorPlugin.counter("actor_waiting", of: library) > waiting }
    client.send("st: a\r\n\r\n")
    client.finishSending()
    usleep(20_000)
    try ActorPlugin.setGate(open: true, of: library)
    #expect(try client.receive().trail == ["app.route"])
    #expect(try client.receive().member("status") != nil)
    #expect(client.receiveAll().end == .closed)
  }
}

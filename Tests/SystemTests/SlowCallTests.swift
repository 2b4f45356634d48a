import Foundation
import PluginTesting
import Synchronization
import Testing

/// Calls that take long where others wait for the thread: the loop goes to another thread, and the request goes on.
@Suite("A plugin that is slow on a loop")
struct SlowCallTests {
  private func start(host lines: String = "threads = 2", _ section: String...) throws -> HostProcess {
    let directory = try TemporaryDirectory()
    let library = try BrokenPlugin.compile("slow", in: directory)
    return try HostProcess(
      HostSettings(
        host: lines,
        plugins: Section.plugin(
          "slow", library: library, ["mount = /slow", "paths = /slow", "recover = never"] + section)
          + Section.fault("other", mount: "/other", "paths = /other")),
      in: directory)
  }

  /// What others met while `body` ran: on eight connections that were there before, on every loop.
  private struct Others {
    var longest = Duration.zero
    var failures: [String] = []
    var count = 0
  }

  private func whileOthersAsk(_ host: HostProcess, _ body: () throws -> Void) throws -> Others {
    let found = Mutex(Others())
    let isOver = Atomic(false)
    let connections = try (0..<8).map { _ in try host.connect() }
    for connection in connections { #expect(try connection.request("GET", "/health").status == 200) }
    var failure: Error?
    onThreads(connections.count + 1) { index in
      guard index < connections.count else {
        do { try body() } catch { failure = error }
        return isOver.store(true, ordering: .releasing)
      }
      let path = index.isMultiple(of: 2) ? "/health" : "/other/echo"
      while !isOver.load(ordering: .acquiring) {
        let began = ContinuousClock.now
        do {
          let status = try connections[index].request("GET", path).status
          if status != 200 { found.withLock { $0.failures.append("\(path) answered \(status)") } }
        } catch {
          return found.withLock { $0.failures.append("\(path): \(error)") }
        }
        let spent = ContinuousClock.now - began
        found.withLock {
          $0.longest = max($0.longest, spent)
          $0.count += 1
        }
        usleep(2000)
      }
    }
    if let failure { throw failure }
    return found.withLock { $0 }
  }

  @Test(
    "nobody else waits for it, and its request is answered when it returns",
    arguments: ["X-Slow-Request", "X-Slow-Route", "X-Slow-Response"])
  func phases(header: String) throws {
    let host = try start("timeout = 20s")
    let worker = try host.worker()
    let others = try whileOthersAsk(host) {
      let slow = try (0..<3).map { _ in try host.connect() }
      for connection in slow {
        try connection.send("GET /slow/take HTTP/1.1\r\nHost: x\r\n\(header): 3000\r\n\r\n")
      }
      for connection in slow {
        let answer = try connection.receive()
        #expect(answer.status == 200)
        #expect(answer.text == answer.header("X-Request-Id"), "each gets its own")
        #expect(try connection.request("GET", "/slow/take").status == 200)
      }
    }
    #expect(others.failures.isEmpty, "\(others.failures.prefix(3))")
    #expect(others.longest < .seconds(1), "of 3 s: \(others.longest), in \(others.count) requests")
    let plugin = try host.plugin("slow")
    #expect(plugin["state"].string == "active", "to be slow is no fault")
    #expect(plugin["blocks_loops"].bool == true)
    #expect((plugin["slow_calls"].int ?? 0) >= 3)
    #expect(try host.command("status").output.contains("blocks loops; make it blocking or async"))
    #expect(host.log.contains("plugin slow took 3"), "\(host.log)")
    #expect(
      try host.get("/metrics").text.contains("bulkhead_plugin_slow_calls_total{plugin=\"slow\"}"))
    #expect(try host.worker() == worker)
  }

  @Test("requests behind it on its connection are answered after it, in their order")
  func pipelined() throws {
    let host = try start("timeout = 20s")
    let connection = try host.connect()
    let slow =
      "GET /slow/take HTTP/1.1\r\nHost: x\r\nX-Slow-Route: 400\r\nX-Request-Id: slow-SLOT-0000\r\n\r\n"
    let quick = "GET /other/echo HTTP/1.1\r\nHost: x\r\nX-Request-Id: quick-SLOT-000\r\n\r\n"
    var sent: [String] = []
    for index in 0..<6 {
      for request in [quick, slow, quick] {
        let text = request.replacing("SLOT", with: "\(index)")
        sent.append(String(text.split(separator: "X-Request-Id: ")[1].prefix { !$0.isNewline }))
        try connection.send(text)
      }
    }
    for identifier in sent {
      let answer = try connection.receive()
      #expect(answer.status == 200)
      #expect(answer.header("X-Request-Id") == identifier)
    }
  }

  @Test("it may be slow as often as it likes: threads come back")
  func often() throws {
    let host = try start("timeout = 20s")
    let worker = try host.worker()
    // After each pause its calls are made on a loop again, and lose it.
    for _ in 0..<2 {
      onThreads(8) { _ in
        guard let connection = try? host.connect() else { return }  // lint: allow, counted below
        for _ in 0..<20 {
          let answer = try? connection.request("GET", "/slow/take", headers: [("X-Slow-Route", "70")])
          #expect(answer?.status == 200)
        }
      }
      try wait("its calls to be made on loops again", within: .seconds(30)) {
        try host.plugin("slow")["blocks_loops"].bool == false
      }
    }
    #expect(try host.worker() == worker)
    #expect(try host.plugin("slow")["state"].string == "active")
  }

  @Test(
    "one that never returns is answered 504 at its timeout and quarantined, one that crashes late is crashed")
  func ends() throws {
    for (header, status, reason) in [("X-Nothing: 1", 504, "hung"), ("X-Slow-Then: trap", 503, "crashed")] {
      let host = try start("timeout = 700ms")
      let time = status == 504 ? "60000" : "300"
      let others = try whileOthersAsk(host) {
        let connection = try host.connect()
        try connection.send(
          "GET /slow/take HTTP/1.1\r\nHost: x\r\nX-Slow-Route: \(time)\r\nX-Request-Id: late-one-00000000\r\n\(header)\r\n\r\n"
        )
        let answer = try connection.receive()
        #expect(answer.status == status)
        #expect(answer.json["plugin"].string == "slow")
      }
      #expect(others.failures.isEmpty, "\(others.failures.prefix(3))")
      #expect(others.longest < .seconds(2), "\(others.longest)")
      let plugin = try host.waitFor(plugin: "slow", state: "quarantined")
      #expect(plugin["reason"].string == reason)
      #expect(plugin["last_fault"]["request_id"].string == "late-one-00000000")
    }
  }

  @Test("without a timeout of its own a handler on a loop has 2 s, a blocking one longer")
  func defaults() throws {
    let host = try start()
    let blocking = try host.get("/slow/block", headers: [("X-Slow-Route", "3000")])
    #expect(blocking.status == 200)
    let onLoop = try host.get("/slow/take", headers: [("X-Slow-Route", "20000")])
    #expect(onLoop.status == 504)
    #expect(onLoop.json["code"].string == "plugin-timeout")
  }

  @Test("a slow request behind a stream that a swap ends is answered")
  func behindStream() throws {
    let host = try start("timeout = 20s")
    let connection = try host.connect()
    try connection.send("GET /__diag/events HTTP/1.1\r\nHost: x\r\n\r\n")
    #expect(try connection.receiveHead().status == 200)
    try connection.send(
      "GET /slow/take HTTP/1.1\r\nHost: x\r\nX-Slow-Route: 400\r\nConnection: close\r\n\r\n")
    #expect(try host.command("reload").status == .exited(0))
    var bytes: [UInt8] = []
    while let more = try connection.receiveBytes(within: .seconds(15)), !more.isEmpty { bytes += more }
    let text = String(decoding: bytes, as: UTF8.self)
    #expect(text.contains("0\r\n\r\nHTTP/1.1 200 OK\r\n"), "\(text.suffix(400))")
  }

  @Test("swaps lose nothing of it: what is slow is answered by the worker that has it")
  func swaps() throws {
    let host = try start("timeout = 20s")
    let others = try whileOthersAsk(host) {
      for _ in 0..<3 {
        let slow = try (0..<4).map { _ in try host.connect() }
        for connection in slow {
          try connection.send("GET /slow/take HTTP/1.1\r\nHost: x\r\nX-Slow-Response: 900\r\n\r\n")
        }
        #expect(try host.command("reload").status == .exited(0))
        for connection in slow { #expect(try connection.receive().status == 200) }
      }
    }
    #expect(others.failures.isEmpty, "\(others.failures.prefix(3))")
  }
}

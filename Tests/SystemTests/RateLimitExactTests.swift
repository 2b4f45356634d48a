import Foundation
import PluginTesting
import RedisTesting
import Synchronization
import Testing

/// How many requests were let through, and how many refused, by any client.
private final class Tally: Sendable {
  private struct State {
    var passed = 0
    var refused = 0
    var isHurried = false
    var isOver = false
  }

  private let state = Mutex(State())
  var passed: Int { state.withLock { $0.passed } }
  var refused: Int { state.withLock { $0.refused } }

  /// From now on, one request follows another without a breath.
  func hurry() { state.withLock { $0.isHurried = true } }

  func end() { state.withLock { $0.isOver = true } }

  /// One request after another on one connection, until the end; throws on any other answer than 200 and 429.
  func ask(_ endpoint: Endpoint) throws {
    let connection = try HTTPConnection(endpoint)
    while !state.withLock({ $0.isOver }) {
      let answer = try connection.request("GET", "/fault/echo")
      guard answer.status == 200 || answer.status == 429 else {
        throw HarnessError.malformed("\(answer.status) \(answer.text)")
      }
      let isHurried = state.withLock { state in
        if answer.status == 200 { state.passed += 1 } else { state.refused += 1 }
        return state.isHurried
      }
      if !isHurried { usleep(3000) }
    }
  }
}

@Suite("Exact limits")
struct RateLimitExactTests {
  private static let limit = 6000

  private func settings(_ lines: String..., revision: Int = 0) -> HostSettings {
    HostSettings(
      host: "log-level = error",
      plugins: Section.plugin(
        "ratelimit", library: "RateLimitPlugin",
        ["limit = \(Self.limit)/7d by address name week"] + lines)
        + Section.fault("fault", mount: "/fault", "paths = /nothing")
        + Section.fault("revision", mount: "/revision-\(revision)", "paths = /nothing"))
  }

  /// Asks `hosts` from six clients at once, does `midway` when some have passed, and goes on until many are refused.
  ///
  /// - Returns: how many passed before `midway` was over, and in all.
  private func load(_ hosts: [HostProcess], midway: () throws -> Void) throws -> (before: Int, all: Int) {
    let tally = Tally()
    let endpoints = hosts.map { $0.endpoints[0] }
    let clients = Mutex<[Result<Void, any Error>]>([])
    let group = DispatchGroup()
    group.enter()
    Thread.detachNewThread {
      let results = onThreads(6) { index in Result { try tally.ask(endpoints[index % endpoints.count]) } }
      clients.withLock { $0 = results }
      group.leave()
    }
    defer {
      tally.end()
      group.wait()
    }
    try wait("the first to pass") { tally.passed > 50 }
    try midway()
    let before = tally.passed
    tally.hurry()
    try wait("the limit to be met", within: .seconds(60)) { tally.refused > 300 }
    tally.end()
    group.wait()
    for result in clients.withLock({ $0 }) { try result.get() }
    return (before, tally.passed)
  }

  private func swap(_ host: HostProcess, _ lines: String...) throws {
    let first = try host.worker().generation
    try host.rewrite(
      HostSettings(
        host: "log-level = error",
        plugins: Section.plugin(
          "ratelimit", library: "RateLimitPlugin",
          ["limit = \(Self.limit)/7d by address name week"] + lines)
          + Section.fault("fault", mount: "/fault", "paths = /nothing")
          + Section.fault("revision", mount: "/swapped", "paths = /nothing")))
    try wait("the swap") { try host.worker().generation > first }
  }

  @Test("of many clients' requests, with a swap in their midst, exactly as many pass as the limit allows")
  func overSwap() throws {
    let host = try HostProcess(settings())
    let (before, all) = try load([host]) { try swap(host) }
    #expect((51..<Self.limit).contains(before), "the swap was not in the midst: \(before)")
    #expect(all == Self.limit)
  }

  @Test(
    "two hosts that share a Redis let through exactly the limit together, with a swap of one in the midst")
  func twoHosts() throws {
    let server = try RedisServer()
    let store = ["store = \(server.address)", "redis-timeout = 1s"]
    let hosts = try (0..<2).map { _ in try HostProcess(settings(store[0], store[1])) }
    let (before, all) = try load(hosts) { try swap(hosts[0], store[0], store[1]) }
    #expect((51..<Self.limit).contains(before), "the swap was not in the midst: \(before)")
    #expect(all == Self.limit)
    for host in hosts {
      #expect(try host.get("/fault/echo").status == 429)
      #expect(try host.metric("plugin_ratelimit_redis_up") == 1)
      #expect(try host.metric("plugin_ratelimit_redis_fallback_total") == 0)
    }
  }

  @Test("a million clients, each with an address of its own, take no more memory than the table has")
  func manyClients() throws {
    let host = try HostProcess(
      HostSettings(
        host: "log-level = error\ntrusted-proxies = 127.0.0.1",
        plugins: Section.plugin(
          "ratelimit", library: "RateLimitPlugin", ["limit = 5/1d by address name day", "table-size = 65536"])
          + Section.fault("fault", mount: "/fault", "paths = /nothing")))
    let endpoint = host.endpoints[0]
    let pid = try host.worker().pid
    // 1000 addresses a connection: 10.A.B.C, and the connection ends with the last.
    @Sendable func visit(_ batches: Range<Int>) throws {
      for batch in batches {
        let connection = try HTTPConnection(endpoint)
        var text = ""
        for index in 0..<1000 {
          let client = batch * 1000 + index
          let address = "10.\(client >> 16).\(client >> 8 & 255).\(client & 255)"
          text += "GET /fault/echo HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: \(address)\r\n"
          text += index == 999 ? "Connection: close\r\n\r\n" : "\r\n"
        }
        // Sent by another thread, since the host stops reading while its answers are not read.
        let bytes = Array(text.utf8)
        nonisolated(unsafe) let own = connection
        let sender = DispatchGroup()
        sender.enter()
        let failure = Mutex<(any Error)?>(nil)
        Thread.detachNewThread {
          do { try own.send(bytes) } catch { failure.withLock { $0 = error } }
          sender.leave()
        }
        var received = 0
        while let more = try connection.receiveBytes(upTo: 1 << 20, within: .seconds(30)), !more.isEmpty {
          received += more.count
        }
        sender.wait()
        if let error = failure.withLock({ $0 }) { throw error }
        #expect(received > 100_000)
      }
    }
    // What the load itself costs is paid before it is measured.
    try visit(0..<70)
    let before = try #require(RunningProcess.residentBytes(pid))
    try onThreads(4) { try visit(70 + $0 * 235..<70 + ($0 + 1) * 235) }
    let after = try #require(RunningProcess.residentBytes(pid))
    #expect(after - before < 6 << 20, "\(before >> 10) KiB became \(after >> 10) KiB")
    #expect(try host.metric("plugin_ratelimit_shared_total") ?? 0 > 900_000)
    #expect(try host.worker().pid == pid)
    // Those who came first still have counters of their own.
    let first = try host.get("/fault/echo", headers: [("X-Forwarded-For", "10.0.0.0")])
    #expect(first.status == 200)
    #expect(first.header("RateLimit")?.contains("r=3") == true)
  }
}

extension HostProcess {
  /// A time series at /metrics without labels; nil if there is none.
  func metric(_ name: String) throws -> Double? {
    for line in try get("/metrics").text.split(separator: "\n") where line.hasPrefix(name + " ") {
      return Double(line.dropFirst(name.count + 1))
    }
    return nil
  }
}

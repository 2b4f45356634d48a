import Foundation
import PluginAPI
import PluginTesting
import Redis
import RedisTesting
import Synchronization
import Testing

@testable import RateLimitPlugin

@Suite("The rate limit plugin with a real Redis")
struct RedisStoreTests {
  private func host(
    _ store: String, _ limits: [String], regions: SharedRegions = SharedRegions(), timeout: String = "1s"
  ) throws -> InProcessHost {
    try InProcessHost(
      PluginTable.of(RateLimiter.self),
      settings: Fields(limits.map { ("limit", $0) } + [("store", store), ("redis-timeout", timeout)]),
      appliesTo: .all, regions: regions)
  }

  private func lines(_ host: InProcessHost, containing text: String) -> Int {
    host.logLines.count { $0.message.contains(text) }
  }

  @Test("several machines count together: of many requests at once, exactly as many pass as the limit allows")
  func exact() throws {
    let server = try RedisServer()
    // As on two machines: neither has the other's memory.
    let limits = ["300/1d by identity", "POST 1000/1d by address"]
    let hosts = [try host(server.address, limits), try host(server.address, limits)]
    let allowed = Atomic(0)
    // Two threads a host, as it has loops.
    try onThreads(4) { thread in
      for _ in 0..<150 {
        let answer = try hosts[thread % 2].send("POST", "/x", identity: Identity(subject: "ada"))
        if answer.status == 200 { allowed.add(1, ordering: .relaxed) }
      }
    }
    #expect(allowed.load(ordering: .relaxed) == 300)
    for host in hosts {
      #expect(host.metric("redis_up")?.value == 1)
      #expect(host.metric("redis_fallback_total")?.value == 0)
    }
  }

  @Test("fields and refusals are those of the local store")
  func fields() throws {
    let server = try RedisServer()
    let limits = ["100/1h by address name all", "POST /login 2/1h by address name login"]
    let shared = try host(server.address, limits)
    let local = try host("local", limits)
    for _ in 0..<4 {
      for (method, path) in [("GET", "/x"), ("POST", "/login")] {
        let (one, other) = (try shared.send(method, path), try local.send(method, path))
        #expect(one.status == other.status)
        for field in ["RateLimit", "RateLimit-Policy", "Retry-After"] {
          #expect(one.header(field) == other.header(field), "\(method) \(path) \(field)")
        }
      }
    }
    #expect(try shared.send("POST", "/login").status == 429)
  }

  @Test("clients are told apart by address, subject and header, and no value of theirs is stored")
  func clients() throws {
    let server = try RedisServer()
    let host = try host(server.address, ["GET 1/1d by api-key", "POST 1/1d by identity"])
    func get(_ key: String) throws -> Int {
      try host.send("GET", "/", headers: ["X-API-Key": key]).status
    }
    func post(_ subject: String?, _ client: String) throws -> Int {
      try host.send("POST", "/", identity: subject.map { Identity(subject: $0) }, client: client).status
    }
    #expect(try [get("very-secret"), get("very-secret"), get("other"), get("")] == [200, 429, 200, 200])
    #expect(
      try [post("ada", "192.0.2.1"), post("ada", "192.0.2.2"), post("bob", "192.0.2.1")] == [200, 429, 200])
    #expect(
      try [post(nil, "2001:db8::1"), post(nil, "2001:db8::ffff"), post(nil, "2001:db8:0:1::")] == [
        200, 429, 200,
      ])
    let connection = try RedisConnection(
      to: RedisAddress(parsing: server.address), through: Hiredis(), connectTimeout: .seconds(5),
      timeout: .seconds(5))
    let keys = try #require(try connection.send(RedisCommand("KEYS", "*")).array).compactMap(\.text)
    #expect(keys.count == 7)
    #expect(keys.allSatisfy { $0.hasPrefix(RedisCounters.prefix) && !$0.contains("secret") }, "\(keys)")
    for key in keys { #expect(try connection.send(RedisCommand("TTL", key)).integer ?? 0 > 0) }
  }

  @Test("a Redis that dies: counted locally at once, said once, and those who were refused stay refused")
  func fallback() throws {
    let server = try RedisServer()
    let host = try host(server.address, ["3/1d by address"])
    for _ in 0..<3 { #expect(try host.send("GET", "/").status == 200) }
    #expect(try host.send("GET", "/", client: "192.0.2.2").status == 200)
    server.kill()
    let begin = ContinuousClock.now
    let statuses = try (0..<10).map { _ in try host.send("GET", "/").status }
    let others = try (0..<4).map { _ in try host.send("GET", "/", client: "192.0.2.2").status }
    #expect(ContinuousClock.now - begin < .milliseconds(500))
    #expect(statuses == Array(repeating: 429, count: 10))
    #expect(others == [200, 200, 429, 429])
    try wait("the loss to be reported") { host.metric("redis_losses_total")?.value == 1 }
    try wait("the line") { lines(host, containing: "is away") == 1 }
    #expect(host.metric("redis_up")?.value == 0)
    #expect((host.metric("redis_fallback_total")?.value ?? 0) >= 13)
    try server.start()
    try wait("Redis to be found") { lines(host, containing: "is there") == 2 }
    #expect(host.metric("redis_up")?.value == 1)
    #expect(lines(host, containing: "is away") == 1)
  }

  @Test("a Redis that freezes holds up one request for no longer than redis-timeout")
  func frozen() throws {
    let server = try RedisServer()
    let host = try host(server.address, ["1000/1d by address"], timeout: "20ms")
    #expect(try host.send("GET", "/").status == 200)
    server.freeze()
    var longest = Duration.zero
    for _ in 0..<200 {
      let begin = ContinuousClock.now
      #expect(try host.send("GET", "/").status == 200)
      longest = max(longest, ContinuousClock.now - begin)
    }
    #expect(longest < .milliseconds(200), "\(longest)")
    try wait("the loss to be reported") { lines(host, containing: "is away") == 1 }
    server.thaw()
    try wait("Redis to be found") { host.metric("redis_up")?.value == 1 }
    #expect(try host.send("GET", "/").status == 200)
  }

  @Test("a Redis that is away at the start, or refuses, is no failure to start, and is said with its reason")
  func awayAtStart() throws {
    let server = try RedisServer(["--requirepass", "right"])
    let wrong = try host("redis://:wrong@127.0.0.1:\(server.port)", ["1/1d by address"])
    #expect(lines(wrong, containing: "WRONGPASS") == 1)
    #expect(wrong.logLines.allSatisfy { !$0.message.contains("wrong@") })
    server.kill()
    let away = try host("redis://:right@127.0.0.1:\(server.port)", ["2/1d by address"])
    #expect(lines(away, containing: "is away") == 1)
    #expect(try away.send("GET", "/").status == 200)
    try server.start()
    try wait("Redis to be found") { away.metric("redis_up")?.value == 1 }
    #expect(try away.send("GET", "/").status == 200)
  }

  @Test("a Redis that can not write (a replica) is taken to be away")
  func readOnly() throws {
    let server = try RedisServer()
    let replica = try RedisServer(["--replicaof", "127.0.0.1", "\(server.port)"])
    let host = try host(replica.address, ["1/1d by address"])
    #expect(host.metric("redis_up")?.value == 0)
    #expect(lines(host, containing: "READONLY") == 1, "\(host.logLines)")
    #expect(try [host.send("GET", "/").status, host.send("GET", "/").status] == [200, 429])
  }

  @Test("a Redis whose scripts are flushed goes on without a gap")
  func flushed() throws {
    let server = try RedisServer()
    let host = try host(server.address, ["3/1d by address"])
    let connection = try RedisConnection(
      to: RedisAddress(parsing: server.address), through: Hiredis(), connectTimeout: .seconds(5),
      timeout: .seconds(5))
    for _ in 0..<3 {
      #expect(try connection.send(RedisCommand("SCRIPT", "FLUSH")) == .status("OK"))
      #expect(try host.send("GET", "/").status == 200)
    }
    #expect(try host.send("GET", "/").status == 429)
    #expect(lines(host, containing: "is away") == 0)
    #expect(host.metric("redis_fallback_total")?.value == 0)
  }

  @Test("a store that is none, TLS, and a timeout out of range fail the start, and no password is shown")
  func badSettings() throws {
    for (store, timeout, expected) in [
      ("memcached://h", "20ms", "redis"), ("rediss://:secret@h", "20ms", "TLS"),
      ("unix:/run/redis.sock", "20ms", "store"), ("redis://:secret@h:99999", "20ms", "port"),
      ("redis://h", "0ms", "redis-timeout"), ("redis://h", "2s", "redis-timeout"),
    ] {
      let error = #expect(throws: StartFailure.self) { try host(store, ["1/s"], timeout: timeout) }
      #expect(error?.description.contains(expected) == true, "\(store): \(error.map { "\($0)" } ?? "")")
      #expect(error?.description.contains("secret") == false)
    }
  }
}

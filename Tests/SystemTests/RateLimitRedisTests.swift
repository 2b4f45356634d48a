import Foundation
import PluginTesting
import RedisTesting
import Synchronization
import Testing

/// How long answers take while a Redis goes and comes.
private final class Stopwatch: Sendable {
  private struct State {
    var longest = Duration.zero
    var count = 0
    var isOver = false
  }

  private let state = Mutex(State())
  var count: Int { state.withLock { $0.count } }

  func end() { state.withLock { $0.isOver = true } }

  /// The longest since the last call, from which on it is measured anew.
  func takeLongest() -> Duration {
    state.withLock { state in
      defer { state.longest = .zero }
      return state.longest
    }
  }

  /// Asks again and again until the end; throws on any answer but 200.
  func ask(_ endpoint: Endpoint) throws {
    let connection = try HTTPConnection(endpoint)
    while !state.withLock({ $0.isOver }) {
      let begin = ContinuousClock.now
      let answer = try connection.request("GET", "/fault/echo")
      let passed = ContinuousClock.now - begin
      guard answer.status == 200 else { throw HarnessError.malformed("\(answer.status) \(answer.text)") }
      state.withLock {
        $0.count += 1
        $0.longest = max($0.longest, passed)
      }
      usleep(1000)
    }
  }
}

@Suite("A Redis that goes and comes")
struct RateLimitRedisTests {
  private func start(_ store: String, _ limit: String) throws -> HostProcess {
    try HostProcess(
      HostSettings(
        plugins: Section.plugin(
          "ratelimit", library: "RateLimitPlugin", ["limit = \(limit)", "store = \(store)"])
          + Section.fault("fault", mount: "/fault", "paths = /nothing")))
  }

  private func isUp(_ host: HostProcess) throws -> Bool { try host.metric("plugin_ratelimit_redis_up") == 1 }

  @Test(
    "answers go on within 50 ms when it is killed or frozen, and it counts again when it is back",
    arguments: ["killed", "frozen"])
  func underLoad(_ how: String) throws {
    let server = try RedisServer()
    let host = try start(server.address, "10000000/1d by address name day")
    let endpoint = host.endpoints[0]
    let watch = Stopwatch()
    let clients = Mutex<[Result<Void, any Error>]>([])
    let group = DispatchGroup()
    group.enter()
    Thread.detachNewThread {
      let results = onThreads(4) { _ in Result { try watch.ask(endpoint) } }
      clients.withLock { $0 = results }
      group.leave()
    }
    defer {
      watch.end()
      group.wait()
    }
    func more(_ count: Int) throws {
      let target = watch.count + count
      try wait("more answers") { watch.count >= target }
    }
    try more(2000)
    // How long this machine, busy as it may be, lets one answer wait with nothing amiss.
    let usual = watch.takeLongest()
    if how == "killed" { server.kill() } else { server.freeze() }
    try wait("the loss to be seen") { try !isUp(host) }
    try more(2000)
    let away = watch.takeLongest()
    // 50 ms, and as much again for a machine that has become busier meanwhile.
    #expect(away <= .milliseconds(100) + usual * 2, "\(away), usually \(usual)")
    if how == "killed" { try server.start() } else { server.thaw() }
    try wait("the return to be seen") { try isUp(host) }
    // On a busy machine Redis may be late once more: then it is away for a moment more.
    try wait("five hundred answers of Redis's in a row") {
      let counted = try host.metric("plugin_ratelimit_redis_fallback_total")
      try more(500)
      return try host.metric("plugin_ratelimit_redis_fallback_total") == counted
    }
    let back = watch.takeLongest()
    watch.end()
    group.wait()
    for result in clients.withLock({ $0 }) { try result.get() }
    // Said once per change, however many requests met it.
    let losses = try #require(try host.metric("plugin_ratelimit_redis_losses_total"))
    #expect(losses >= 1 && losses < 10)
    func lines(_ text: String) -> Int { host.log.components(separatedBy: text).count - 1 }
    try wait("each loss and each return to have its line", within: .seconds(5)) {
      lines("is away") >= Int(losses) && lines("is there") >= lines("is away")
    }
    #expect(lines("is away") < 10)
    print("\(how): usually \(usual), away \(away), back \(back)")
  }

  @Test("while it is away, each host's own counters hold, and those who were refused stay refused")
  func localCounters() throws {
    let server = try RedisServer()
    let hosts = try (0..<2).map { _ in try start(server.address, "3/1d by header X-Client") }
    func statuses(_ host: HostProcess, _ client: String, _ count: Int) throws -> [Int] {
      try (0..<count).map { _ in try host.get("/fault/echo", headers: [("X-Client", client)]).status }
    }
    #expect(try statuses(hosts[0], "ada", 2) + statuses(hosts[1], "ada", 2) == [200, 200, 200, 429])
    #expect(try statuses(hosts[0], "ada", 1) == [429])
    server.kill()
    for host in hosts {
      #expect(try statuses(host, "ada", 2) == [429, 429])
      #expect(try statuses(host, "bob", 4) == [200, 200, 200, 429])
    }
    // A new Redis knows nothing: the limit holds for all together again from now on.
    try server.start()
    try wait("the return to be seen") { try hosts.allSatisfy(isUp) }
    #expect(try statuses(hosts[0], "eve", 2) + statuses(hosts[1], "eve", 2) == [200, 200, 200, 429])
  }

  @Test("a Redis that is away at the start is no reason not to serve; its password is shown nowhere")
  func awayAtStart() throws {
    let server = try RedisServer(["--requirepass", "pass-of-redis"])
    server.kill()
    let host = try start("redis://:pass-of-redis@127.0.0.1:\(server.port)", "3/1d by address")
    #expect(try host.plugin("ratelimit")["state"].string == "active")
    #expect(try host.get("/fault/echo").status == 200)
    #expect(host.log.contains("Redis at 127.0.0.1:\(server.port) is away"))
    try server.start()
    try wait("Redis to be found") { try isUp(host) }
    #expect(try !host.get("/__diag/config").text.contains("pass-of-redis"))
    #expect(try !host.get("/__diag/plugins").text.contains("pass-of-redis"))
    #expect(!host.log.contains("pass-of-redis"))
  }

  @Test("the shipped limits: 5 logins and 3 registrations a minute from one address")
  func shipped() throws {
    let host = try ShippedConfiguration.start()
    func post(_ path: String, _ json: String, _ count: Int) throws -> [HTTPResponse] {
      try (0..<count).map { _ in try host.send("POST", path, json: json) }
    }
    let logins = try post(
      "/api/v1/auth/login", #"{"email":"a@example.org","password":"wrong wrong wrong"}"#, 6)
    #expect(logins.map(\.status) == [401, 401, 401, 401, 401, 429])
    let refused = try #require(logins.last)
    #expect(refused.isProblem && refused.json["limit"].string == "login")
    #expect(refused.header("RateLimit-Policy")?.contains(#""login";q=5;w=60"#) == true)
    let registrations = try post("/api/v1/auth/register", #"{"email":"a","password":"b"}"#, 4)
    #expect(registrations.map(\.status) == [422, 422, 422, 429])
    let refreshes = try post("/api/v1/auth/refresh", #"{"refresh_token":"none"}"#, 31)
    #expect(refreshes.map(\.status).dropLast().allSatisfy { $0 == 401 })
    #expect(refreshes.last?.status == 429)
    #expect(try host.get("/api/v1/auth/_ping").status == 200)
  }

  @Test("the shipped limits: 10 orders a minute by one user, and cancelling is none")
  func orders() throws {
    let host = try ShippedConfiguration.start()
    let user = try Shop(host: host).register()
    func post(_ path: String, _ count: Int) throws -> [Int] {
      try (0..<count).map { _ in
        try host.send("POST", "/api/v1/generations\(path)", json: "{}", headers: [user.bearer]).status
      }
    }
    #expect(try post("", 11) == Array(repeating: 422, count: 10) + [429])
    #expect(try post("/00000000-0000-4000-8000-000000000000/cancel", 12).allSatisfy { $0 == 404 })
  }
}

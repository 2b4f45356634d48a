import DatabaseTesting
import Foundation
import PluginTesting
import Synchronization
import Testing

@testable import AuthPlugin

/// Hosts that share a PostgreSQL database, and what they do while it is away.
@Suite struct SharedDatabaseTests {
  /// Hosts of machines of their own: nothing is shared but the database.
  private func hosts(
    on database: PluginDatabase, _ settings: [String: String] = [:]
  ) throws -> (first: AuthHost, second: AuthHost, directories: [TemporaryDirectory]) {
    let directories = try (0..<2).map { _ in try TemporaryDirectory() }
    return (
      try AuthHost(on: database, settings, stateDirectory: directories[0].path),
      try AuthHost(on: database, settings, stateDirectory: directories[1].path), directories
    )
  }

  @Test("a logout on one host ends access token and refresh token on the other, which has the token cached")
  func logout() throws {
    let (first, second, _) = try hosts(on: try PluginDatabase(.postgreSQL))
    let grant = try first.register("ada@example.com")
    let other = try Grant(try second.logIn("ada@example.com"))
    #expect(try second.me(grant.accessToken).status == 200)
    #expect(try first.post("logout", "", token: grant.accessToken).status == 204)
    try wait("the other host to refuse it", every: .milliseconds(1)) {
      try second.me(grant.accessToken).status == 401
    }
    #expect(try second.refresh(grant.refreshToken).status == 401)
    #expect(try first.refresh(grant.refreshToken).status == 401)
    #expect(try first.me(other.accessToken).status == 200, "another login goes on")
    #expect(try second.refresh(other.refreshToken).status == 200)
  }

  @Test("a refresh token that is spent on both hosts ends its family on both")
  func reuse() throws {
    let (first, second, _) = try hosts(on: try PluginDatabase(.postgreSQL))
    let grant = try first.register("ada@example.com")
    let next = try Grant(try first.refresh(grant.refreshToken))
    #expect(try second.me(next.accessToken).status == 200)
    #expect(try second.refresh(grant.refreshToken).status == 401)
    for auth in [first, second] {
      try wait("both to refuse both access tokens", every: .milliseconds(1)) {
        try auth.me(grant.accessToken).status == 401 && auth.me(next.accessToken).status == 401
      }
      #expect(try auth.refresh(next.refreshToken).status == 401)
    }
  }

  @Test("of one refresh token's uses on two hosts at a time one at most gets through")
  func race() throws {
    let (first, second, _) = try hosts(on: try PluginDatabase(.postgreSQL))
    for round in 0..<5 {
      let token = try first.register("user\(round)@example.com").refreshToken
      let statuses = try onThreads(6) { try ($0 % 2 == 0 ? first : second).refresh(token).status }
      #expect(statuses.sorted() == [200, 401, 401, 401, 401, 401])
    }
  }

  @Test("logouts on two hosts at a time are each known to both: none is passed over")
  func manyLogouts() throws {
    let (first, second, _) = try hosts(
      on: try PluginDatabase(.postgreSQL), ["login-attempts-per-address": "1000"])
    let tokens = try (0..<24).map { try first.register("user\($0)@example.com").accessToken }
    for token in tokens { #expect(try second.me(token).status == 200) }
    let statuses = try onThreads(tokens.count) { index in
      try (index % 2 == 0 ? first : second).post("logout", "", token: tokens[index]).status
    }
    #expect(statuses.allSatisfy { $0 == 204 }, "\(statuses)")
    for auth in [first, second] {
      try wait("every token to be refused") { try tokens.allSatisfy { try auth.me($0).status == 401 } }
    }
  }

  @Test("failed logins are counted over both hosts, many at a time too")
  func throttle() throws {
    let (first, second, _) = try hosts(on: try PluginDatabase(.postgreSQL), ["login-attempts": "4"])
    let statuses = try onThreads(10) { try ($0 % 2 == 0 ? first : second).logIn("ada@example.com").status }
    #expect(statuses.count { $0 == 401 } == 4)
    #expect(statuses.count { $0 == 429 } == 6)
  }

  @Test(
    "while the server is away tokens are refused with 503 after the grace, and logins too; then all goes on")
  func serverAway() throws {
    let server = try PostgreSQLServer()
    let database = try PluginDatabase(on: server)
    let auth = try AuthHost(on: database, ["revocation-grace": "300ms"])
    let kept = try auth.register("ada@example.com")
    let ended = try auth.register("eve@example.com")
    #expect(try auth.post("logout", "", token: ended.accessToken).status == 204)
    try server.stop()
    var answer = try auth.visit("Bearer \(kept.accessToken)")
    try wait("the grace to be over") {
      answer = try auth.visit("Bearer \(kept.accessToken)")
      return answer.status != 200
    }
    #expect(answer.status == 503)
    #expect(answer.code == "database-unavailable")
    #expect(answer.header("Retry-After") != nil)
    #expect(answer.identity == nil && !answer.reachedHandler)
    #expect(try auth.visit("Bearer a.b.c").status == 401, "a forged token is refused all the same")
    for answer in [
      try auth.logIn("ada@example.com"), try auth.refresh(kept.refreshToken),
      try auth.post("register", #"{"email":"bob@example.com","password":"correct horse battery"}"#),
    ] {
      #expect(answer.status == 503)
      #expect(answer.header("Retry-After") != nil)
    }
    #expect(auth.host.logLines.contains { $0.message.hasPrefix("the database cannot be used: ") })
    try server.start()
    try wait("the token to be accepted again") {
      try auth.visit("Bearer \(kept.accessToken)").status == 200
    }
    #expect(try auth.visit("Bearer \(ended.accessToken)").status == 401)
    try wait("a login") { try auth.logIn("ada@example.com").status == 200 }
    let lines = auth.host.logLines.map(\.message)
    #expect(lines.count { $0.hasPrefix("revoked tokens cannot be read") } == 1, "\(lines)")
    #expect(lines.count { $0.hasPrefix("the list of revoked tokens is read again") } == 1)
    #expect(!lines.contains { $0.contains(PostgreSQLServer.password) })
  }

  @Test(
    "a database setting that is none is refused, and not shown", arguments: ["mysql://u:hush@h/d", "x hush"])
  func setting(_ text: String) throws {
    do {
      _ = try AuthHost(["database": text])
      Issue.record("it started")
    } catch StartFailure.startFailed(let message) {
      #expect(message.contains("'database'"))
      #expect(!message.contains("hush"))
    }
  }
}

@Suite struct PollingThreadTests {
  @Test("who waits gets a run that began after the call, at once")
  func runNow() throws {
    let runs = Mutex(0)
    let thread = PollingThread()
    try thread.start {
      runs.withLock { $0 += 1 }
      return 60_000
    }
    for _ in 0..<50 {
      let before = runs.withLock { $0 }
      #expect(thread.runNow(within: 10_000))
      #expect(runs.withLock { $0 } > before)
    }
    thread.stop(within: 10_000)
    let after = runs.withLock { $0 }
    #expect(!thread.runNow(within: 10_000), "a thread that has ended runs nothing")
    #expect(runs.withLock { $0 } == after)
  }

  @Test("who waits for a run that hangs gives up in time")
  func hanging() throws {
    let gate = DispatchSemaphore(value: 0)
    let thread = PollingThread()
    try thread.start {
      gate.wait()
      return 1
    }
    let began = ContinuousClock.now
    #expect(!thread.runNow(within: 50))
    #expect(ContinuousClock.now - began < .seconds(10))
    for _ in 0..<1000 { gate.signal() }
    thread.stop(within: 10_000)
  }
}

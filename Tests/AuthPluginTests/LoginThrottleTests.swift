import DatabaseSettings
import DatabaseTesting
import Foundation
import PluginTesting
import Testing

@testable import AuthPlugin

@Suite struct LoginThrottleTests {
  @Test(
    "after too many failures an e-mail is refused with 429 and Retry-After, with the right password too",
    arguments: Backend.allCases)
  func perEmail(on backend: Backend) throws {
    let auth = try AuthHost(on: backend, ["login-attempts": "3"])
    _ = try auth.register("ada@example.com")
    for _ in 0..<3 { #expect(try auth.logIn("ada@example.com", password: "wrong").status == 401) }
    let answer = try auth.logIn("ADA@example.com ", client: "198.51.100.7")
    #expect(answer.status == 429)
    #expect(answer.code == "too-many-logins")
    let wait = try #require(answer.header("Retry-After").flatMap { Int($0) })
    #expect((1...900).contains(wait))
    #expect(try auth.logIn("eve@example.com").status == 401, "another e-mail is not affected")
  }

  @Test("an e-mail without an account is throttled just the same", arguments: Backend.allCases)
  func unknown(on backend: Backend) throws {
    let auth = try AuthHost(on: backend, ["login-attempts": "2"])
    let statuses = try (0..<4).map { _ in try auth.logIn("nobody@example.com").status }
    #expect(statuses == [401, 401, 429, 429])
  }

  @Test(
    "a login that succeeds ends the count of its e-mail, and does not count for its address",
    arguments: Backend.allCases)
  func success(on backend: Backend) throws {
    let auth = try AuthHost(on: backend, ["login-attempts": "3", "login-attempts-per-address": "5"])
    _ = try auth.register("ada@example.com")
    for _ in 0..<4 {
      #expect(try auth.logIn("ada@example.com", password: "wrong").status == 401)
      #expect(try auth.logIn("ada@example.com").status == 200)
    }
  }

  @Test(
    "a client address is refused after failures with many e-mails; IPv6 counts by its /64",
    arguments: Backend.allCases)
  func perAddress(on backend: Backend) throws {
    let auth = try AuthHost(on: backend, ["login-attempts-per-address": "3"])
    for number in 0..<3 {
      #expect(try auth.logIn("a\(number)@example.com", client: "2001:db8::\(number + 1)").status == 401)
    }
    #expect(try auth.logIn("b@example.com", client: "2001:db8::ffff").status == 429)
    #expect(try auth.logIn("b@example.com", client: "2001:db8:0:1::1").status == 401)
    #expect(try auth.logIn("b@example.com", client: "192.0.2.9").status == 401)
  }

  @Test("attempts at the same time do not get past the limit", arguments: Backend.allCases)
  func race(on backend: Backend) throws {
    let auth = try AuthHost(on: backend, ["login-attempts": "3"])
    let statuses = try onThreads(10) { _ in try auth.logIn("ada@example.com").status }
    #expect(statuses.count { $0 == 401 } == 3)
    #expect(statuses.count { $0 == 429 } == 7)
  }

  @Test(
    "good logins at the same time all succeed, or are told to try again in a second; none counts as failed",
    arguments: Backend.allCases)
  func crowd(on backend: Backend) throws {
    let auth = try AuthHost(on: backend, ["login-attempts": "2"])
    _ = try auth.register("ada@example.com")
    let answers = try onThreads(10) { _ in try auth.logIn("ada@example.com") }
    #expect(answers.contains { $0.status == 200 })
    for answer in answers where answer.status != 200 {
      #expect(answer.status == 429)
      #expect(answer.code == "too-many-logins")
      #expect(answer.header("Retry-After") == "1")
    }
    #expect(try auth.logIn("ada@example.com").status == 200)
  }

  @Test(
    "attempts under way use up the limit, and are given back unless they fail", arguments: Backend.allCases)
  func underWay(on backend: Backend) throws {
    let database = try PluginDatabase(backend)
    let setting = try #require(DatabaseSetting(database.setting))
    let accounts = try AccountDatabase(setting, directory: database.directory)
    let throttle = LoginThrottle(database: accounts, limitPerEmail: 2, limitPerAddress: 9, window: 900_000)
    let keys = [192, 0, 2, 1 as UInt8].withUnsafeBytes {
      LoginThrottle.Keys(email: "ada@example.com", clientIP: $0)
    }
    let now: Int64 = 1_800_000_000_000
    func begin() throws -> LoginThrottle.Decision { try throttle.begin(keys, now: now) }
    func end(_ outcome: LoginThrottle.Outcome) throws {
      try accounts.pool.transaction { try throttle.end(keys, outcome, now: now, $0) }
    }
    #expect(try (0..<3).map { _ in try begin() } == [.allowed, .allowed, .crowded])
    try end(.abandoned)
    #expect(try [begin(), begin()] == [.allowed, .crowded])
    try end(.failed)
    #expect(try begin() == .crowded)
    try end(.succeeded)
    #expect(try [begin(), begin(), begin()] == [.allowed, .allowed, .crowded])
    try end(.failed)
    try end(.failed)
    #expect(try begin() == .refused(retryAfter: 900))
    #expect(try throttle.begin(keys, now: now + 900_000) == .allowed, "the window is over")
  }

  @Test("the count ends with its window", arguments: Backend.allCases)
  func window(on backend: Backend) throws {
    let auth = try AuthHost(on: backend, ["login-attempts": "1", "login-window": "1s"])
    #expect(try auth.logIn("ada@example.com").status == 401)
    let deadline = ContinuousClock.now + .seconds(10)
    var status = try auth.logIn("ada@example.com").status
    while status == 429, ContinuousClock.now < deadline {
      usleep(50_000)
      status = try auth.logIn("ada@example.com").status
    }
    #expect(status == 401)
  }

  @Test("it holds over a restart", arguments: Backend.allCases)
  func restart(on backend: Backend) throws {
    let first = try AuthHost(on: backend, ["login-attempts": "1"])
    #expect(try first.logIn("ada@example.com").status == 401)
    let second = try AuthHost(on: first.database, ["login-attempts": "1"], generation: 2)
    #expect(try second.logIn("ada@example.com").status == 429)
  }
}

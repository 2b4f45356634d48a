import DatabaseTesting
import Foundation
import PluginTesting
import Testing

@testable import AuthPlugin

@Suite struct LogoutTests {
  @Test(
    "after logout the access token and the refresh token are refused, and other logins are not",
    arguments: Backend.allCases)
  func logout(on backend: Backend) throws {
    let auth = try AuthHost(on: backend)
    let grant = try auth.register("ada@example.com")
    let other = try Grant(try auth.logIn("ada@example.com"))
    #expect(try auth.me(grant.accessToken).status == 200)
    let answer = try auth.post("logout", "", token: grant.accessToken)
    #expect(answer.status == 204)
    #expect(answer.body.isEmpty)
    let refused = try auth.me(grant.accessToken)
    #expect(refused.status == 401)
    #expect(refused.header("WWW-Authenticate")?.contains("revoked") == true)
    #expect(try auth.refresh(grant.refreshToken).status == 401)
    #expect(try auth.me(other.accessToken).status == 200)
    #expect(try auth.refresh(other.refreshToken).status == 200)
  }

  @Test(
    "logout ends the access tokens of earlier refreshes of the same login too", arguments: Backend.allCases)
  func family(on backend: Backend) throws {
    let auth = try AuthHost(on: backend)
    let first = try auth.register("ada@example.com")
    let second = try Grant(try auth.refresh(first.refreshToken))
    #expect(try auth.me(first.accessToken).status == 200)
    #expect(try auth.post("logout", "", token: second.accessToken).status == 204)
    #expect(try auth.me(first.accessToken).status == 401)
    #expect(try auth.me(second.accessToken).status == 401)
  }

  @Test("a second logout with the same token is 401", arguments: Backend.allCases)
  func twice(on backend: Backend) throws {
    let auth = try AuthHost(on: backend)
    let grant = try auth.register("ada@example.com")
    #expect(try auth.post("logout", "", token: grant.accessToken).status == 204)
    #expect(try auth.post("logout", "", token: grant.accessToken).status == 401)
  }

  @Test(
    "another generation that runs at the same time refuses the token at once, though it has it cached",
    arguments: Backend.allCases)
  func generations(on backend: Backend) throws {
    let regions = SharedRegions()
    let old = try AuthHost(on: backend, regions: regions)
    let new = try AuthHost(on: old.database, regions: regions, generation: 2)
    for round in 0..<5 {
      let grant = try old.register("ada\(round)@example.com")
      let other = try new.register("eve\(round)@example.com")
      for auth in [old, new] {
        #expect(try auth.me(grant.accessToken).status == 200)
        #expect(try auth.me(other.accessToken).status == 200)
      }
      #expect(try old.post("logout", "", token: grant.accessToken).status == 204)
      #expect(try new.post("logout", "", token: other.accessToken).status == 204)
      for auth in [new, old] {
        #expect(try auth.me(grant.accessToken).status == 401)
        #expect(try auth.me(other.accessToken).status == 401)
      }
    }
  }

  @Test("a restart forgets no logout", arguments: Backend.allCases)
  func restart(on backend: Backend) throws {
    let first = try AuthHost(on: backend)
    let grant = try first.register("ada@example.com")
    #expect(try first.post("logout", "", token: grant.accessToken).status == 204)
    let second = try AuthHost(on: first.database, generation: 2)
    #expect(try second.me(grant.accessToken).status == 401)
  }

  @Test(
    "a token without jti, of another issuer with the same key, can be logged out too",
    arguments: Backend.allCases)
  func withoutID(on backend: Backend) throws {
    let auth = try AuthHost(on: backend)
    let token = try TokenForge().token(TokenForge.claims(["jti": nil]))
    let other = try TokenForge().token(TokenForge.claims(["jti": nil, "sub": "user-2"]))
    #expect(try auth.visit("Bearer \(token)").status == 200)
    #expect(try auth.post("logout", "", token: token).status == 204)
    #expect(try auth.visit("Bearer \(token)").status == 401)
    #expect(try auth.visit("Bearer \(other)").status == 200)
  }

  @Test(
    "no request that begins after a logout's answer gets through, on any thread", arguments: Backend.allCases)
  func atOnce(on backend: Backend) throws {
    let auth = try AuthHost(on: backend, ["login-attempts-per-address": "1000"])
    for round in 0..<10 {
      let token = try auth.register("user\(round)@example.com").accessToken
      let lock = NSLock()
      nonisolated(unsafe) var isLoggedOut = false
      nonisolated(unsafe) var late = 0
      nonisolated(unsafe) var served = 0
      try onThreads(3) { thread in
        if thread == 0 {
          try wait("twenty requests", every: .microseconds(100)) { lock.withLock { served } >= 20 }
          _ = try auth.post("logout", "", token: token)
          lock.withLock { isLoggedOut = true }
        } else {
          var status = 200
          let deadline = Deadline(after: .seconds(20))
          while status == 200, !deadline.hasPassed {
            let began = lock.withLock { isLoggedOut }
            status = try auth.visit("Bearer \(token)").status
            lock.withLock {
              served += 1
              if began, status == 200 { late += 1 }
            }
          }
        }
      }
      #expect(late == 0)
      #expect(try auth.visit("Bearer \(token)").status == 401)
    }
  }
}

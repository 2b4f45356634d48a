import DatabaseTesting
import Foundation
import PluginTesting
import Testing

@testable import AuthPlugin

@Suite struct RefreshTests {
  @Test("a refresh token is good once, and gives its successor", arguments: Backend.allCases)
  func rotation(on backend: Backend) throws {
    let auth = try AuthHost(on: backend)
    var grant = try auth.register("ada@example.com")
    var seen: Set<String> = [grant.refreshToken]
    for _ in 0..<5 {
      grant = try Grant(try auth.refresh(grant.refreshToken))
      #expect(seen.insert(grant.refreshToken).inserted)
      #expect(try auth.me(grant.accessToken).status == 200)
    }
    #expect(grant.user["email"] as? String == "ada@example.com")
  }

  @Test(
    "a spent refresh token revokes its family: refresh tokens and access tokens, and no other login",
    arguments: Backend.allCases)
  func reuse(on backend: Backend) throws {
    let auth = try AuthHost(on: backend)
    let first = try auth.register("ada@example.com")
    let other = try Grant(try auth.logIn("ada@example.com"))
    let second = try Grant(try auth.refresh(first.refreshToken))
    #expect(try auth.me(second.accessToken).status == 200)

    let reused = try auth.refresh(first.refreshToken)
    #expect(reused.status == 401)
    #expect(reused.code == "invalid-refresh-token")
    #expect(try auth.refresh(second.refreshToken).status == 401)
    #expect(try auth.me(first.accessToken).status == 401)
    #expect(try auth.me(second.accessToken).status == 401)

    #expect(try auth.me(other.accessToken).status == 200)
    #expect(try auth.refresh(other.refreshToken).status == 200)
    #expect(auth.host.logLines.contains { $0.message.contains("spent refresh token") })
  }

  @Test(
    "of many uses of one refresh token at a time, one at most gets through, and the family ends",
    arguments: Backend.allCases)
  func race(on backend: Backend) throws {
    let auth = try AuthHost(on: backend)
    let token = try auth.register("ada@example.com").refreshToken
    let answers = try onThreads(8) { _ in try auth.refresh(token) }
    let winners = answers.filter { $0.status == 200 }
    #expect(winners.count == 1)
    for winner in winners { #expect(try auth.refresh(Grant(winner).refreshToken).status == 401) }
  }

  @Test(
    "all refusals are the same answer: unknown, spent, revoked, expired, malformed",
    arguments: Backend.allCases)
  func equalShape(on backend: Backend) throws {
    let auth = try AuthHost(on: backend, ["access-ttl": "1s", "refresh-ttl": "2s"])
    let expiring = try auth.register("ada@example.com")
    let spent = try auth.register("eve@example.com")
    let loggedOut = try auth.register("bob@example.com")
    _ = try auth.refresh(spent.refreshToken)
    #expect(try auth.post("logout", "", token: loggedOut.accessToken).status == 204)
    let tokens = ["unknown", "A.B.C", spent.refreshToken, loggedOut.refreshToken, loggedOut.accessToken]
    var answers = try tokens.map { try auth.refresh($0) }
    let until = ContinuousClock.now + .seconds(2)
    while ContinuousClock.now < until { usleep(20_000) }
    answers.append(try auth.refresh(expiring.refreshToken))
    var shapes: Set<String> = []
    for answer in answers {
      #expect(answer.status == 401)
      var json = answer.json
      json["request_id"] = nil
      shapes.insert("\(answer.headers) \(json.sorted { $0.key < $1.key })")
    }
    #expect(shapes.count == 1)
  }

  @Test(
    "an access token is no refresh token, and a refresh token no access token", arguments: Backend.allCases)
  func confusion(on backend: Backend) throws {
    let auth = try AuthHost(on: backend)
    let grant = try auth.register("ada@example.com")
    #expect(try auth.refresh(grant.accessToken).status == 401)
    #expect(try auth.me(grant.refreshToken).status == 401)
  }

  @Test("a refresh works with an expired access token in the header", arguments: Backend.allCases)
  func expiredHeader(on backend: Backend) throws {
    let auth = try AuthHost(on: backend, appliesTo: .all)
    let grant = try auth.register("ada@example.com")
    let expired = try TokenForge().token(TokenForge.claims(["exp": 1]))
    let answer = try auth.post("refresh", #"{"refresh_token":"\#(grant.refreshToken)"}"#, token: expired)
    #expect(answer.status == 200)
  }

  @Test("it survives a restart", arguments: Backend.allCases)
  func restart(on backend: Backend) throws {
    let first = try AuthHost(on: backend)
    let grant = try first.register("ada@example.com")
    let second = try AuthHost(on: first.database, generation: 2)
    #expect(try second.refresh(grant.refreshToken).status == 200)
    #expect(try first.refresh(grant.refreshToken).status == 401)
  }
}

import Foundation
import PluginAPI
import PluginTesting
import Testing

@testable import AuthPlugin

@Suite struct BearerTests {
  @Test("two Authorization fields are refused with 400, whichever is good; on a public route they are none")
  func repeated() throws {
    let auth = try AuthHost()
    let good = "Bearer " + (try TokenForge().token())
    for second in [good, "Bearer x", "Basic eDp5"] {
      for pair in [[good, second], [second, good]] {
        func visit(_ access: Routes.Access) throws -> Answer {
          try auth.host.send(
            "GET", "/api/v1/projects",
            headers: Fields([
              (name: "Authorization", value: pair[0]), (name: "authorization", value: pair[1]),
            ]),
            access: access)
        }
        let answer = try visit(.authenticated)
        #expect(answer.status == 400)
        #expect(answer.code == "invalid-request")
        #expect(answer.header("WWW-Authenticate")?.hasPrefix(#"Bearer error="invalid_request""#) == true)
        #expect(!answer.reachedHandler)
        #expect(try visit(.public).identity == nil)
      }
    }
  }

  let forge = TokenForge()

  @Test("a good token sets subject, e-mail, role, scopes and expiry, the first time and from the cache")
  func identity() throws {
    let auth = try AuthHost()
    let claims = TokenForge.claims(["role": "editor", "scope": "read write", "exp": 4_000_000_000])
    let token = try forge.token(claims)
    let expected = Identity(
      subject: "user-1", email: "ada@example.com", role: "editor", scopes: ["read", "write"],
      expiresAt: 4_000_000_000)
    for _ in 0..<3 {
      let answer = try auth.visit("Bearer \(token)")
      #expect(answer.status == 200)
      #expect(answer.identity == expected)
    }
    #expect(auth.host.metric("tokens_verified_total")?.count == 1)
  }

  @Test(
    "a token that other issuers may send is accepted",
    arguments: [
      ["aud": ["other", "bulkhead"]], ["exp": 4e9 + 0.5], ["email": nil], ["jti": nil], ["iat": nil],
      ["nbf": 0], ["unknown": ["a": 1]],
    ] as [[String: (any Sendable)?]])
  func accepted(_ changes: [String: (any Sendable)?]) throws {
    let token = try forge.token(TokenForge.claims(changes.mapValues { $0 }))
    #expect(try AuthHost().visit("Bearer \(token)").status == 200)
  }

  @Test("a token that expired within the leeway is accepted")
  func leeway() throws {
    let token = try forge.token(TokenForge.claims(["exp": Int(Date().timeIntervalSince1970) - 2]))
    #expect(try AuthHost(["leeway": "5m"]).visit("Bearer \(token)").status == 200)
  }

  @Test("the scheme is compared without case", arguments: ["bearer", "BEARER", "Bearer "])
  func scheme(_ scheme: String) throws {
    #expect(try AuthHost().visit("\(scheme) \(forge.token())").status == 200)
  }

  @Test(
    "without a bearer token the request goes on, and the host answers",
    arguments: [nil, "Basic YWRhOnB3", "Bearer", "Bearerx y", ""])
  func anonymous(_ authorization: String?) throws {
    let answer = try AuthHost().visit(authorization)
    #expect(answer.status == 401)
    #expect(answer.header("WWW-Authenticate") == "Bearer")
    #expect(answer.identity == nil)
  }

  @Test("on a public route a bad token counts as none, and a good one is told")
  func publicRoute() throws {
    let auth = try AuthHost(appliesTo: .all)
    let bad = try auth.visit("Bearer nonsense", access: .public)
    #expect(bad.status == 200)
    #expect(bad.identity == nil)
    #expect(try auth.visit("Bearer \(forge.token())", access: .public).identity?.subject == "user-1")
  }

  @Test("a token is refused once it has expired, from the cache too")
  func expiryInCache() throws {
    let auth = try AuthHost(["leeway": "0s"])
    let token = try forge.token(TokenForge.claims(["exp": Int(Date().timeIntervalSince1970) + 2]))
    #expect(try auth.visit("Bearer \(token)").status == 200)
    let deadline = ContinuousClock.now + .seconds(10)
    while try auth.visit("Bearer \(token)").status == 200, ContinuousClock.now < deadline { usleep(20_000) }
    let answer = try auth.visit("Bearer \(token)")
    #expect(answer.status == 401)
    #expect(answer.header("WWW-Authenticate")?.contains("has expired") == true)
  }

  @Test("a role is enforced by the host from the token's claim")
  func role() throws {
    let auth = try AuthHost()
    let viewer = try forge.token()
    let admin = try forge.token(TokenForge.claims(["role": "admin"]))
    #expect(try auth.visit("Bearer \(viewer)", access: .role("admin")).status == 403)
    #expect(try auth.visit("Bearer \(admin)", access: .role("admin")).status == 200)
  }

  @Test("a previous secret verifies, and a third does not")
  func rotation() throws {
    let old = String(repeating: "o", count: 40)
    let auth = try AuthHost(["previous-secret": old])
    #expect(try auth.visit("Bearer \(TokenForge(secret: old).token())").status == 200)
    #expect(try auth.visit("Bearer \(forge.token())").status == 200)
    #expect(
      try auth.visit("Bearer \(TokenForge(secret: String(repeating: "p", count: 40)).token())").status == 401)
  }

  @Test("many threads at a time see their own identity, from a cache that is too small for all")
  func concurrency() throws {
    let auth = try AuthHost(["cache-size": "64"])
    let tokens = try (0..<400).map { try forge.token(TokenForge.claims(["sub": "user-\($0)"])) }
    let wrong = try onThreads(4) { thread in
      try (0..<1000).count { round in
        let number = (round * 7 + thread * 100) % tokens.count
        return try auth.visit("Bearer \(tokens[number])").identity?.subject != "user-\(number)"
      }
    }
    #expect(wrong == [0, 0, 0, 0])
  }
}

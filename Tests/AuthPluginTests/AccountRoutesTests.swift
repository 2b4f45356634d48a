import DatabaseTesting
import Foundation
import PluginTesting
import Testing

@testable import AuthPlugin

@Suite struct AccountRoutesTests {
  let auth: AuthHost
  init() throws { auth = try AuthHost() }

  @Test("_ping answers without a token, byte for byte", arguments: Backend.allCases)
  func ping(on backend: Backend) throws {
    let auth = try AuthHost(on: backend)
    let answer = try auth.host.send("GET", "/api/v1/auth/_ping")
    #expect(answer.status == 200)
    #expect(answer.text == #"{"status":"ok","service":"auth"}"#)
    #expect(answer.header("Content-Type") == "application/json")
  }

  @Test(
    "register answers 201 with a grant whose token is accepted and says who it is for",
    arguments: Backend.allCases)
  func register(on backend: Backend) throws {
    let auth = try AuthHost(on: backend)
    let answer = try auth.post(
      "register",
      #"{"email":" Ada@Example.COM ","password":"correct horse battery","display_name":"Ada","extra":[1]}"#)
    let grant = try Grant(answer, status: 201)
    #expect(answer.header("Cache-Control") == "no-store")
    #expect(grant.json["token_type"] as? String == "bearer")
    #expect(grant.json["expires_in"] as? Int == 900)
    #expect(
      Set(grant.json.keys) == ["access_token", "token_type", "expires_in", "refresh_token", "user"])
    #expect(grant.user["email"] as? String == "ada@example.com")
    #expect(grant.user["display_name"] as? String == "Ada")
    #expect(grant.user["avatar_url"] is NSNull)
    #expect(grant.user["role"] as? String == "viewer")
    #expect(UUID(uuidString: grant.user["id"] as? String ?? "") != nil)
    #expect(
      Set(grant.user.keys) == [
        "id", "email", "display_name", "avatar_url", "role", "created_at", "updated_at",
      ])
    let claims = try grant.claims
    #expect(Set(claims.keys) == ["sub", "email", "role", "iss", "aud", "iat", "exp", "jti"])
    #expect(claims["sub"] as? String == grant.user["id"] as? String)
    let me = try auth.me(grant.accessToken)
    #expect(me.status == 200)
    #expect(me.json as NSDictionary == grant.user as NSDictionary)
    #expect(answer.text.contains("correct horse") == false)
  }

  @Test("times are RFC 3339 in UTC with milliseconds", arguments: Backend.allCases)
  func times(on backend: Backend) throws {
    let auth = try AuthHost(on: backend)
    let grant = try auth.register("ada@example.com")
    let created = try #require(grant.user["created_at"] as? String)
    #expect(created.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/) != nil)
    let format = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
    #expect(abs(try Date(created, strategy: format).timeIntervalSinceNow) < 60)
  }

  @Test("an e-mail is taken in any case, and with spaces around", arguments: Backend.allCases)
  func taken(on backend: Backend) throws {
    let auth = try AuthHost(on: backend)
    _ = try auth.register("ada@example.com")
    for email in ["ada@example.com", "ADA@EXAMPLE.com", "  ada@example.com\\n"] {
      let answer = try auth.post("register", #"{"email":"\#(email)","password":"another password"}"#)
      #expect(answer.status == 409)
      #expect(answer.code == "email-taken")
    }
  }

  @Test("of many registrations of one e-mail at a time, one succeeds")
  func registrationRace() throws {
    let statuses = try onThreads(6) { _ in
      try auth.post("register", #"{"email":"ada@example.com","password":"correct horse battery"}"#).status
    }
    #expect(statuses.sorted() == [201, 409, 409, 409, 409, 409])
  }

  @Test(
    "a body with fields in error is 422, and all of them are named",
    arguments: [
      (#"{}"#, ["email", "password"]),
      (#"{"email":null,"password":null}"#, ["email", "password"]),
      (#"{"email":1,"password":true,"display_name":[]}"#, ["email", "password", "display_name"]),
      (#"{"email":"ada","password":"short"}"#, ["email", "password"]),
      (#"{"email":"ada@example.com","password":"elevenchars"}"#, ["password"]),
      (#"{"email":"ada@example.com","password":"ada@example.com"}"#, ["password"]),
      (#"{"email":"ada@example.com","password":"ADA@example.com "}"#, ["password"]),
      (
        #"{"email":"ada@example.com","password":"\#(String(repeating: "x", count: 129))"}"#, ["password"]
      ),
      (
        #"{"email":"ada@example.com","password":"correct horse","display_name":"\#(String(repeating: "é", count: 101))"}"#,
        ["display_name"]
      ),
      (
        #"{"email":"ada@example.com","password":"correct horse","display_name":"a\u0007"}"#,
        ["display_name"]
      ),
      (#"{"email":"ada@example.com","password":"correct\u0000horse"}"#, ["password"]),
      (#"[]"#, [""]), (#""text""#, [""]), (#"null"#, [""]),
    ])
  func validation(_ body: String, _ fields: [String]) throws {
    let answer = try auth.post("register", body)
    #expect(answer.status == 422)
    #expect(answer.code == "validation-failed")
    #expect(answer.fieldsInError == fields)
  }

  @Test(
    "what is no e-mail address is refused",
    arguments: [
      "", "a", "@example.com", "a@", "a@b", "a b@example.com", "a@example..com", "a@-example.com",
      "a@b@c.com",
      "a@example.com.", "é@example.com", "a@exämple.com", "<a@example.com>", "a@example.com,b@example.com",
      String(repeating: "a", count: 65) + "@example.com", "a@" + String(repeating: "b.", count: 126) + "com",
    ])
  func noAddress(_ email: String) throws {
    let answer = try auth.post("register", #"{"email":"\#(email)","password":"correct horse battery"}"#)
    #expect(answer.fieldsInError == ["email"])
  }

  @Test(
    "lengths of 12 and 128 characters are accepted, counted in characters and not in bytes",
    arguments: ["123456789012", String(repeating: "ü", count: 128), String(repeating: "🙂", count: 12)])
  func passwordLengths(_ password: String) throws {
    _ = try auth.register("ada@example.com", password: password)
    #expect(try auth.logIn("ada@example.com", password: password).status == 200)
  }

  @Test(
    "malformed JSON is 400",
    arguments: [
      "", "{", "{]", #"{"email":}"#, "nul", "{} {}", #"{'a':1}"#, #"{"email":"a",}"#, #"{"email":01}"#,
      #"{"x":"\x"}"#, "\u{FEFF}{}", "{\"a\tb\":1}", "{\"email\":\"a\tb\"}",
    ])
  func malformed(_ body: String) throws {
    let answer = try auth.post("register", body)
    #expect(answer.status == 400)
    #expect(answer.code == "malformed-json")
  }

  @Test("a body that is not UTF-8 is 400", arguments: Backend.allCases)
  func notUTF8(on backend: Backend) throws {
    let auth = try AuthHost(on: backend)
    let answer = try auth.host.send(
      "POST", "/api/v1/auth/login", headers: ["Content-Type": "application/json"], bytes: [0x7B, 0xFF, 0x7D])
    #expect(answer.status == 400)
  }

  @Test(
    "a Content-Type that is no JSON in UTF-8 is 415",
    arguments: [
      "text/plain", "application/x-www-form-urlencoded", "application/jsonx",
      "application/json; charset=utf-16",
      "application/json; charset=iso-8859-1", "",
    ])
  func contentType(_ type: String) throws {
    let answer = try auth.host.send(
      "POST", "/api/v1/auth/login", headers: ["Content-Type": type], body: #"{"email":"a","password":"b"}"#)
    #expect(answer.status == 415)
    #expect(answer.code == "unsupported-media-type")
  }

  @Test(
    "JSON by its other names is accepted",
    arguments: [
      "application/json; charset=UTF-8", "APPLICATION/JSON", "application/ld+json;charset=\"utf-8\"",
    ])
  func contentTypes(_ type: String) throws {
    let answer = try auth.host.send(
      "POST", "/api/v1/auth/login", headers: ["Content-Type": type], body: #"{"email":"a","password":"b"}"#)
    #expect(answer.status == 401)
  }

  @Test(
    "a body without a Content-Type is 415, and one of more than 16 KiB is 413", arguments: Backend.allCases)
  func bodies(on backend: Backend) throws {
    let auth = try AuthHost(on: backend)
    #expect(try auth.host.send("POST", "/api/v1/auth/login", body: "{}").status == 415)
    let large = #"{"email":"\#(String(repeating: "a", count: 17000))"}"#
    #expect(try auth.post("login", large).status == 413)
  }

  @Test(
    "login answers 200 for the right password, and one and the same 401 for all else",
    arguments: Backend.allCases)
  func login(on backend: Backend) throws {
    let auth = try AuthHost(on: backend)
    let registered = try auth.register("ada@example.com")
    let grant = try Grant(try auth.logIn(" ADA@example.com"))
    #expect(grant.user as NSDictionary == registered.user as NSDictionary)
    #expect(grant.accessToken != registered.accessToken)
    let refusals = [
      try auth.logIn("ada@example.com", password: "wrong password"),
      try auth.logIn("eve@example.com"), try auth.logIn("no address"),
      try auth.logIn("ada@example.com", password: "" + "x"),
    ]
    var shapes: Set<String> = []
    for answer in refusals {
      #expect(answer.status == 401)
      #expect(answer.code == "invalid-credentials")
      var json = answer.json
      json["request_id"] = nil
      shapes.insert("\(answer.headers) \(json.sorted { $0.key < $1.key })")
    }
    #expect(shapes.count == 1)
    #expect(refusals[0].header("WWW-Authenticate") != nil)
  }

  @Test("an unknown user costs as much time as a wrong password", arguments: Backend.allCases)
  func equalTime(on backend: Backend) throws {
    let auth = try AuthHost(
      on: backend,
      [
        "scrypt-cost": "15", "login-attempts": "1000", "login-attempts-per-address": "1000",
      ])
    _ = try auth.register("ada@example.com")
    func fastest(_ email: String) throws -> Double {
      try (0..<5).map { _ in
        let before = threadSeconds()
        _ = try auth.logIn(email, password: "wrong password")
        return threadSeconds() - before
      }.min() ?? 0
    }
    let (known, unknown) = (try fastest("ada@example.com"), try fastest("eve@example.com"))
    #expect(unknown > known * 0.7 && unknown < known * 1.4, "known \(known), unknown \(unknown)")
  }

  @Test(
    "profile changes what is given, clears what is null, and leaves the rest", arguments: Backend.allCases)
  func profile(on backend: Backend) throws {
    let auth = try AuthHost(on: backend)
    let grant = try auth.register("ada@example.com")
    let first = try auth.put(
      "profile", #"{"display_name":"Ada","avatar_url":"https://example.com/a.png"}"#, token: grant.accessToken
    )
    #expect(first.status == 200)
    #expect(first.json["display_name"] as? String == "Ada")
    let second = try auth.put("profile", #"{"display_name":null}"#, token: grant.accessToken)
    #expect(second.json["display_name"] is NSNull)
    #expect(second.json["avatar_url"] as? String == "https://example.com/a.png")
    #expect(try auth.me(grant.accessToken).json as NSDictionary == second.json as NSDictionary)
    let third = try auth.put("profile", "{}", token: grant.accessToken)
    #expect(third.json as NSDictionary == second.json as NSDictionary)
  }

  @Test(
    "an avatar that a browser should not be shown is refused",
    arguments: [
      "javascript:alert(1)", "data:text/html,x", "//example.com/a", "/a.png", "ftp://example.com/a",
      "https://",
      "https://user:pw@example.com/", "https://" + String(repeating: "a", count: 2048),
      "https://example.com/a b", #"https://example.com/\ta"#, #"https://example.com/\"onload=x"#,
      "https://example.com/<a>", "https://example.com/é", #"https://example.com/\\a"#,
      "https://example.com/{a}",
    ])
  func avatar(_ url: String) throws {
    let grant = try auth.register("ada@example.com")
    let answer = try auth.put("profile", #"{"avatar_url":"\#(url)"}"#, token: grant.accessToken)
    #expect(answer.fieldsInError == ["avatar_url"])
  }

  @Test("a good token of a user who has no account here is 401", arguments: Backend.allCases)
  func stranger(on backend: Backend) throws {
    let auth = try AuthHost(on: backend)
    let token = try TokenForge().token()
    #expect(try auth.me(token).status == 401)
    #expect(try auth.put("profile", "{}", token: token).status == 401)
  }

  @Test("protected routes need a token", arguments: ["GET me", "PUT profile", "POST logout"])
  func protected(_ call: String) throws {
    let parts = call.split(separator: " ").map(String.init)
    let answer = try auth.host.send(parts[0], "/api/v1/auth/\(parts[1])")
    #expect(answer.status == 401)
    #expect(answer.header("WWW-Authenticate") != nil)
  }

  @Test(
    "an address in admin-emails has the role admin, and loses it with the setting",
    arguments: Backend.allCases)
  func admin(on backend: Backend) throws {
    let regions = SharedRegions()
    let first = try AuthHost(
      on: backend, ["admin-emails": "Boss@example.com, other@example.com"], regions: regions)
    let boss = try first.register("boss@example.com")
    #expect(boss.user["role"] as? String == "admin")
    #expect(try boss.claims["role"] as? String == "admin")
    #expect(try first.register("ada@example.com").user["role"] as? String == "viewer")
    let second = try AuthHost(on: first.database, regions: regions, generation: 2)
    #expect(try Grant(second.logIn("boss@example.com")).user["role"] as? String == "viewer")
  }

  @Test("neither password nor refresh token is in the database's files as it is")
  func storage() throws {
    let auth = try AuthHost()
    let grant = try auth.register("ada@example.com")
    for file in try FileManager.default.contentsOfDirectory(atPath: auth.host.stateDirectory) {
      let path = auth.host.stateDirectory + "/" + file
      let data = try #require(FileManager.default.contents(atPath: path))
      #expect(data.firstRange(of: Data(AuthHost.password.utf8)) == nil, "in \(file)")
      #expect(data.firstRange(of: Data(grant.refreshToken.utf8)) == nil, "in \(file)")
      let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
      #expect((mode ?? 0) & 0o077 == 0, "others can read \(file)")
    }
    let log = auth.host.logLines.map(\.message).joined(separator: "\n")
    #expect(!log.contains(grant.refreshToken) && !log.contains(AuthHost.password))
  }
}

/// The processor time of this thread: what a request costs, whatever else runs on the machine.
private func threadSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}

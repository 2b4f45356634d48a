import PluginTesting
import Testing

/// What went dark in August 2025, looked at on the shipped configuration.
@Suite("The outage")
struct OutageTests {
  static let protected = [
    "/api/v1/credits/stats", "/api/v1/credits/balance", "/api/v1/projects", "/api/v1/generations",
    "/api/v1/generations/stats", "/api/v1/auth/me",
  ]
  static let pings = [
    "/api/v1/auth/_ping", "/api/v1/credits/_ping", "/api/v1/projects/_ping", "/api/v1/generations/_ping",
  ]

  @Test("every shipped plugin is active, and the host says that it is well")
  func everyPluginIsActive() throws {
    let host = try ShippedConfiguration.start()
    let plugins = try host.diagnostics()["plugins"].array
    #expect(Set(plugins.compactMap { $0["name"].string }) == ["cors", "auth", "ratelimit", "domain"])
    for plugin in plugins {
      #expect(plugin["state"].string == "active", "\(plugin)")
      #expect(plugin["sha256"].string?.count == 64)
    }
    let health = try host.get("/health")
    #expect(health.status == 200)
    #expect(health.json["status"].string == "ok")
    #expect(health.json["bypass"].string == "off")
    #expect(try host.get("/health/ready").status == 200)
  }

  @Test("without a token a protected route answers 401, with a challenge, as a problem")
  func protectedRoutesAnswer401() throws {
    let host = try ShippedConfiguration.start()
    for path in OutageTests.protected + OutageTests.protected.map({ $0 + "/" }) {
      let answer = try host.get(path, headers: [("Origin", Origin.own)])
      #expect(answer.status == 401, "\(path)")
      #expect(answer.isProblem, "\(path): \(answer.text)")
      #expect(answer.header("WWW-Authenticate")?.hasPrefix("Bearer") == true, "\(path)")
      expectServedHeaders(answer, path)
    }
  }

  @Test(
    "a token that is none answers 401 invalid_token, never 500",
    arguments: [
      "Bearer nonsense", "Bearer ", "Bearer a.b.c", "Basic dTpw",
      "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.", "Bearer \(String(repeating: "a", count: 8000))",
    ])
  func badTokensAnswer401(authorization: String) throws {
    let host = try ShippedConfiguration.start()
    let answer = try host.get(
      "/api/v1/credits/balance", headers: [("Authorization", authorization), ("Origin", Origin.own)])
    #expect(answer.status == 401)
    #expect(answer.isProblem)
    #expect(answer.header("WWW-Authenticate")?.hasPrefix("Bearer") == true)
    expectServedHeaders(answer, authorization)
    #expect(try host.plugin("auth")["state"].string == "active")
  }

  @Test("an unknown path answers 404, with or without a token")
  func unknownPathsAnswer404() throws {
    let host = try ShippedConfiguration.start()
    let user = try Shop(host: host).register()
    for path in ["/", "/nothing", "/api/v1/nothing", "/api/v1/credits/nothing", "/api/v2/credits/_ping"] {
      for headers in [[], [user.bearer], [("Authorization", "Bearer nonsense")]] {
        let answer = try host.get(path, headers: headers + [("Origin", Origin.own)])
        #expect(answer.status == 404, "\(path) \(headers)")
        #expect(answer.isProblem)
        expectServedHeaders(answer, path)
      }
    }
  }

  @Test("each ping answers 200 with its service's name")
  func pingsAnswer() throws {
    let host = try ShippedConfiguration.start()
    for path in OutageTests.pings {
      let answer = try host.get(path, headers: [("Origin", Origin.own)])
      #expect(answer.status == 200, "\(path)")
      #expect(answer.json["status"].string == "ok")
      #expect(answer.json["service"].string == path.split(separator: "/")[2].description)
      expectServedHeaders(answer, path)
    }
  }

  @Test("a foreign origin gets no CORS header, on any status")
  func foreignOriginsGetNothing() throws {
    let host = try ShippedConfiguration.start()
    for path in OutageTests.protected + OutageTests.pings + ["/nothing", "/health"] {
      for origin in [
        Origin.foreign, "null", "http://velro.ai", "https://evil.example", "https://velro.ai:444",
      ] {
        let answer = try host.get(path, headers: [("Origin", origin)])
        #expect(answer.header("Access-Control-Allow-Origin") == nil, "\(path) for \(origin)")
        #expect(answer.header("Access-Control-Allow-Credentials") == nil, "\(path) for \(origin)")
        #expect(answer.header("X-Request-Id") != nil)
      }
    }
  }

  @Test("a preflight of an allowed origin is granted without a token, and of a foreign one is not")
  func preflights() throws {
    let host = try ShippedConfiguration.start()
    for path in OutageTests.protected + ["/health", "/nothing"] {
      func preflight(_ origin: String) throws -> HTTPResponse {
        try host.send(
          "OPTIONS", path,
          headers: [
            ("Origin", origin), ("Access-Control-Request-Method", "PATCH"),
            ("Access-Control-Request-Headers", "authorization, content-type"),
          ])
      }
      let granted = try preflight(Origin.own)
      #expect((200..<300).contains(granted.status), "\(path): \(granted.status)")
      #expect(granted.header("Access-Control-Allow-Origin") == Origin.own, "\(path)")
      #expect(granted.header("Access-Control-Allow-Methods")?.contains("PATCH") == true, "\(path)")
      let allowed = granted.header("Access-Control-Allow-Headers")?.lowercased() ?? ""
      #expect(allowed.contains("authorization") && allowed.contains("content-type"), "\(path): \(allowed)")
      #expect(granted.header("Access-Control-Max-Age") == "600", "\(path)")
      #expect(granted.header("X-Request-Id") != nil)
      let refused = try preflight(Origin.foreign)
      #expect(refused.header("Access-Control-Allow-Origin") == nil, "\(path)")
      #expect(refused.header("Access-Control-Allow-Methods") == nil, "\(path)")
    }
  }

  @Test("with every plugin broken the built-ins and CORS still answer, and no route is opened or lost")
  func everyPluginBroken() throws {
    let host = try ShippedConfiguration.start(edit: { text in
      ["CORSPlugin", "AuthPlugin", "RateLimitPlugin", "DomainRoutes"].reduce(text) {
        $0.replacing("library = \($1)", with: "library = \($1)Missing")
      }.replacing("probe = ", with: "# probe = ")
    })
    for path in OutageTests.protected + OutageTests.pings {
      let answer = try host.get(path, headers: [("Origin", Origin.own)])
      #expect(answer.status == 503, "\(path)")
      #expect(answer.isProblem)
      #expect(answer.json["code"].string == "plugin-unavailable", "\(path): \(answer.text)")
      #expect(answer.header("Retry-After") != nil, "\(path)")
      expectServedHeaders(answer, path)
    }
    for path in ["/health", "/__version", "/__diag/ping", "/__diag/plugins", "/metrics"] {
      #expect(try host.get(path).status == 200, "\(path)")
    }
    #expect(try host.get("/health").json["status"].string == "degraded")
    #expect(try host.get("/health/ready").status == 503)
    for plugin in try host.diagnostics()["plugins"].array {
      #expect(plugin["state"].string == "failed", "\(plugin)")
      #expect(plugin["last_fault"]["reason"].string == "load-failed", "\(plugin)")
    }
  }

  @Test("with auth broken, protected routes answer 503 and public ones are served")
  func authBroken() throws {
    let host = try ShippedConfiguration.start(edit: {
      $0.replacing("library = AuthPlugin", with: "library = AuthPluginMissing").replacing(
        "probe = ", with: "# ")
    })
    for path in ["/api/v1/credits/balance", "/api/v1/projects", "/api/v1/auth/me", "/api/v1/auth/_ping"] {
      let answer = try host.get(path, headers: [("Origin", Origin.own), ("Authorization", "Bearer a.b.c")])
      #expect(answer.status == 503, "\(path)")
      #expect(answer.json["code"].string == "plugin-unavailable")
      #expect(answer.json["plugin"].string == "auth")
      expectServedHeaders(answer, path)
    }
    for path in OutageTests.pings.dropFirst() {
      #expect(try host.get(path).status == 200, "\(path)")
    }
    #expect(try host.get("/api/v1/generations/models/supported").status == 200)
    #expect(try host.get("/nothing").status == 404)
  }

  /// What is on every response to the shop's own front end.
  private func expectServedHeaders(_ answer: HTTPResponse, _ what: String) {
    #expect(answer.header("Access-Control-Allow-Origin") == Origin.own, "\(what): \(answer.headers)")
    #expect(answer.header("Access-Control-Allow-Credentials") == "true", "\(what)")
    #expect(answer.header("Access-Control-Expose-Headers")?.contains("X-Request-Id") == true, "\(what)")
    #expect(answer.all("Vary").joined(separator: ",").lowercased().contains("origin"), "\(what)")
    #expect(answer.header("X-Request-Id")?.isEmpty == false, "\(what)")
    #expect(answer.header("traceparent") != nil, "\(what)")
  }
}

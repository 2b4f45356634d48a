import PluginTesting
import Testing

/// What the host says of itself, to whom, and what it keeps to itself.
@Suite("Diagnostics")
struct DiagnosticsTests {
  static let endpoints = [
    "/__diag/plugins", "/__diag/middleware", "/__diag/routes", "/__diag/requests", "/__diag/faults",
    "/__diag/config",
    "/__diag/request", "/__diag/cors?origin=https://velro.ai&path=/fault/echo",
    "/__diag/trace?path=/fault/echo",
    "/__config",
  ]

  private func start(_ lines: String...) throws -> HostProcess {
    try HostProcess(
      HostSettings(
        host: lines.joined(separator: "\n"),
        plugins: Section.fault("guard", mount: "/guard", "paths = /fault") + Section.fault()))
  }

  @Test("every endpoint answers 200 with JSON, and is not cached")
  func endpointsAnswer() throws {
    let host = try start()
    for path in DiagnosticsTests.endpoints {
      let answer = try host.get(path)
      #expect(answer.status == 200, "\(path)")
      #expect(answer.header("Content-Type")?.hasPrefix("application/json") == true, "\(path)")
      #expect(answer.json != .null, "\(path): \(answer.text)")
      #expect(answer.header("Cache-Control")?.contains("no-store") == true, "\(path)")
    }
    #expect(try host.get("/__diag/nothing").status == 404)
  }

  @Test("the built-ins answer on every spelling that is promised")
  func builtIns() throws {
    let host = try start()
    for path in [
      "/health", "/__health", "/health/", "/health/live", "/health/ready", "/__version", "/__diag/ping",
      "/metrics",
    ] {
      let answer = try host.get(path, headers: [("Origin", Origin.own)])
      #expect(answer.status == 200, "\(path)")
      #expect(answer.header("Access-Control-Allow-Origin") == Origin.own, "\(path)")
      #expect(answer.header("X-Request-Id") != nil, "\(path)")
    }
    let version = try host.get("/__version").json
    for key in ["version", "commit", "abi", "swift"] {
      #expect(version[key].string?.isEmpty == false, "\(key)")
    }
    #expect(version["plugins"].array.count == 2)
  }

  @Test("the pipeline, the routes and a trace agree")
  func pipelineAndRoutes() throws {
    let host = try start()
    let middleware = try host.get("/__diag/middleware").json
    #expect(middleware["middleware"].array.compactMap { $0["name"].string } == ["guard", "fault"])
    let routes = try host.get("/__diag/routes").json["routes"].array
    let echo = try #require(
      routes.first { $0["pattern"].string == "/fault/echo" && $0["method"].string == "GET" })
    #expect(echo["access"].string == "public")
    #expect(echo["plugin"].string == "fault")
    #expect(echo["middleware"].array.compactMap(\.string).first == "guard")
    let hidden = try #require(routes.first { $0["pattern"].string == "/fault/private" })
    #expect(hidden["access"].string == "authenticated")
    let calls = try host.plugin("guard")["calls"].int ?? 0
    let trace = try host.get("/__diag/trace?path=/fault/echo")
    #expect(trace.status == 200)
    #expect(trace.text.contains("guard"))
    #expect(try host.get("/__diag/trace?path=/nothing").text.contains("404") || calls >= 0)
  }

  @Test("recent requests show each plugin's time and outcome")
  func requests() throws {
    let host = try start()
    _ = try host.get("/fault/echo", headers: [("X-Request-Id", "seen-1")])
    let requests = try host.get("/__diag/requests").json["requests"].array
    let seen = try #require(requests.first { $0["request_id"].string == "seen-1" })
    #expect(seen["status"].int == 200)
    #expect(seen["plugins"].array.contains { $0["plugin"].string == "guard" })
    #expect(seen["plugins"].array.allSatisfy { $0["duration_us"].number != nil })
  }

  @Test("the CORS explanation names the rule")
  func cors() throws {
    let host = try start()
    let allowed = try host.get("/__diag/cors?origin=https://app.velro.ai&path=/fault/echo").json
    #expect(allowed["built_in"]["allowed"].bool == true)
    #expect(allowed["built_in"]["rule"].string?.contains("*.velro.ai") == true, "\(allowed)")
    let refused = try host.get("/__diag/cors?origin=https://evil.example&path=/fault/echo").json
    #expect(refused["built_in"]["allowed"].bool == false)
  }

  @Test(
    "a built-in error can be looked at as a browser would", arguments: [400, 401, 403, 404, 429, 500, 503])
  func errors(status: Int) throws {
    let host = try start()
    let answer = try host.get("/__diag/error/\(status)", headers: [("Origin", Origin.own)])
    #expect(answer.status == status)
    #expect(answer.isProblem)
    #expect(answer.header("Access-Control-Allow-Origin") == Origin.own)
  }

  @Test("no answer shows a secret, a token or a body")
  func secrets() throws {
    let directory = try TemporaryDirectory()
    let library = try BrokenPlugin.compile("requires-setting", in: directory)
    let secrets = [
      "setting-secret-77", "header-secret-77", "cookie-secret-77", "query-secret-77", "body-secret-77",
    ]
    let host = try HostProcess(
      HostSettings(
        plugins: Section.plugin("keyed", library: library, ["api-key = \(secrets[0])"]) + Section.fault()),
      in: directory)
    #expect(try host.plugin("keyed")["state"].string == "active")
    let headers = [
      ("Authorization", "Bearer \(secrets[1])"), ("Cookie", "s=\(secrets[2])"), ("X-Fault", "throw"),
    ]
    _ = try host.send("POST", "/fault/echo?token=\(secrets[3])", json: secrets[4], headers: headers)
    #expect(try host.plugin("fault")["faults"].int == 1)
    for path in DiagnosticsTests.endpoints + ["/metrics", "/health"] {
      let text = try host.get(path, headers: [headers[0], headers[1]]).text
      for secret in secrets { #expect(!text.contains(secret), "\(path) shows \(secret)") }
    }
    for secret in secrets { #expect(!host.log.contains(secret), "the log shows \(secret)") }
  }

  @Test("diagnostics = off: only ping answers")
  func off() throws {
    let host = try start("diagnostics = off")
    for path in DiagnosticsTests.endpoints { #expect(try host.get(path).status == 404, "\(path)") }
    #expect(try host.get("/__diag/ping").status == 200)
    #expect(try host.get("/__version").status == 200)
  }

  @Test("diagnostics = token: 401 without it, 200 with it")
  func token() throws {
    let host = try start("diagnostics = token", "admin-token = a-long-admin-token-1")
    for path in DiagnosticsTests.endpoints {
      let refused = try host.get(path)
      #expect(refused.status == 401, "\(path)")
      #expect(refused.header("WWW-Authenticate") != nil)
      for wrong in [
        "Bearer a-long-admin-token-", "Bearer a-long-admin-token-12", "Bearer ", "Basic a-long-admin-token-1",
      ] {
        #expect(try host.get(path, headers: [("Authorization", wrong)]).status == 401, "\(path) \(wrong)")
      }
      #expect(
        try host.get(path, headers: [("Authorization", "Bearer a-long-admin-token-1")]).status == 200,
        "\(path)")
    }
    #expect(try host.get("/__diag/ping").status == 200)
  }
}

import Testing

@testable import bulkhead

private let act = ActorPlugin.act

@Suite("Pipeline: scopes and methods")
struct ScopeTests {
  private func host(_ lines: String..., environment: [String: String] = [:]) throws -> TestHost {
    let mid = (["[plugin mid]", "library = Actor", "mount = /mid"] + lines).joined(separator: "\n") + "\n\n"
    return try TestHost(
      "[cors]\norigins = https://own.example\n\n" + mid + ActorPlugin.section("auth", "ActorAuth")
        + ActorPlugin.section("app", "ActorRouter", "mount = /app"), environment: environment)
  }

  private func meets(_ host: TestHost, _ path: String, method: String = "GET") throws -> Bool {
    let answer = try host.send(method, path, [act("auth", "request", "identity u admin")])
    #expect(answer.trail.contains("mid.request") == answer.trail.contains("mid.response"))
    return answer.trail.contains("mid.request")
  }

  @Test("applies-to", arguments: ["routes", "protected", "public", "all"])
  func appliesTo(_ scope: String) throws {
    let host = try host("applies-to = \(scope)")
    #expect(try meets(host, "/app/open") == (scope != "protected"))
    #expect(try meets(host, "/app/private") == (scope != "public"))
    #expect(try meets(host, "/app/admin") == (scope != "public"))
    #expect(try meets(host, "/nowhere") == (scope == "all"))
    #expect(try meets(host, "/app/open", method: "PUT") == (scope == "all"))
    // The host answers for a path's methods, and nothing is protected in that.
    #expect(try meets(host, "/app/private", method: "OPTIONS") == (scope != "protected"))
    for path in ["/health", "/__diag/ping", "/metrics"] { #expect(try !meets(host, path)) }
  }

  @Test("paths and except, by whole segments, on the normalised path")
  func paths() throws {
    let host = try host("applies-to = all", "paths = /app, /x/*/z", "except = /app/open, /app/items/*")
    for (path, expected) in [
      ("/app", true), ("/app/private", true), ("/app/slow/", true), ("/app/open", false),
      ("/app/open/", false),
      ("/app/open/deeper", false), ("/app/opened", true), ("/app/items/7", false), ("/app/items", true),
      ("/apple", false), ("/x/y/z", true), ("/x/y/z/more", true), ("/x/z", false), ("/x/y", false),
      ("/%61pp/private", true), ("/app//private", true), ("/other/../app/private", true),
      ("/app/./%6fpen", false),
      ("/APP/private", false),
    ] {
      #expect(try meets(host, path) == expected, "\(path)")
    }
  }

  @Test("methods: HEAD from GET, OPTIONS answered, others 405 with Allow; a trailing slash changes nothing")
  func methods() throws {
    let host = try host()
    for path in ["/app/open", "/app/open/"] {
      #expect(try host.send("GET", path).status == 200)
      let head = try host.send("HEAD", path, [act("app", "route", "body abc")])
      #expect(head.status == 200)
      #expect(head["Content-Length"] == "3")
      let options = try host.send("OPTIONS", path)
      #expect(options.status == 204)
      #expect(options["Allow"] == "GET, POST, HEAD, OPTIONS")
      #expect(options["Content-Length"] == nil)
      for method in ["DELETE", "PURGE"] {
        let other = try host.send(method, path)
        #expect(other.status == 405)
        #expect(other["Allow"] == "GET, POST, HEAD, OPTIONS")
        #expect(try other.member("code") == "method-not-allowed")
      }
    }
    #expect(try host.send("OPTIONS", "*").status == 204)
    #expect(try host.send("OPTIONS", "/nowhere").status == 404)
    // Known or not is told before who asks.
    for fields in [[], [("Authorization", "Bearer x")]] {
      #expect(try host.send("GET", "/app/nowhere", fields).status == 404)
      #expect(try host.send("PUT", "/app/private", fields).status == 405)
    }
  }

  @Test(
    "a preflight meets no middleware but what decides CORS, and needs no token",
    arguments: ["/app/private", "/nowhere", "/health"])
  func preflights(_ path: String) throws {
    let host = try host("applies-to = all")
    let preflight = [("Origin", "https://own.example"), ("Access-Control-Request-Method", "GET")]
    let answer = try host.send("OPTIONS", path, preflight + [act("mid", "request", "respond 418")])
    #expect(answer.status == 204)
    #expect(answer.trail.isEmpty)
    #expect(answer.all("Access-Control-Allow-Origin") == ["https://own.example"])
    #expect(answer.all("Access-Control-Allow-Methods").count == 1)
    #expect(answer.all("Vary").count == 1)
  }

  @Test("in shadow mode nothing that a plugin does is done, and its answers are counted")
  func shadow() throws {
    let host = try host("mode = shadow")
    for command in ["respond 418", "problem 422 no", "fault x"] {
      let answer = try host.send(
        "GET", "/app/private",
        [
          act("mid", "request", "set X-Mid yes"), act("mid", "request", "body mid"),
          act("mid", "request", "identity mallory admin"), act("mid", "request", "attribute a mid"),
          act("mid", "response", "status 500"), act("mid", "response", "set X-Mid yes"),
          act("mid", "request", command), act("app", "route", "show a"),
        ])
      // Its identity does not count either.
      #expect(answer.status == 401)
      #expect(answer["X-Mid"] == nil)
      #expect(answer.trail == ["auth.request", "auth.response"])
    }
    #expect(host.plugin("mid").metrics.shadowResponses.load(ordering: .relaxed) == 2)
    #expect(host.plugin("mid").metrics.faults.load(ordering: .relaxed) == 1)
    // Quarantined for its fault, it is passed over.
    #expect(try host.send("GET", "/app/open").status == 200)
  }

  @Test("bypass: all middleware or what is heavy; routes are served, nothing is opened, health says so")
  func bypass() throws {
    let all = try host(environment: ["BYPASS_ALL_MIDDLEWARE": "true"])
    #expect(try all.send("GET", "/app/open", [act("mid", "request", "respond 418")]).trail == ["app.route"])
    #expect(try all.send("GET", "/mid/open").trail == ["mid.route"])
    #expect(try all.send("GET", "/app/private", [act("auth", "request", "identity u admin")]).status == 401)
    #expect(try all.send("GET", "/health").member("bypass") == "all")
    let heavy = try host("heavy = true", environment: ["DISABLE_HEAVY_MIDDLEWARE": "true"])
    #expect(
      try heavy.send("GET", "/app/open").trail == ["auth.request", "app.route", "auth.response"])
    #expect(try heavy.send("GET", "/health").member("bypass") == "heavy")
  }

  @Test("mode = off: it is not loaded, its middleware is passed over, and its mount answers 503")
  func off() throws {
    let host = try host("mode = off")
    #expect(host.plugin("mid").library == nil)
    #expect(try host.send("GET", "/app/open").trail == ["auth.request", "app.route", "auth.response"])
    #expect(try host.send("GET", "/mid/open").status == 503)
  }

  @Test("what is answered early, refused or failed has CORS fields, once each")
  func corsAlways() throws {
    let host = try host("on-failure = closed", "recover = never", "applies-to = all")
    let origin = ("Origin", "https://own.example")
    for (method, path, fields, status) in [
      ("GET", "/app/open", [], 200), ("GET", "/app/private", [], 401), ("GET", "/nowhere", [], 404),
      ("PUT", "/app/open", [], 405), ("GET", "/a%2Fb", [], 400), ("GET", "/health", [], 200),
      ("GET", "/app/open", [act("mid", "request", "respond 418")], 418),
      ("GET", "/app/open", [act("mid", "request", "fault x")], 503), ("GET", "/app/open", [], 503),
    ] {
      let answer = try host.send(method, path, [origin] + fields)
      #expect(answer.status == status, "\(method) \(path)")
      #expect(answer.all("Access-Control-Allow-Origin") == ["https://own.example"], "\(method) \(path)")
      #expect(answer.all("Vary") == ["Origin"], "\(method) \(path)")
    }
  }
}

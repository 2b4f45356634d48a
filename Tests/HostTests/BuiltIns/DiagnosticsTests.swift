import Testing

@testable import bulkhead

@Suite("Diagnostics")
struct DiagnosticsTests {
  @Test(
    "/__diag/request shows no credential, however its field is named",
    arguments: [
      ("Authorization", "Bearer zyxw"), ("Proxy-Authorization", "Basic zyxw"), ("Cookie", "id=zyxw"),
      ("X-API-Key", "zyxw"),
      ("apikey", "zyxw"), ("X-Access-Token", "zyxw"), ("X-Amz-Security-Token", "zyxw"), ("X-CSRF", "zyxw"),
      ("X-Hub-Signature-256", "zyxw"), ("X-Session-Id", "zyxw"), ("X-Amzn-Oidc-Data", "eyJh.eyJz.zyxw"),
      ("X-Anything", "bearer zyxw"), ("Referer", "https://a.example/reset?code=zyxw"),
      ("X-Original-URI", "/a?t=zyxw"),
      ("X-Client-Cert", "zyxw"), ("PHPSESSID-Session", "zyxw"),
    ])
  func noCredential(_ name: String, _ value: String) throws {
    let host = try TestHost()
    let answer = try host.send("GET", "/__diag/request?token=zyxw", [(name, value), ("X-Plain", "shown")])
    #expect(answer.status == 200)
    #expect(!answer.text.contains("zyxw"))
    #expect(answer.text.contains(name))
    #expect(answer.text.contains("shown"))
    // Nor do the requests that follow show it.
    #expect(!(try host.send("GET", "/__diag/requests").text.contains("zyxw")))
  }

  @Test(
    "a trailing slash changes nothing for the host's own paths",
    arguments: [
      "/health/", "/health/live/", "/health/ready/", "/__version/", "/__health/", "/__config/", "/metrics/",
      "/__diag/ping/", "/__diag/plugins/",
    ])
  func trailingSlash(_ path: String) throws {
    let host = try TestHost()
    #expect(try host.send("GET", path).status == 200)
    #expect(try host.send("HEAD", path).status == 200)
    let other = try host.send("DELETE", path)
    #expect(other.status == 405)
    #expect(other["Allow"] == "GET, HEAD, OPTIONS")
  }

  @Test(
    "paths that only begin like the host's own are not its own",
    arguments: ["/healthz", "/metricsx", "/__diagx", "/__"])
  func lookalikes(_ path: String) throws {
    #expect(try TestHost().send("GET", path).status == 404)
  }

  @Test("diagnostics = off shows nothing but ping; token lets in whoever has it")
  func access() throws {
    let off = try TestHost(host: "diagnostics = off")
    for path in ["/__diag/", "/__diag/plugins", "/__config", "/__diag/error/500"] {
      #expect(try off.send("GET", path).status == 404)
    }
    #expect(try off.send("GET", "/__diag/ping").status == 200)
    let token = try TestHost(host: "diagnostics = token\nadmin-token = s3cret")
    #expect(try token.send("GET", "/__diag/plugins").status == 401)
    #expect(try token.send("GET", "/__diag/plugins", [("Authorization", "Bearer s3cre")]).status == 401)
    #expect(try token.send("GET", "/__diag/plugins", [("Authorization", "Bearer s3crett")]).status == 401)
    let config = try token.send("GET", "/__config", [("Authorization", "bearer s3cret")])
    #expect(config.status == 200)
    #expect(!config.text.contains("s3cret"))
  }

  @Test("the version tells a stranger which host it is, and who may see the diagnostics all of it")
  func version() throws {
    let short = ["abi", "commit", "generation", "version"]
    let whole = (short + ["pid", "plugins", "swift"]).sorted()
    let token = ("Authorization", "Bearer s3cret")
    for (setting, headers, expected) in [
      ("off", [], short), ("public", [], whole), ("token\nadmin-token = s3cret", [], short),
      ("token\nadmin-token = s3cret", [token], whole),
    ] as [(String, [(String, String)], [String])] {
      let answer = try TestHost(host: "diagnostics = \(setting)").send("GET", "/__version", headers)
      #expect(answer.status == 200)
      #expect(whole.filter { answer.text.contains("\"\($0)\":") } == expected, "\(setting): \(answer.text)")
      #expect(answer["WWW-Authenticate"] == nil)
    }
  }

  @Test("an error for show has the status that was asked for", arguments: [400, 404, 500, 503, 599])
  func error(_ status: Int) throws {
    #expect(try TestHost().send("GET", "/__diag/error/\(status)").status == status)
  }

  @Test(
    "an error for show has the field that its status must have",
    arguments: [
      (401, "WWW-Authenticate"), (405, "Allow"), (407, "Proxy-Authenticate"), (426, "Upgrade"),
      (429, "Retry-After"), (503, "Retry-After"),
    ])
  func errorFields(_ status: Int, _ field: String) throws {
    let answer = try TestHost().send("GET", "/__diag/error/\(status)")
    #expect(answer.status == status)
    #expect(answer.all(field).count == 1, "\(answer.text)")
  }

  @Test(
    "nothing that the host says of itself, or against a request, may be stored",
    arguments: [
      "/health", "/health/live", "/health/ready", "/__health", "/__version", "/metrics", "/__config",
      "/__diag/",
      "/__diag/ping", "/__diag/plugins", "/__diag/routes", "/__diag/error/404", "/__diag/nothing", "/nothing",
      "/%00",
    ])
  func notStored(_ path: String) throws {
    let host = try TestHost()
    for method in ["GET", "HEAD", "DELETE"] {
      let answer = try host.send(method, path)
      #expect(answer.all("Cache-Control") == ["no-store"], "\(method) \(path)")
    }
  }

  @Test(
    "a path that GET does not find is found by no other method",
    arguments: ["/__diag/nothing", "/__diag/error/999", "/__diag/error/"])
  func unknown(_ path: String) throws {
    let host = try TestHost()
    for method in ["GET", "POST", "DELETE", "OPTIONS", "BREW"] {
      #expect(try host.send(method, path).status == 404, "\(method)")
    }
    for method in ["POST", "DELETE"] {
      #expect(try host.send(method, "/__diag/error/404").status == 405)
      #expect(try host.send(method, "/__diag/cors").status == 405)
    }
    #expect(try host.send("OPTIONS", "/__diag/cors")["Allow"] == "GET, HEAD, OPTIONS")
  }

  @Test("a client that may not look learns nothing by another method, but for a preflight")
  func methodsTellNothing() throws {
    let off = try TestHost(host: "diagnostics = off")
    let token = try TestHost(host: "diagnostics = token\nadmin-token = s3cret")
    for path in ["/__diag/", "/__diag/plugins", "/__config", "/__diag/quarantine/a", "/__diag/nothing"] {
      for method in ["GET", "DELETE", "OPTIONS"] {
        #expect(try off.send(method, path).status == 404, "\(method) \(path)")
        #expect(try token.send(method, path).status == 401, "\(method) \(path)")
      }
      let preflight = [("Origin", "https://a.example"), ("Access-Control-Request-Method", "GET")]
      #expect(try token.send("OPTIONS", path, preflight).status == 204, "\(path)")
    }
    #expect(try off.send("POST", "/__diag/ping").status == 405)
  }

  @Test("two Authorization fields are none, whichever has the admin token")
  func twoTokens() throws {
    let host = try TestHost(host: "diagnostics = token\nadmin-token = s3cret")
    let good = ("Authorization", "Bearer s3cret")
    let other = ("authorization", "Bearer other")
    #expect(try host.send("GET", "/__diag/plugins", [good]).status == 200)
    for pair in [[good, other], [other, good], [good, good]] {
      #expect(try host.send("GET", "/__diag/plugins", pair).status == 401)
    }
  }

  @Test("what is no error cannot be asked for", arguments: ["200", "399", "600", "", "x", "500/1"])
  func noError(_ status: String) throws {
    #expect(try TestHost().send("GET", "/__diag/error/\(status)").status == 404)
  }

  @Test("a trace cannot be made to run anything but middleware, nor to smuggle fields in")
  func trace() throws {
    let host = try TestHost(
      ActorPlugin.section("mid", "Actor", "mount = /mid")
        + ActorPlugin.section("app", "ActorRouter", "mount = /app"))
    let answer = try host.send("GET", "/__diag/trace?path=/app/open")
    #expect(answer.status == 200)
    #expect(try answer.member("reaches_handler") == "1")
    #expect(answer.text.contains("\"plugin\":\"mid\""))
    #expect(!answer.text.contains("\"route\",\"outcome\""))
    let smuggled = try host.send(
      "GET", "/__diag/trace?path=/app/open%20HTTP/1.1%0d%0aAct:%20mid%20request%20respond%20418%0d%0aX:")
    #expect(try smuggled.member("status") != "418")
    for bad in [
      "", "?path=x", "?path=/%00", "?path=/a%20b", "?path=/a&method=G%20T", "?path=/a&origin=a%0d%0ab",
    ] {
      #expect([200, 400].contains(try host.send("GET", "/__diag/trace\(bad)").status))
    }
  }

  @Test(
    "a trace of what the host answers itself is refused, and so cannot hold a trace of a trace",
    arguments: [
      "/__diag/trace?path=/__diag/trace?path=/a", "/__diag/./trace", "/__diag/cors?origin=https://a&path=/a",
      "/__diag/bypass/off", "/health", "/metrics", "/__config/",
    ])
  func traceOfOwnPath(_ path: String) throws {
    let host = try TestHost()
    let answer = try host.send("GET", "/__diag/trace?path=\(path)")
    #expect(answer.status == 400)
    #expect(try answer.member("code") == "own-path")
    #expect(try host.send("GET", "/__diag/trace?path=/healthz").status == 200)
  }

  @Test("parameters are decoded as a form's are, byte by byte")
  func query() {
    let text = "a=1+2%2B3&&b&c=d=e&%C3%A9=%ff%4&=x&a=later&f="
    let query = text.withBytes { Query($0) }
    #expect(query["a"] == "1 2+3")
    #expect(query["b"] == "")
    #expect(query["c"] == "d=e")
    #expect(query["é"] == "\u{FFFD}%4")
    #expect(query["f"] == "")
    #expect(query["g"] == nil)
    #expect(Query(bh_bytes())["a"] == nil)
  }
}

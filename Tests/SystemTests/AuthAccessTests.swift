import Foundation
import LocalServer
import PluginTesting
import Testing

/// The OWASP API Security Top 10 (2023), held against the shop as it is shipped: who may reach which object, which field
/// and which function. What is tried comes from the description that the shop serves, so that a new route is tried too.
@Suite("Who may do what")
struct AuthAccessTests {
  private struct Operation {
    let method: String
    let path: String
    let isPublic: Bool
  }

  private func start(_ edit: (String) -> String = { $0 }) throws -> HostProcess {
    try ShippedConfiguration.start(edit: { edit(ShippedConfiguration.unlimited($0)) })
  }

  /// Every operation of the served description.
  private func operations(of host: HostProcess) throws -> [Operation] {
    let document = try host.get("/api/v1/openapi.json").json
    let base = document["servers"][0]["url"].string ?? ""
    return document["paths"].object.flatMap { path, item in
      item.object.filter { $0.key != "parameters" }.map { method, operation in
        Operation(
          method: method.uppercased(), path: base + path,
          isPublic: operation.object["security"] != nil && operation["security"].array.isEmpty)
      }
    }.sorted { ($0.path, $0.method) < ($1.path, $1.method) }
  }

  private func send(
    _ host: HostProcess, _ method: String, _ path: String, _ json: String? = nil, as user: Shop.User?
  ) throws -> HTTPResponse {
    let headers = user.map { [$0.bearer] } ?? []
    guard method != "GET", method != "DELETE" else {
      return try host.send(method, path, headers: headers)
    }
    return try host.send(method, path, json: json ?? "{}", headers: headers)
  }

  @Test(
    "somebody else's project and generation are 404 for every verb of every route, and are left as they were")
  func objects() throws {
    let host = try start()
    let shop = Shop(host: host)
    let (owner, other) = (try shop.register(), try shop.register())
    let project =
      try host.send(
        "POST", "/api/v1/projects", json: #"{"name":"Mine"}"#, headers: [owner.bearer]
      ).json["id"].string ?? ""
    let generation =
      try host.send(
        "POST", "/api/v1/generations",
        json: #"{"model_id":"sketch-1","prompt":"x","project_id":"\#(project)"}"#, headers: [owner.bearer]
      ).json["id"].string ?? ""
    try wait("the image") {
      try host.get("/api/v1/generations/\(generation)/media", headers: [owner.bearer]).status == 200
    }
    let routes = try operations(of: host).filter { $0.path.contains("{") }
    #expect(routes.count >= 11, "\(routes)")
    for route in routes {
      let id = route.path.contains("/projects/") ? project : generation
      let path = route.path.replacing(/\{[^}]*\}/, with: id)
      let body = #"{"name":"Theirs","is_favorite":true}"#
      let answer = try send(host, route.method, path, body, as: other)
      #expect(answer.status == 404, "\(route.method) \(path): \(answer.text)")
      #expect(answer.isProblem)
      #expect(!answer.text.contains("Mine"))
      // The same answer as for what does not exist: nobody learns which ids there are.
      let unknown = path.replacing(id, with: UUID().uuidString.lowercased())
      let nothing = try send(host, route.method, unknown, body, as: other)
      #expect(nothing.status == 404)
      #expect(nothing.json["code"] == answer.json["code"])
      #expect(nothing.json["detail"] == answer.json["detail"])
    }
    let order = #"{"model_id":"sketch-1","prompt":"x","project_id":"\#(project)"}"#
    let into = try send(host, "POST", "/api/v1/generations", order, as: other)
    #expect([404, 422].contains(into.status), "a generation into somebody else's project: \(into.text)")
    let kept = try host.get("/api/v1/projects/\(project)", headers: [owner.bearer]).json
    #expect(kept["name"].string == "Mine")
    #expect(kept["generation_count"].int == 1)
    #expect(
      try host.get("/api/v1/generations/\(generation)", headers: [owner.bearer]).json["is_favorite"].bool
        == false)
  }

  @Test("lists, transactions and statistics show one's own alone, whatever is asked for")
  func lists() throws {
    let host = try start()
    let shop = Shop(host: host)
    let (owner, other) = (try shop.register(), try shop.register())
    _ = try send(host, "POST", "/api/v1/projects", #"{"name":"Mine"}"#, as: owner)
    let order = try send(
      host, "POST", "/api/v1/generations", #"{"model_id":"sketch-1","prompt":"x"}"#, as: owner)
    #expect(order.status == 202)
    for path in [
      "/api/v1/projects", "/api/v1/projects?search=Mine", "/api/v1/projects?user_id=\(owner.id)",
      "/api/v1/generations", "/api/v1/generations?user_id=\(owner.id)",
      "/api/v1/credits/transactions?type=usage",
      "/api/v1/credits/transactions?user_id=\(owner.id)&type=usage",
    ] {
      let answer = try send(host, "GET", path, as: other)
      #expect(answer.status == 200, "\(path)")
      #expect(answer.json["total"].int == 0, "\(path): \(answer.text)")
    }
    #expect(
      try send(host, "GET", "/api/v1/credits/transactions?type=usage", as: owner).json["total"].int == 1)
    let transactions = try send(host, "GET", "/api/v1/credits/transactions", as: other)
    #expect(!transactions.text.contains(owner.id))
    #expect(
      try send(host, "GET", "/api/v1/credits/balance?user_id=\(owner.id)", as: other).json["current_balance"]
        .int
        == 100)
  }

  @Test(
    "no field that is not the client's to set is taken from it: id, owner, role, balance, cost, status, times"
  )
  func massAssignment() throws {
    let host = try start()
    let victim = try Shop(host: host).register()
    let extra =
      #""id":"\#(victim.id)","user_id":"\#(victim.id)","role":"admin","is_admin":true,"balance":1000000,"#
      + #""current_balance":1000000,"signup_credits":1000000,"cost":0,"status":"completed","password_hash":"x","#
      + #""created_at":"2001-01-01T00:00:00.000Z","generation_count":99,"media_url":"http://evil.example/x""#
    let registered = try host.send(
      "POST", "/api/v1/auth/register",
      json: #"{"email":"eve@example.org","password":"correct horse battery staple",\#(extra)}"#)
    #expect(registered.status == 201)
    let account = registered.json["user"]
    #expect(account["role"].string == "viewer")
    #expect(account["id"].string != victim.id)
    #expect(account["created_at"].string?.hasPrefix("2001") == false)
    let eve = Shop.User(
      id: account["id"].string ?? "", email: "eve@example.org",
      token: registered.json["access_token"].string ?? "", refreshToken: "")
    #expect(try Shop(host: host).balance(of: eve) == 100)

    let profile = try send(
      host, "PUT", "/api/v1/auth/profile", #"{"display_name":"E","email":"boss@example.org",\#(extra)}"#,
      as: eve)
    #expect(profile.status == 200)
    #expect(profile.json["role"].string == "viewer")
    #expect(profile.json["id"].string == eve.id)
    #expect(profile.json["email"].string == "eve@example.org")

    let project = try send(host, "POST", "/api/v1/projects", #"{"name":"P",\#(extra)}"#, as: eve)
    #expect(project.status == 201)
    let id = project.json["id"].string ?? ""
    #expect(id != victim.id)
    for method in ["PATCH", "PUT"] {
      #expect(
        try send(host, method, "/api/v1/projects/\(id)", #"{"name":"P",\#(extra)}"#, as: eve).status == 200)
    }
    let edited = try send(host, "GET", "/api/v1/projects/\(id)", as: eve).json
    #expect(edited["user_id"].string == eve.id)
    #expect(edited["id"].string == id)
    #expect(edited["generation_count"].int == 0)
    #expect(edited["created_at"].string?.hasPrefix("2001") == false)

    let order = try send(
      host, "POST", "/api/v1/generations", #"{"model_id":"sketch-1","prompt":"x",\#(extra)}"#, as: eve)
    #expect(order.status == 202)
    #expect(order.json["user_id"].string == eve.id)
    #expect(order.json["cost"].int == 5)
    #expect(order.json["status"].string != "completed")
    #expect(try Shop(host: host).balance(of: eve) == 95)
    let generation = order.json["id"].string ?? ""
    let patched = try send(
      host, "PATCH", "/api/v1/generations/\(generation)", #"{"is_favorite":true,\#(extra)}"#, as: eve)
    #expect(patched.json["cost"].int == 5)
    #expect(patched.json["media_url"].string?.contains("evil") != true)
    #expect(try Shop(host: host).balance(of: victim) == 100)
    #expect(try send(host, "GET", "/api/v1/auth/me", as: eve).json["role"].string == "viewer")
  }

  @Test(
    "a function of admins is 403 for anybody else, however the request claims a role, and changes nothing")
  func functions() throws {
    let host = try start()
    let shop = Shop(host: host)
    let (user, friend) = (try shop.register(), try shop.register())
    let grant = #"{"user_id":"\#(user.id)","amount":1000,"description":"x","role":"admin"}"#
    for headers in [
      [], [("X-Role", "admin")], [("X-User-Role", "admin"), ("X-Forwarded-User", "root")],
      [("X-Original-URL", "/api/v1/credits/balance")], [("X-HTTP-Method-Override", "GET")],
    ] {
      let answer = try host.send(
        "POST", "/api/v1/credits/grant?role=admin", json: grant, headers: [user.bearer] + headers)
      #expect(answer.status == 403, "\(headers): \(answer.text)")
      #expect(answer.isProblem)
    }
    for path in [
      "/api/v1/credits/grant/", "/api/v1//credits/grant", "/api/v1/credits/./grant",
      "/api/v1/projects/../credits/grant", "/api/v1/credits/%67rant", "/api/v1/credits/grant;x",
      "/API/v1/credits/grant",
    ] {
      let answer = try host.send("POST", path, json: grant, headers: [user.bearer])
      #expect([400, 403, 404].contains(answer.status), "\(path): \(answer.status)")
    }
    for method in ["GET", "PUT", "PATCH", "DELETE"] {
      #expect([403, 405].contains(try send(host, method, "/api/v1/credits/grant", grant, as: user).status))
    }
    #expect(try shop.balance(of: user) == 100)
    #expect(try shop.balance(of: friend) == 100)
  }

  @Test(
    "every operation that the description does not call public is 401 without a token, and with a forged one")
  func authentication() throws {
    let host = try start()
    let operations = try operations(of: host)
    #expect(operations.count > 30)
    let open = operations.filter(\.isPublic).map { "\($0.method) \($0.path)" }
    #expect(
      open.allSatisfy {
        $0.hasSuffix("/_ping") || $0.hasSuffix("/models/supported") || $0.hasSuffix("/openapi.json")
          || ["register", "login", "refresh"].contains($0.split(separator: "/").last ?? "")
      }, "\(open)")
    // {"alg":"none"} and a subject, and no signature.
    let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIiwicm9sZSI6ImFkbWluIiwiZXhwIjo0MDAwMDAwMDAwfQ."
    for operation in operations where !operation.isPublic {
      let path = operation.path.replacing(/\{[^}]*\}/, with: UUID().uuidString.lowercased())
      for headers in [
        [], [("Authorization", "Bearer \(unsigned)")], [("Cookie", "access_token=\(unsigned)")],
      ] {
        let answer = try host.send(operation.method, path, json: "{}", headers: headers)
        #expect(answer.status == 401, "\(operation.method) \(path): \(answer.status)")
        #expect(answer.header("WWW-Authenticate")?.hasPrefix("Bearer") == true)
      }
    }
    let query = try host.get("/api/v1/auth/me?access_token=\(unsigned)")
    #expect(query.status == 401, "a token in the URL would be in every log")
  }

  @Test(
    "what one request or one client can ask for is bounded: pages, sizes, fields, bodies, guesses and orders")
  func resources() throws {
    let host = try ShippedConfiguration.start()
    let user = try Shop(host: host).register()
    for path in ["projects", "generations", "credits/transactions"] {
      for query in ["per_page=101", "per_page=0", "per_page=999999999999999999999", "page=0", "page=-1"] {
        let answer = try send(host, "GET", "/api/v1/\(path)?\(query)", as: user)
        #expect(answer.status == 422, "\(path)?\(query): \(answer.status)")
      }
    }
    for body in [
      #"{"model_id":"sketch-1","prompt":"x","parameters":{"width":100000,"height":100000}}"#,
      #"{"model_id":"sketch-1","prompt":"\#(String(repeating: "x", count: 2001))"}"#,
      #"{"name":"\#(String(repeating: "x", count: 101))"}"#,
    ] {
      let path = body.contains("name\"") && !body.contains("prompt") ? "projects" : "generations"
      #expect(try send(host, "POST", "/api/v1/\(path)", body, as: user).status == 422)
    }
    let deep =
      #"{"name":"x","metadata":{"a":"# + String(repeating: "[", count: 5000)
      + String(repeating: "]", count: 5000) + "}}"
    #expect([400, 422].contains(try send(host, "POST", "/api/v1/projects", deep, as: user).status))
    let large = #"{"name":"\#(String(repeating: "x", count: 1 << 21))"}"#
    #expect(try send(host, "POST", "/api/v1/projects", large, as: user).status == 413)
    let guesses = try (0..<12).map { _ in
      try host.send(
        "POST", "/api/v1/auth/login", json: #"{"email":"\#(user.email)","password":"guess guess"}"#
      ).status
    }
    #expect(guesses.contains(429) && !guesses.contains(200), "\(guesses)")
    let order = #"{"model_id":"sketch-1","prompt":"x","parameters":{"width":64,"height":64}}"#
    let orders = try (0..<12).map { _ in try send(host, "POST", "/api/v1/generations", order, as: user) }
    let limited = try #require(orders.first { $0.status == 429 })
    #expect(limited.header("Retry-After") != nil)
  }

  @Test("an address that a provider names is not fetched from another origin, nor with its token")
  func requestForgery() throws {
    let inner = try LocalServer { _ in
      .answer(200, headers: [("Content-Type", "image/png")], body: [0x89, 0x50])
    }
    for answer in [
      #"{"media_url":"\#(inner.url)/x.png"}"#, #"{"status":"pending","status_url":"\#(inner.url)/job"}"#,
      #"{"media_url":"http://169.254.169.254/latest/meta-data/"}"#, #"{"media_url":"file:///etc/passwd"}"#,
      #"{"media_url":"gopher://127.0.0.1:6379/_FLUSHALL"}"#, #"{"media_url":"//127.0.0.1:\#(inner.port)/x"}"#,
    ] {
      let provider = try LocalServer { _ in .json(answer) }
      let host = try start {
        $0.replacing(
          "signup-credits = 100",
          with: """
            signup-credits = 100
            generation-provider = http
            generation-endpoint = \(provider.url)/jobs
            generation-token = provider-secret
            generation-timeout = 5s
            """)
      }
      let user = try Shop(host: host).register()
      let order = try send(
        host, "POST", "/api/v1/generations", #"{"model_id":"sketch-1","prompt":"x"}"#, as: user)
      let id = try #require(order.json["id"].string)
      try wait("the generation to fail, with \(answer)", within: .seconds(30)) {
        try host.get("/api/v1/generations/\(id)", headers: [user.bearer]).json["status"].string == "failed"
      }
      #expect(try Shop(host: host).balance(of: user) == 100, "it is refunded")
      #expect(provider.requests.allSatisfy { $0.target == "/jobs" })
    }
    #expect(inner.requests.isEmpty)
    // What a client names is kept, and never fetched.
    let host = try start()
    let user = try Shop(host: host).register()
    _ = try send(
      host, "PUT", "/api/v1/auth/profile", #"{"avatar_url":"\#(inner.url)/avatar.png"}"#, as: user)
    #expect(try send(host, "GET", "/api/v1/auth/me", as: user).status == 200)
    #expect(inner.requests.isEmpty)
  }

  @Test("as shipped nothing tells of the inside, and what is kept is for the host's user alone")
  func configuration() throws {
    let host = try start()
    let user = try Shop(host: host).register()
    for (method, path, body) in [
      ("POST", "/api/v1/auth/login", "{"), ("POST", "/api/v1/projects", "[1]"), ("GET", "/nothing", ""),
      ("GET", "/api/v1/projects/'%20OR%201=1", ""), ("PATCH", "/api/v1/auth/me", "{}"),
      ("GET", "/api/v1/credits/transactions?type='", ""),
    ] {
      let answer = try host.send(method, path, json: body, headers: [user.bearer])
      #expect((400...499).contains(answer.status), "\(method) \(path): \(answer.status)")
      #expect(answer.isProblem)
      for word in ["SQL", "sqlite", ".swift", "/tmp", "Fatal", "DecodingError", "users"] {
        #expect(!answer.text.contains(word), "\(method) \(path) tells '\(word)': \(answer.text)")
      }
    }
    let me = try send(host, "GET", "/api/v1/auth/me", as: user)
    #expect(me.header("Cache-Control") == "no-store")
    #expect(!me.text.contains("password") && !me.text.contains("scrypt"))
    let files = try #require(FileManager.default.enumerator(atPath: host.stateDirectory))
    var seen = 0
    while let file = files.nextObject() as? String {
      guard file.hasSuffix(".sqlite3") || file.hasSuffix("signing-secret") else { continue }
      let path = host.stateDirectory + "/" + file
      let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
      #expect((mode ?? 0o777) & 0o077 == 0, "others can read \(file)")
      seen += 1
    }
    #expect(seen >= 3)
    #expect(!host.log.contains(user.token) && !host.log.contains(Shop.password))
  }

  @Test("the routes that are served are those that are described, no more and no fewer")
  func inventory() throws {
    let host = try start()
    let described = Set(
      try operations(of: host).map {
        "\($0.method) " + $0.path.replacing(/\{[^}]*\}/, with: "{}")
      })
    let routes = try host.get("/__diag/routes").json["routes"].array
    let served = Set(
      routes.compactMap { route -> String? in
        guard let method = route["method"].string, let pattern = route["pattern"].string,
          pattern.hasPrefix("/api/")
        else { return nil }
        return "\(method) " + pattern.replacing(/\{[^}]*\}/, with: "{}")
      })
    #expect(!served.isEmpty)
    #expect(served.subtracting(described) == [], "served, and not described")
    #expect(described.subtracting(served) == [], "described, and not served")
  }
}

import Testing

@testable import bulkhead

@Suite("Route table")
struct RouteTableTests {
  private func plugin(
    _ name: String, mount: String, _ routes: [(method: String, pattern: String, access: bh_access)]
  ) -> Plugin {
    var configuration = PluginConfiguration(name: name)
    configuration.mount = mount
    let plugin = Plugin(index: 0, configuration: configuration, sha256: nil, faults: FaultLog(generation: 1))
    plugin.routes = routes.compactMap { route($0.method, $0.pattern, $0.access) }
    return plugin
  }

  private func route(
    _ method: String, _ pattern: String, _ access: bh_access = bh_access(BH_ACCESS_PUBLIC),
    role: String? = nil
  )
    -> RegisteredRoute?
  {
    method.withCString { method in
      pattern.withCString { pattern in
        (role ?? "").withCString { text in
          var route = bh_route()
          route.method = method
          route.pattern = pattern
          route.access = access
          route.role = role == nil ? nil : text
          return RegisteredRoute(route)
        }
      }
    }
  }

  private func match(_ table: RouteTable, _ method: Method, _ path: String) -> (
    pattern: String?, values: [String], allow: String?
  ) {
    path.withBytes { bytes in
      withUnsafeTemporaryAllocation(of: bh_bytes.self, capacity: Exchange.maxParameters) { values in
        switch table.match(
          method: method.rawValue, name: bh_bytes(name(method)), path: bytes, parameters: values.baseAddress!)
        {
        case .route(let route):
          return (route.pattern, (0..<route.parameterNames.count).map { values[$0].string }, nil)
        case .otherMethod(let known): return (nil, [], table.allow(known))
        case .none, .out: return (nil, [], nil)
        }
      }
    }
  }

  private func name(_ method: Method) -> StaticString {
    switch method {
    case .get: "GET"
    case .head: "HEAD"
    case .post: "POST"
    case .put: "PUT"
    case .patch: "PATCH"
    case .delete: "DELETE"
    case .options: "OPTIONS"
    case .other: "PURGE"
    }
  }

  private typealias Method = HTTPMethod

  private enum HTTPMethod: UInt32 {
    case other = 0
    case get, head, post, put, patch, delete, options
  }

  private func table() throws -> RouteTable {
    let open = bh_access(BH_ACCESS_PUBLIC)
    return try RouteTable([
      plugin(
        "a", mount: "/api",
        [
          ("GET", "", open), ("GET", "items", open), ("POST", "items", open), ("GET", "items/new", open),
          ("GET", "items/{id}", open), ("DELETE", "items/{id}", open),
          ("GET", "items/{id}/parts/{part}", open),
          ("GET", "items/new/parts", open), ("PURGE", "cache/", open),
        ]),
      plugin("root", mount: "", [("GET", "/", open), ("GET", "about", open)]),
    ])
  }

  @Test("paths and their routes")
  func matching() throws {
    let table = try table()
    #expect(match(table, .get, "/api").pattern == "/api")
    #expect(match(table, .get, "/api/").pattern == "/api")
    #expect(match(table, .get, "/").pattern == "/")
    #expect(match(table, .get, "/about").pattern == "/about")
    #expect(match(table, .get, "/api/items/new").pattern == "/api/items/new")
    #expect(match(table, .get, "/api/items/7").values == ["7"])
    #expect(match(table, .get, "/api/items/7/").values == ["7"])
    #expect(match(table, .get, "/api/items/7/parts/x%20y").values == ["7", "x%20y"])
    // The literal leads nowhere, the parameter does.
    #expect(match(table, .get, "/api/items/new/parts/1").values == ["new", "1"])
    #expect(match(table, .get, "/api/items/new/parts").pattern == "/api/items/new/parts")
    #expect(match(table, .head, "/api/items").pattern == "/api/items")
    #expect(match(table, .other, "/api/cache").pattern == "/api/cache")
    for unknown in [
      "/ap", "/apis", "/api/item", "/api/items/7/parts", "/api/items/7/parts/1/2", "/API", "/x",
    ] {
      #expect(match(table, .get, unknown).pattern == nil, "\(unknown)")
      #expect(match(table, .get, unknown).allow == nil, "\(unknown)")
    }
  }

  @Test("another method of a known path is told those that it has")
  func allow() throws {
    let table = try table()
    #expect(match(table, .put, "/api/items").allow == "GET, POST, HEAD, OPTIONS")
    #expect(match(table, .options, "/api/items").allow == "GET, POST, HEAD, OPTIONS")
    #expect(match(table, .head, "/api/cache").allow == "PURGE, OPTIONS")
    #expect(match(table, .get, "/api/cache").allow == "PURGE, OPTIONS")
  }

  @Test("a literal that lacks the method leaves it to the parameters in its place")
  func methods() throws {
    let open = bh_access(BH_ACCESS_PUBLIC)
    let table = try RouteTable([
      plugin(
        "a", mount: "/a",
        [
          ("GET", "b", open), ("DELETE", "{id}", open), ("PUT", "{id}/parts/{part}", open),
          ("GET", "b/parts/c", open), ("POST", "b/{x}/c", open), ("PATCH", "{id}", open),
        ])
    ])
    #expect(match(table, .get, "/a/b").pattern == "/a/b")
    let deleted = match(table, .delete, "/a/b/")
    #expect(deleted.pattern == "/a/{id}")
    #expect(deleted.values == ["b"])
    #expect(match(table, .get, "/a/b/parts/c").pattern == "/a/b/parts/c")
    let put = match(table, .put, "/a/b/parts/c")
    #expect(put.pattern == "/a/{id}/parts/{part}")
    #expect(put.values == ["b", "c"])
    #expect(match(table, .post, "/a/b/parts/c").values == ["parts"])
    // What none of them has is told the methods of all.
    #expect(match(table, .post, "/a/b").allow == "GET, DELETE, PATCH, HEAD, OPTIONS")
    #expect(match(table, .options, "/a/b/parts/c").allow == "GET, PUT, POST, HEAD, OPTIONS")
    #expect(match(table, .get, "/a/7").allow == "DELETE, PATCH, OPTIONS")
  }

  @Test("more methods than the host can tell apart are an error of the plugin that has one too many")
  func tooManyMethods() throws {
    let open = bh_access(BH_ACCESS_PUBLIC)
    func names(_ count: Int) -> [(method: String, pattern: String, access: bh_access)] {
      (0..<count).map { number in
        (String(repeating: "X", count: number % 8 + 1) + String(repeating: "Y", count: number / 8), "x", open)
      }
    }
    _ = try RouteTable([plugin("first", mount: "/a", names(64))])
    let second = plugin("second", mount: "/b", names(65))
    do throws(RouteTable.Conflict) {
      _ = try RouteTable([plugin("first", mount: "/a", names(64)), second])
      Issue.record("no error")
    } catch {
      #expect(error.plugin === second)
    }
  }

  @Test("the same route twice is an error that names both plugins, the later one's to answer for")
  func conflicts() throws {
    let open = bh_access(BH_ACCESS_PUBLIC)
    let first = plugin("first", mount: "/a", [("GET", "b/{x}", open)])
    let second = plugin("second", mount: "/a/b", [("GET", "{y}/", open)])
    do throws(RouteTable.Conflict) {
      _ = try RouteTable([first, second])
      Issue.record("no conflict")
    } catch {
      #expect(error.plugin === second)
      #expect(error.message.contains("first"))
    }
  }

  @Test(
    "what is no pattern, method or access is refused",
    arguments: [
      ("GET", "a//b"), ("GET", "{a"), ("GET", "a}"), ("GET", "{}"), ("GET", "{a}/{a}"), ("GET", "x{a}"),
      ("GET", "a?b"),
      ("GET", "a b"), ("GET", "a%20b"), ("GET", "a#b"), ("GET", "{a{b}}"), ("get", "a"), ("", "a"),
      ("HEAD", "a"),
      ("OPTIONS", "a"), ("G T", "a"), ("GET", (0...16).map { "{p\($0)}" }.joined(separator: "/")),
    ])
  func malformed(_ method: String, _ pattern: String) { #expect(route(method, pattern) == nil) }

  @Test("a role must be named, and the other accesses known")
  func access() {
    #expect(route("GET", "a", bh_access(BH_ACCESS_ROLE)) == nil)
    #expect(route("GET", "a", bh_access(BH_ACCESS_ROLE), role: "") == nil)
    #expect(route("GET", "a", bh_access(BH_ACCESS_ROLE), role: "admin")?.access == .role("admin"))
    #expect(route("GET", "a", bh_access(BH_ACCESS_NONE)) == nil)
    #expect(route("GET", "a", 77) == nil)
    #expect(route("GET", "", bh_access(BH_ACCESS_AUTHENTICATED))?.access == .authenticated)
  }

  @Test("random patterns: a path made of a pattern finds it, with its values in order")
  func random() throws {
    let seed = UInt64.random(in: 0 ... .max)
    print("seed \(seed)")
    var random = SplitMix64(state: seed)
    for _ in 0..<200 {
      var patterns: [(method: String, pattern: String, access: bh_access)] = []
      var shapes: Set<String> = []
      for _ in 0..<8 {
        let segments = (0..<Int.random(in: 0...4, using: &random)).map { depth in
          Bool.random(using: &random) ? "{p\(depth)}" : String("ab".randomElement(using: &random)!)
        }
        let pattern = segments.joined(separator: "/")
        if shapes.insert(segments.map { $0.hasPrefix("{") ? "{}" : $0 }.joined(separator: "/")).inserted {
          patterns.append(("GET", pattern, bh_access(BH_ACCESS_PUBLIC)))
        }
      }
      let table = try RouteTable([plugin("p", mount: "/m", patterns)])
      for (_, pattern, _) in patterns {
        var values: [String] = []
        let path =
          "/m"
          + pattern.split(separator: "/").map { segment -> String in
            guard segment.hasPrefix("{") else { return "/\(segment)" }
            values.append("value\(Int.random(in: 0..<100, using: &random))")
            return "/\(values.last!)"
          }.joined()
        let found = match(table, .get, path)
        #expect(found.pattern == (pattern.isEmpty ? "/m" : "/m/\(pattern)"), "seed \(seed), \(path)")
        #expect(found.values == values, "seed \(seed), \(path)")
      }
    }
  }
}

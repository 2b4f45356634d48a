import DatabaseTesting
import PluginAPI
import PluginTesting
import Testing

@testable import DomainRoutes

@Suite struct ProjectRoutesTests {
  private func create(_ shop: Shop, _ body: String, as identity: Identity = alice) throws -> JSONValue {
    let answer = try shop.send("POST", "projects", body, as: identity)
    guard answer.status == 201 else { throw UnexpectedAnswer(answer: answer) }
    return try answer.json
  }

  private func id(_ project: JSONValue) throws -> String { try #require(project["id"].string) }

  @Test("a project is made with defaults, an ETag and its place", arguments: Backend.allCases)
  func make(on backend: Backend) throws {
    let shop = try Shop(on: backend)
    let answer = try shop.send("POST", "projects", "{\"name\":\"Étude\",\"unknown\":1}")
    #expect(answer.status == 201)
    let project = try answer.json
    #expect(project["name"].string == "Étude")
    #expect(project["description"].string == "")
    #expect(project["visibility"].string == "private")
    #expect(project["tags"].array.isEmpty)
    #expect(project["metadata"] == .object([:]))
    #expect(project["generation_count"].int == 0)
    #expect(project["user_id"].string == "alice")
    #expect(project["created_at"].string?.hasSuffix("Z") == true)
    #expect(answer.header("location") == "/api/v1/projects/\(try id(project))")
    #expect(try shop.send("GET", "projects/\(try id(project))").header("etag") == answer.header("etag"))
  }

  @Test("every unacceptable field is named at once", arguments: Backend.allCases)
  func validation(on backend: Backend) throws {
    let shop = try Shop(on: backend)
    let long = String(repeating: "x", count: 501)
    let tags = (0..<21).map { "\"\($0)\"" }.joined(separator: ",")
    let body =
      "{\"name\":\"\",\"description\":\"\(long)\",\"visibility\":\"secret\",\"tags\":[\(tags)],\"metadata\":[]}"
    let answer = try shop.send("POST", "projects", body)
    #expect(answer.status == 422)
    #expect(try answer.errorFields == ["name", "description", "visibility", "tags", "metadata"])
    let big = String(repeating: "m", count: 8200)
    #expect(
      try shop.send("POST", "projects", "{\"name\":\"x\",\"metadata\":{\"a\":\"\(big)\"}}").status == 422)
    #expect(try shop.send("POST", "projects", "{\"name\":\"  \"}").status == 422)
    #expect(
      try shop.send("POST", "projects", "{\"name\":\"\(String(repeating: "n", count: 100))\"}").status == 201)
  }

  @Test("metadata of any shape comes back as it was sent", arguments: Backend.allCases)
  func metadata(on backend: Backend) throws {
    let shop = try Shop(on: backend)
    let project = try create(shop, "{\"name\":\"x\",\"metadata\":{\"a\":[1,2.5,null,true,{\"b\":\"ü\"}]}}")
    let a = try shop.get("projects/\(try id(project))")["metadata"]["a"]
    #expect(a == .array([.number(1), .number(2.5), .null, .boolean(true), .object(["b": .string("ü")])]))
  }

  @Test(
    "metadata is given again as it was written, but for white space, in lists too",
    arguments: Backend.allCases)
  func keptMetadata(on backend: Backend) throws {
    let shop = try Shop(on: backend)
    let kept = "{\"z\":1.0,\"\u{E9}\":1,\"e\u{301}\":2,\"a\":\"\\u00e9 \\/\",\"n\":[1E2,-0]}"
    let sent = kept.replacing(",", with: " ,\n").replacing(":", with: ": ")
    let project = try id(create(shop, "{\"name\":\"x\", \"metadata\" : \(sent) }"))
    for path in ["projects/\(project)", "projects"] {
      #expect(try shop.send("GET", path).text.contains("\"metadata\":\(kept)"))
    }
    #expect(
      try shop.send("PATCH", "projects/\(project)", "{\"name\":\"y\"}").text.contains(
        "\"metadata\":\(kept)"))
    #expect(
      try shop.send("PATCH", "projects/\(project)", "{\"metadata\":null}").json["metadata"] == .object([:]))
  }

  @Test(
    "metadata has at most 8192 bytes, white space not counted, and is nested 64 deep at most",
    arguments: Backend.allCases)
  func metadataLimits(on backend: Backend) throws {
    let shop = try Shop(on: backend)
    func make(_ metadata: String) throws -> Int {
      try shop.send("POST", "projects", "{\"name\":\"x\",\"metadata\":\(metadata)}").status
    }
    let full = String(repeating: "m", count: 8192 - "{\"a\":\"\"}".count)
    #expect(try make("{\"a\":\"\(full)\"}") == 201)
    #expect(try make("{ \"a\" : \"\(full)\" }") == 201)
    #expect(try make("{\"a\":\"\(full)m\"}") == 422)
    func nested(_ depth: Int) -> String {
      String(repeating: "{\"a\":", count: depth) + "1" + String(repeating: "}", count: depth)
    }
    #expect(try make(nested(64)) == 201)
    #expect(try make(nested(65)) == 422)
  }

  /// What one request may make of the data that another was allowed to leave: nothing is decoded, and nothing thrown, for
  /// each of 40 000 numbers.
  @Test("a page of projects with metadata of deeply nested numbers is answered", arguments: Backend.allCases)
  func deepMetadata(on backend: Backend) throws {
    let shop = try Shop(on: backend)
    let (depth, numbers) = (62, 3900)
    let metadata =
      String(repeating: "{\"a\":", count: depth) + "["
      + Array(repeating: "1", count: numbers).joined(separator: ",")
      + "]" + String(repeating: "}", count: depth)
    let body = "{\"name\":\"x\",\"metadata\":\(metadata)}"
    for _ in 0..<10 {
      #expect(
        try shop.host.send(
          "POST", "/api/v1/projects", headers: ["Content-Type": "application/json"], body: body,
          identity: alice
        ).status == 201)
    }
    let page = try shop.host.send("GET", "/api/v1/projects", identity: alice)
    #expect(page.status == 200)
    #expect(page.text.ranges(of: metadata).count == 10)
  }

  @Test("lines of one condition are one list", arguments: Backend.allCases)
  func splitConditions(on backend: Backend) throws {
    let shop = try Shop(on: backend)
    let path = "projects/\(try id(create(shop, "{\"name\":\"a\"}")))"
    let tag = try #require(try shop.send("GET", path).header("etag"))
    let lines = { (name: String) in [(name, "\"other\""), (name, tag)] }
    #expect(try shop.send("GET", path, headers: lines("If-None-Match")).status == 304)
    #expect(try shop.send("PATCH", path, "{\"name\":\"b\"}", headers: lines("If-Match")).status == 200)
    #expect(try shop.send("DELETE", path, headers: lines("If-Match")).status == 412)
  }

  @Test("an accent after a wildcard does not make it one", arguments: Backend.allCases)
  func accentedWildcard(on backend: Backend) throws {
    let shop = try Shop(on: backend)
    _ = try create(shop, "{\"name\":\"100\u{301}\"}")
    _ = try create(shop, "{\"name\":\"1%\u{301}\"}")
    #expect(
      try shop.get("projects?search=1%25%CC%81")["items"].array.map { $0["name"].string } == ["1%\u{301}"])
    #expect(try shop.get("projects?search=1_%CC%81")["total"].int == 0)
  }

  @Test("an edit changes what it names, and leaves the rest", arguments: Backend.allCases)
  func edit(on backend: Backend) throws {
    let shop = try Shop(on: backend)
    let project = try create(shop, "{\"name\":\"a\",\"description\":\"d\",\"tags\":[\"x\",\"y\",\"x\"]}")
    #expect(project["tags"].array == [.string("x"), .string("y")])
    let path = "projects/\(try id(project))"
    for method in ["PUT", "PATCH"] {
      let answer = try shop.send(method, path, "{\"name\":\"\(method)\",\"tags\":[\"z\"]}")
      #expect(answer.status == 200)
      #expect(try answer.json["name"].string == method)
      #expect(try answer.json["description"].string == "d")
      #expect(try answer.json["tags"].array == [.string("z")])
    }
    #expect(try shop.send("PATCH", path, "{\"description\":null,\"tags\":null}").json["tags"].array == [])
    #expect(try shop.send("PATCH", path, "{\"name\":null}").status == 422)
  }

  @Test(
    "a stale If-Match answers 412 and changes nothing; a current one goes through",
    arguments: Backend.allCases)
  func ifMatch(on backend: Backend) throws {
    let shop = try Shop(on: backend)
    let path = "projects/\(try id(create(shop, "{\"name\":\"a\"}")))"
    let first = try #require(try shop.send("GET", path).header("etag"))
    #expect(try shop.send("PUT", path, "{\"name\":\"b\"}", headers: [("If-Match", first)]).status == 200)
    for method in ["PUT", "PATCH", "DELETE"] {
      let body = method == "DELETE" ? nil : "{\"name\":\"c\"}"
      #expect(try shop.send(method, path, body, headers: [("If-Match", first)]).status == 412)
      #expect(try shop.send(method, path, body, headers: [("If-Match", "W/\(first)")]).status == 412)
    }
    #expect(try shop.get(path)["name"].string == "b")
    #expect(try shop.send("PUT", path, "{\"name\":\"d\"}", headers: [("If-Match", "*")]).status == 200)
    let current = try #require(try shop.send("GET", path).header("etag"))
    #expect(try shop.send("GET", path, headers: [("If-None-Match", current)]).status == 304)
    #expect(
      try shop.send("DELETE", path, headers: [("If-Match", "\"other\", \(current)")]).status == 204)
  }

  @Test("a new generation changes the ETag, but is no conflict with an edit", arguments: Backend.allCases)
  func generationAndETag(on backend: Backend) throws {
    let shop = try Shop(on: backend)
    let id = try id(create(shop, "{\"name\":\"a\"}"))
    let before = try #require(try shop.send("GET", "projects/\(id)").header("etag"))
    _ = try shop.generate(",\"project_id\":\"\(id)\"")
    #expect(try shop.send("GET", "projects/\(id)", headers: [("If-None-Match", before)]).status == 200)
    let edit = try shop.send("PATCH", "projects/\(id)", "{\"name\":\"b\"}", headers: [("If-Match", before)])
    #expect(edit.status == 200)
  }

  @Test("others' projects are 404, but public ones can be read, and not changed", arguments: Backend.allCases)
  func visibility(on backend: Backend) throws {
    let shop = try Shop(on: backend)
    for visibility in ["private", "team-only", "public"] {
      let id = try id(create(shop, "{\"name\":\"a\",\"visibility\":\"\(visibility)\"}"))
      let isPublic = visibility == "public"
      #expect(try shop.send("GET", "projects/\(id)", as: bob).status == (isPublic ? 200 : 404))
      #expect(try shop.send("GET", "projects/\(id)/stats", as: bob).status == (isPublic ? 200 : 404))
      #expect(try shop.send("PATCH", "projects/\(id)", "{\"name\":\"b\"}", as: bob).status == 404)
      #expect(try shop.send("DELETE", "projects/\(id)", as: bob).status == 404)
    }
    #expect(try shop.get("projects", as: bob)["total"].int == 0)
    #expect(try shop.send("GET", "projects/not-a-uuid").status == 404)
  }

  @Test("lists are searched, filtered, sorted and paged", arguments: Backend.allCases)
  func lists(on backend: Backend) throws {
    let shop = try Shop(on: backend)
    for (name, description, visibility, tags) in [
      ("beta", "100% wool", "private", "\"red\""), ("Alpha", "under_score", "public", "\"red\",\"blue\""),
      ("ÄRGER", "", "public", ""),
    ] {
      _ = try create(
        shop,
        "{\"name\":\"\(name)\",\"description\":\"\(description)\",\"visibility\":\"\(visibility)\",\"tags\":[\(tags)]}"
      )
    }
    func names(_ query: String) throws -> [String] {
      try shop.get("projects?\(query)")["items"].array.compactMap { $0["name"].string }
    }
    #expect(try names("") == ["ÄRGER", "Alpha", "beta"])
    #expect(try names("order=asc") == ["beta", "Alpha", "ÄRGER"])
    #expect(try names("sort=name") == ["Alpha", "beta", "ÄRGER"])
    #expect(try names("sort=name&order=desc") == ["ÄRGER", "beta", "Alpha"])
    #expect(try names("search=ALPH") == ["Alpha"])
    #expect(try names("search=%C3%A4rger") == ["ÄRGER"])
    #expect(try names("search=%25") == ["beta"])
    #expect(try names("search=_") == ["Alpha"])
    #expect(try names("visibility=public&sort=name") == ["Alpha", "ÄRGER"])
    #expect(try names("tag=red&order=asc") == ["beta", "Alpha"])
    #expect(try names("tag=blue&visibility=private") == [])
    #expect(try names("page=2&per_page=2") == ["beta"])
    #expect(try shop.send("GET", "projects?sort=size&order=up&visibility=x&page=-1").errorFields.count == 4)
  }

  @Test("the latest edit comes first when sorted by updated_at", arguments: Backend.allCases)
  func sortedByUpdate(on backend: Backend) throws {
    let shop = try Shop(on: backend)
    let first = try id(create(shop, "{\"name\":\"first\"}"))
    _ = try create(shop, "{\"name\":\"second\"}")
    let made = try shop.get("projects/\(first)")["updated_at"].string
    try wait("the clock moves on") {
      try shop.send("PATCH", "projects/\(first)", "{\"name\":\"first\"}").json["updated_at"].string != made
        && shop.get("projects?sort=updated_at")["items"][0]["id"].string == first
    }
  }

  @Test("a deleted project's generations stay, without one", arguments: Backend.allCases)
  func deletion(on backend: Backend) throws {
    let shop = try Shop(on: backend)
    let project = try id(create(shop, "{\"name\":\"a\"}"))
    let generation = try shop.generate(",\"project_id\":\"\(project)\"")
    #expect(try shop.get("projects/\(project)")["generation_count"].int == 1)
    #expect(try shop.send("DELETE", "projects/\(project)").status == 204)
    #expect(try shop.send("GET", "projects/\(project)").status == 404)
    #expect(try shop.get("generations/\(generation)")["project_id"] == .null)
  }

  @Test("statistics count the project's generations and what they cost", arguments: Backend.allCases)
  func statistics(on backend: Backend) throws {
    let shop = try Shop(on: backend, workers: "1")
    let project = try id(create(shop, "{\"name\":\"a\"}"))
    let generation = try shop.generate(",\"project_id\":\"\(project)\"")
    try wait("it completes") { try shop.get("generations/\(generation)")["status"].string == "completed" }
    let stats = try shop.get("projects/\(project)/stats")
    #expect(stats["generation_count"].int == 1)
    #expect(stats["completed"].int == 1)
    #expect(stats["failed"].int == 0)
    #expect(stats["credits_used"].int == 5)
    #expect(stats["last_activity"] == (try shop.get("generations/\(generation)")["updated_at"]))
  }
}

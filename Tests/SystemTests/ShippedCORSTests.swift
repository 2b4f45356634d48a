import Foundation
import PluginTesting
import Testing

/// What the front end sends and reads, by the policies that are shipped: the plugin's, and the host's own that holds without it.
@Suite("The shipped CORS lists")
struct ShippedCORSTests {
  @Test(
    "have every request field that a browser must be allowed, and every answer's field that a script reads",
    arguments: [true, false])
  func complete(hasPlugin: Bool) throws {
    let host = try ShippedConfiguration.start(edit: { text in
      guard !hasPlugin, let start = text.firstRange(of: "[plugin cors]"),
        let end = text.firstRange(of: "[plugin auth]")
      else { return text }
      return String(text[..<start.lowerBound] + text[end.lowerBound...])
    })
    let origin = "http://localhost:3000"
    let sent = [
      "authorization", "content-type", "idempotency-key", "if-match", "if-none-match", "last-event-id",
      "x-request-id",
    ]
    for path in ["/api/v1/projects", "/api/v1/generations/x/events"] {
      let preflight = try host.send(
        "OPTIONS", path,
        headers: [
          ("Origin", origin), ("Access-Control-Request-Method", "GET"),
          ("Access-Control-Request-Headers", sent.joined(separator: ",")),
        ])
      let allowed = names(preflight.header("Access-Control-Allow-Headers"))
      #expect(allowed.isSuperset(of: sent), "\(preflight)")
    }
    let answer = try host.get("/api/v1/projects", headers: [("Origin", origin)])
    #expect(answer.status == 401)
    let exposed = names(answer.header("Access-Control-Expose-Headers"))
    #expect(
      exposed.isSuperset(of: [
        "etag", "location", "www-authenticate", "retry-after", "idempotency-replayed", "ratelimit",
        "x-request-id",
      ]), "\(answer)")
  }

  @Test("are written once: the plugin decides by the policy of [cors], and says so")
  func writtenOnce() throws {
    #expect(ShippedConfiguration.text.components(separatedBy: "\norigins =").count == 2)
    let host = try ShippedConfiguration.start()
    let origin = "http://localhost:3000"
    let cors = try host.get("/__diag/cors?origin=\(origin)&path=/api/v1/projects").json
    #expect(cors["decided_by"].string == "cors")
    #expect(cors["built_in"]["allowed"].bool == true, "\(cors)")
    #expect(cors["response"]["Access-Control-Allow-Origin"].string == origin, "\(cors)")
    let sections = try host.get("/__diag/config").json["sections"].array
    func values(_ title: String) -> [String: String] {
      let section = sections.first { $0["section"].string == title }
      return Dictionary(
        (section?["values"].array ?? []).map { ($0["key"].string ?? "", $0["value"].string ?? "") },
        uniquingKeysWith: { $1 })
    }
    for key in ["origins", "methods", "headers", "expose", "credentials", "max-age"] {
      #expect(values("[plugin cors]")[key]?.isEmpty == false, "\(key)")
      #expect(values("[plugin cors]")[key] == values("[cors]")[key], "\(key)")
    }
  }

  @Test("a key of its own makes the plugin's policy its own as a whole; a path's policy begins from [cors]")
  func ofItsOwn() throws {
    let cors = "origins = https://a.example\ncredentials = true\n"
    let plugin = "[plugin cors]\nlibrary = CORSPlugin\napplies-to = all\n"
    let own = try HostProcess(HostSettings(cors: cors, plugins: plugin + "origins = https://b.example\n"))
    let path = try HostProcess(HostSettings(cors: cors, plugins: plugin + "policy = /open methods=PUT\n"))
    func answer(_ host: HostProcess, _ origin: String) throws -> (allowed: String?, credentials: String?) {
      let answer = try host.get("/open/x", headers: [("Origin", origin)])
      return (answer.header("Access-Control-Allow-Origin"), answer.header("Access-Control-Allow-Credentials"))
    }
    #expect(try answer(own, "https://a.example").allowed == nil)
    #expect(try answer(own, "https://b.example") == ("https://b.example", nil))
    #expect(try answer(path, "https://a.example") == ("https://a.example", "true"))
    #expect(try answer(path, "https://b.example").allowed == nil)
  }

  private func names(_ list: String?) -> Set<String> {
    Set((list ?? "").lowercased().split(separator: ",").map { $0.drop { $0 == " " }.description })
  }
}

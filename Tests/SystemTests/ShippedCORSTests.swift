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

  private func names(_ list: String?) -> Set<String> {
    Set((list ?? "").lowercased().split(separator: ",").map { $0.drop { $0 == " " }.description })
  }
}

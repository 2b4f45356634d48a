import Testing

@testable import bulkhead

@Suite("Pipeline: whose answer it is")
struct ResponderTests {
  private static let sections =
    ActorPlugin.section("gate", "Actor", "mount = /gate", "on-failure = open", "quarantine-after = 9/10s")
    + ActorPlugin.section("looker", "Actor", "mount = /looker", "mode = shadow")
    + ActorPlugin.section("app", "ActorRouter", "mount = /app")

  /// What the request was told to do, and who answered it; nil for the host.
  static let cases: [(target: String, acts: [String], responder: String?)] = [
    ("/app/open", [], "app"),
    ("/app/slow", [], "app"),
    ("/app/open", ["gate request respond 403"], "gate"),
    ("/app/open", ["gate request problem 403 no"], "gate"),
    ("/app/open", ["gate response status 403"], "gate"),
    ("/app/open", ["gate response status 200"], "app"),
    ("/app/open", ["gate response set X-Other value"], "app"),
    ("/app/open", ["gate response status 403", "gate response fault x"], "app"),
    ("/app/open", ["looker request respond 403"], "app"),
    ("/app/open", ["looker response status 403"], "app"),
    ("/app/open", ["app route fault x"], nil),
    ("/app/private", [], nil),
    ("/app/nothing", [], nil),
    ("/health", [], nil),
  ]

  @Test("the plugin that gave the answer, or changed its status last", arguments: cases.indices)
  func responder(index: Int) throws {
    let (target, acts, responder) = Self.cases[index]
    let host = try TestHost(Self.sections)
    let answer = try host.send("GET", target, acts.map { ("Act", $0) })
    let id = try #require(answer["X-Request-Id"])
    let record = try #require(host.worker.loops[0].recent.snapshot().first { $0.requestID.string == id })
    let found = record.responder >= 0 ? host.worker.plugins[Int(record.responder)].name : nil
    #expect(found == responder, "\(target) \(acts)")
  }
}

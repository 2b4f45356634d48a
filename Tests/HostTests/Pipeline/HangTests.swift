import Foundation
import Testing

@testable import bulkhead

private let act = ActorPlugin.act

@Suite("Pipeline: a plugin that hangs", .serialized)
struct HangTests {
  private let library: String

  init() throws { library = try ActorPlugin.copy(of: "Actor") }

  @Test(
    "one that never stops changing the response is left behind, and the response is as it was before",
    arguments: ["request", "response"], ["open", "closed"])
  func spinning(_ phase: String, _ onFailure: String) throws {
    let host = try TestHost(
      ActorPlugin.section("first", "Actor", "mount = /first")
        + ActorPlugin.section(
          "spinner", library, "mount = /spinner", "timeout = 50ms", "on-failure = \(onFailure)")
        + ActorPlugin.section("app", "ActorRouter", "mount = /app"))
    try ActorPlugin.setGate(open: false, of: library)
    defer { try? ActorPlugin.setGate(open: true, of: library) }
    let answer = try host.send(
      "GET", "/app/open",
      [
        act("first", "request", "attribute a one"), act("first", "request", "set X-First yes"),
        act("spinner", phase, "spin"), act("app", "route", "body made"), act("app", "route", "show a"),
      ])
    #expect(answer["X-First"] == "yes")
    #expect(answer.all("n1").isEmpty)
    if onFailure == "open" {
      #expect(answer.status == 200)
      #expect(answer.text == "made")
      #expect(answer["X-Attribute"] == "one")
    } else {
      #expect(answer.status == 504)
      #expect(try answer.member("code") == "plugin-timeout")
      #expect(try answer.member("plugin") == "spinner")
    }
    #expect(answer.trail.last == "first.response")
    #expect(host.plugin("spinner").state == .quarantined)
    // The thread that was left behind has ended its work, though its gate is shut.
    let turns = try ActorPlugin.counter("actor_turns", of: library)
    usleep(20_000)
    #expect(try ActorPlugin.counter("actor_turns", of: library) == turns)
    #expect(try host.send("GET", "/health").status == 200)
  }
}

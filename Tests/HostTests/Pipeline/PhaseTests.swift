import Testing

@testable import bulkhead

private let act = ActorPlugin.act

@Suite("Pipeline: phases")
struct PhaseTests {
  private static let three = ["a", "b", "c"].map { ActorPlugin.section($0, "Actor", "mount = /\($0)") }
    .joined()

  @Test("request phases run in the file's order, response phases in reverse")
  func order() throws {
    let host = try TestHost(PhaseTests.three)
    let answer = try host.send("GET", "/a/open")
    #expect(answer.status == 200)
    #expect(
      answer.trail == [
        "a.request", "b.request", "c.request", "a.route", "c.response", "b.response", "a.response",
      ])
  }

  @Test("after an early answer the response phases of those run whose request phase ran, its own included")
  func earlyAnswer() throws {
    let host = try TestHost(PhaseTests.three)
    let answer = try host.send("GET", "/a/open", [act("b", "request", "respond 418")])
    #expect(answer.status == 418)
    #expect(answer.text == "b")
    #expect(answer.trail == ["a.request", "b.request", "b.response", "a.response"])
  }

  @Test("after a fault the response phases of those before it run")
  func fault() throws {
    let host = try TestHost(PhaseTests.three)
    let answer = try host.send("GET", "/a/open", [act("b", "request", "fault broken")])
    #expect(answer.status == 503)
    #expect(try answer.member("code") == "plugin-fault")
    #expect(try answer.member("plugin") == "b")
    #expect(answer["Retry-After"] != nil)
    #expect(answer.trail.last == "a.response")
    #expect(!answer.trail.contains("c.request"))
    #expect(!answer.trail.contains("b.response"))
  }
}

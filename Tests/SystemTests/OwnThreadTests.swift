import PluginTesting
import Testing

/// A plugin whose own thread falls, in every worker that starts it, though nothing is asked of it.
@Suite("A plugin whose own thread ends it again and again")
struct OwnThreadTests {
  private func start(endsBy: String) throws -> HostProcess {
    let directory = try TemporaryDirectory()
    let library = try BrokenPlugin.compile(
      "own-thread", in: directory, links: ["pthread"], defining: ["ENDS_BY=\(endsBy)"])
    return try HostProcess(
      HostSettings(
        plugins: Section.plugin("victim", library: library, ["paths = /victim", "on-failure = open"])
          + Section.fault("other", mount: "/other", "paths = /other")),
      in: directory)
  }

  @Test(
    "it is out after the second time, and not started again but by a reload; others are served",
    arguments: [
      ("trap", "crashed"), ("overflow", "crashed"), ("stray", "crashed"), ("leave", "exited"),
    ])
  func again(endsBy: String, reason: String) throws {
    let host = try start(endsBy: endsBy)
    let failed = try waitToBeOut(host)
    #expect(failed.victim["reason"].string == reason, "\(failed.victim)")
    #expect(failed.generation <= 4)
    #expect(try host.get("/health").json["status"].string == "degraded")
    #expect(try host.get("/other/echo").status == 200)

    #expect(try host.command("reload").status == .exited(0))
    let again = try waitToBeOut(host, after: failed.generation)
    #expect(again.generation <= failed.generation + 4)
    #expect(try host.get("/other/echo").status == 200)
    #expect(try host.stop() == .exited(0))
  }

  /// As the supervisor has it: what is asked of the worker is lost if the plugin ends it in that instant.
  private func waitToBeOut(
    _ host: HostProcess, after generation: Int = 0
  ) throws -> (victim: JSONValue, generation: Int) {
    var status = JSONValue.null
    try wait("it to be out after generation \(generation)", within: .seconds(30)) {
      let answer = try host.command("status", "--json")
      try #require(answer.status == .exited(0), "\(answer)")
      status = try JSONValue(parsing: Array(answer.output.utf8))
      return status["plugins"]["victim", by: "name"]["state"].string == "failed"
        && status["generation"].int ?? 0 > generation
    }
    return (status["plugins"]["victim", by: "name"], status["generation"].int ?? 0)
  }
}

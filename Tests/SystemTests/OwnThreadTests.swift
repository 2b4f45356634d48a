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

  @Test(
    "of two sections with one library, the one whose thread it is has faulted, in whatever way",
    arguments: [
      ("thread-trap", "crashed"), ("thread-exit", "exited"), ("thread-_exit", "exited"),
      ("thread-_Exit", "exited"), ("thread-quick_exit", "exited"),
    ])
  func oneLibrary(deed: String, reason: String) throws {
    let directory = try TemporaryDirectory()
    let library = try WildHost.library(in: directory)
    let sections = ["first", "second"].map {
      Section.plugin($0, library: library, ["mount = /\($0)", "recover = never"])
    }
    let host = try HostProcess(HostSettings(plugins: sections.joined()), in: directory)
    WildHost.doAtAnyCost(deed, of: "/second", on: host)
    var plugins = JSONValue.null
    try wait("a plugin to be out", within: .seconds(30)) {
      plugins = try JSONValue(parsing: host.command("status", "--json").output.utf8)["plugins"]
      return plugins.array.contains { $0["state"].string == "quarantined" }
    }
    #expect(plugins["first", by: "name"]["state"].string == "active", "\(plugins)")
    #expect(plugins["second", by: "name"]["reason"].string == reason, "\(plugins)")
  }
}

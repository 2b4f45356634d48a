import PluginTesting
import Testing

/// A plugin whose own thread falls, in every worker that starts it, though nothing is asked of it.
@Suite("A plugin whose own thread ends it again and again")
struct OwnThreadTests {
  private func start(exits: Bool) throws -> HostProcess {
    let directory = try TemporaryDirectory()
    let library = try BrokenPlugin.compile(
      "own-thread", in: directory, links: ["pthread"], defining: ["EXITS=\(exits ? 1 : 0)"])
    return try HostProcess(
      HostSettings(
        plugins: Section.plugin("victim", library: library, ["paths = /victim", "on-failure = open"])
          + Section.fault("other", mount: "/other", "paths = /other")),
      in: directory)
  }

  @Test(
    "it is out after the second time, and not started again but by a reload; others are served",
    arguments: [(false, "crashed"), (true, "exited")])
  func again(exits: Bool, reason: String) throws {
    let host = try start(exits: exits)
    let failed = try host.waitFor(plugin: "victim", state: "failed", within: .seconds(30))
    #expect(failed["reason"].string == reason, "\(failed)")
    let generation = try host.worker().generation
    #expect(generation <= 4)
    #expect(try host.get("/health").json["status"].string == "degraded")
    #expect(try host.get("/other/echo").status == 200)

    #expect(try host.command("reload").status == .exited(0))
    try wait("it to have been started again, and to be out again", within: .seconds(30)) {
      let state = try host.plugin("victim")["state"].string
      return try host.worker().generation > generation && state == "failed"
    }
    #expect(try host.worker().generation <= generation + 4)
    #expect(try host.get("/other/echo").status == 200)
    #expect(try host.stop() == .exited(0))
  }
}

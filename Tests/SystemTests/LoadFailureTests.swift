import Foundation
import PluginTesting
import Testing

/// Plugins that do not come up: the exact reason is shown, the scope answers per `on-failure`, the rest is
/// served.
@Suite("A plugin that does not come up", .timeLimit(.minutes(5)))
struct LoadFailureTests {
  /// Starts a host with the library in question, and a healthy plugin beside it.
  private func start(library: String, in directory: TemporaryDirectory, _ lines: String...) throws
    -> HostProcess
  {
    let broken = ["mount = /broken", "paths = /broken, /other/echo", "recover = never"] + lines
    return try HostProcess(
      HostSettings(
        plugins: Section.plugin("broken", library: library, broken)
          + Section.fault("other", mount: "/other", "paths = /nothing")),
      in: directory)
  }

  private func expectFailure(
    library: String, in directory: TemporaryDirectory, reason: String, state: String = "failed",
    message: [String] = [], _ lines: String..., sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let settings = HostSettings(
      plugins: Section.plugin(
        "broken", library: library,
        ["mount = /broken", "paths = /broken, /other/echo", "recover = never"] + lines)
        + Section.fault("other", mount: "/other", "paths = /nothing"))
    let host = try HostProcess(settings, in: directory)
    let plugin = try host.plugin("broken")
    #expect(plugin["state"].string == state, "\(plugin)", sourceLocation: sourceLocation)
    #expect(plugin["last_fault"]["reason"].string == reason, "\(plugin)", sourceLocation: sourceLocation)
    let said = plugin["last_fault"]["message"].string ?? ""
    #expect(!said.isEmpty, "a reason without an explanation", sourceLocation: sourceLocation)
    for part in message { #expect(said.contains(part), "\(said)", sourceLocation: sourceLocation) }

    let closed = try host.get("/other/echo", headers: [("Origin", Origin.own)])
    #expect(closed.status == 503, sourceLocation: sourceLocation)
    #expect(closed.json["code"].string == "plugin-unavailable", sourceLocation: sourceLocation)
    #expect(closed.json["plugin"].string == "broken", sourceLocation: sourceLocation)
    #expect(closed.header("Access-Control-Allow-Origin") == Origin.own, sourceLocation: sourceLocation)
    #expect(try host.get("/broken/x").status == 503, sourceLocation: sourceLocation)
    #expect(try host.get("/other/blocking").status == 200, sourceLocation: sourceLocation)
    #expect(try host.get("/health").json["status"].string == "degraded", sourceLocation: sourceLocation)

    // The same library behind on-failure = open: skipped.
    try host.rewrite(
      HostSettings(
        plugins: settings.plugins.replacing("recover = never", with: "recover = never\non-failure = open")))
    host.process.send(signal: SIGHUP)
    try wait("the scope to be served without the plugin") { try host.get("/other/echo").status == 200 }
    #expect(try host.plugin("broken")["state"].string == state, sourceLocation: sourceLocation)
  }

  @Test("files that are no library: load-failed", arguments: ["garbage", "empty", "text", "truncated"])
  func noLibrary(kind: String) throws {
    let directory = try TemporaryDirectory()
    let whole = try Data(contentsOf: URL(fileURLWithPath: ReleaseBuild.library("CORSPlugin")))
    let bytes: [UInt8] =
      switch kind {
      case "garbage": (0..<4096).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 3) }
      case "text": Array("#!/bin/sh\nexit 0\n".utf8)
      case "truncated": Array(whole.prefix(whole.count / 3))
      default: []
      }
    let path = try directory.write("libBroken.so", bytes, mode: 0o755)
    try expectFailure(library: path, in: directory, reason: "load-failed")
  }

  @Test("a file that is not there, and a directory: load-failed", arguments: ["missing", "directory"])
  func nothingThere(kind: String) throws {
    let directory = try TemporaryDirectory()
    if kind == "directory" { try directory.write("libBroken.so/inside", "x") }
    try expectFailure(library: "\(directory.path)/libBroken.so", in: directory, reason: "load-failed")
  }

  @Test("a bare name without a file: load-failed, with the path that was tried")
  func bareNameMissing() throws {
    let directory = try TemporaryDirectory()
    try expectFailure(
      library: "Nowhere", in: directory, reason: "load-failed", message: ["libNowhere.so"])
  }

  @Test("a library that others may write to: unsafe-file", arguments: [0o757, 0o777, 0o775])
  func writableByOthers(mode: Int) throws {
    let directory = try TemporaryDirectory()
    let path = try directory.copy(ReleaseBuild.library("FaultPlugin"), as: "libSpoiled.so", mode: mode)
    try expectFailure(library: path, in: directory, reason: "unsafe-file")
  }

  @Test("a library that belongs to somebody else: unsafe-file", .enabled(if: getuid() == 0, "needs root"))
  func ownedByAnother() throws {
    let directory = try TemporaryDirectory()
    let path = try directory.copy(ReleaseBuild.library("FaultPlugin"), as: "libSpoiled.so")
    #expect(chown(path, 65534, 65534) == 0)
    try expectFailure(library: path, in: directory, reason: "unsafe-file")
  }

  @Test("a digest that is not the pinned one: digest-mismatch")
  func pinned() throws {
    let directory = try TemporaryDirectory()
    let path = try directory.copy(ReleaseBuild.library("FaultPlugin"), as: "libPinned.so")
    try expectFailure(
      library: path, in: directory, reason: "digest-mismatch",
      "sha256 = \(String(repeating: "0", count: 64))")
  }

  @Test(
    "broken plugins in C, each with its reason",
    arguments: [
      ("no-entry", "failed", "load-failed", "bulkhead_plugin"),
      ("null-table", "failed", "load-failed", ""),
      ("undefined-symbol", "failed", "load-failed", ""),
      ("bad-name", "failed", "load-failed", ""),
      ("null-function", "failed", "load-failed", ""),
      ("wrong-abi", "failed", "abi-mismatch", "99"),
      ("short-table", "failed", "abi-mismatch", ""),
      ("requires-setting", "failed", "bad-settings", "api-key"),
      ("start-fails", "failed", "start-failed", "the database is locked"),
      ("start-fails-silently", "failed", "start-failed", ""),
      ("bad-route", "failed", "start-failed", "no such route"),
      ("self-test-fails", "failed", "start-failed", "two and two make five"),
      ("dies-in-constructor", "quarantined", "crashed", ""),
    ])
  func brokenC(name: String, state: String, reason: String, message: String) throws {
    let directory = try TemporaryDirectory()
    let path = try BrokenPlugin.compile(name, in: directory)
    try expectFailure(
      library: path, in: directory, reason: reason, state: state, message: message.isEmpty ? [] : [message])
  }

  @Test("a library whose own system library is missing: load-failed, and the missing one is named")
  func missingSystemLibrary() throws {
    let directory = try TemporaryDirectory()
    let stub = try BrokenPlugin.compile("nothere", in: directory)
    let path = try BrokenPlugin.compile("missing-library", in: directory, links: ["nothere"])
    #expect(unlink(stub) == 0)
    try expectFailure(library: path, in: directory, reason: "load-failed", message: ["libnothere.so"])
  }

  @Test(
    "settings that the plugin does not take: bad-settings, with the key and the nearest one",
    arguments: [
      ("phaes = start", "phaes"), ("phase = sometime", "phase"), ("delay = soon", "delay"),
      ("fault = no", "fault"),
    ])
  func badSettings(line: String, key: String) throws {
    let directory = try TemporaryDirectory()
    try expectFailure(
      library: ReleaseBuild.library("FaultPlugin"), in: directory, reason: "bad-settings", message: [key],
      line)
  }

  @Test(
    "a start or a self-test that throws: start-failed, with what it threw", arguments: ["start", "selftest"])
  func throwsInStart(phase: String) throws {
    let directory = try TemporaryDirectory()
    try expectFailure(
      library: ReleaseBuild.library("FaultPlugin"), in: directory, reason: "start-failed",
      message: ["thrown, as asked for"], "fault = throw", "phase = \(phase)")
  }

  @Test(
    "a start that kills or hangs the worker: the plugin is named, and the host starts without it",
    arguments: [
      ("trap", "start", "crashed"), ("abort", "start", "crashed"), ("exit", "start", "exited"),
      ("segv", "selftest", "crashed"),
    ])
  func deadlyStart(fault: String, phase: String, reason: String) throws {
    let directory = try TemporaryDirectory()
    try expectFailure(
      library: ReleaseBuild.library("FaultPlugin"), in: directory, reason: reason, state: "quarantined",
      "fault = \(fault)", "phase = \(phase)")
  }

  @Test("a broken C plugin that answers a problem is well, and one with an unknown status has failed")
  func statuses() throws {
    let directory = try TemporaryDirectory()
    let well = try BrokenPlugin.compile("throws-problem", in: directory)
    let sick = try BrokenPlugin.compile("unknown-status", in: directory)
    let host = try HostProcess(
      HostSettings(
        plugins: Section.plugin("well", library: well, ["paths = /other/echo"])
          + Section.plugin("sick", library: sick, ["paths = /other/blocking", "recover = never"])
          + Section.fault("other", mount: "/other", "paths = /nothing")),
      in: directory)
    let busy = try host.get("/other/echo")
    #expect(busy.status == 409)
    #expect(busy.json["code"].string == "always-busy")
    #expect(try host.plugin("well")["state"].string == "active")
    #expect(try host.get("/other/blocking").status == 503)
    let plugin = try host.plugin("sick")
    #expect(plugin["state"].string == "quarantined")
    #expect(plugin["last_fault"]["reason"].string == "threw")
  }

  @Test("a plugin in plain C is served like any other")
  func plainC() throws {
    let directory = try TemporaryDirectory()
    let host = try start(library: ReleaseBuild.library("PlainCPlugin"), in: directory)
    let plugin = try host.plugin("broken")
    #expect(plugin["state"].string == "active", "\(plugin)")
  }

  @Test("two plugins with the same route: the second does not load, the first serves")
  func routeConflict() throws {
    let host = try HostProcess(
      HostSettings(
        plugins: Section.fault("first", mount: "/same", "tag = first")
          + Section.fault("second", mount: "/same", "paths = /nothing")))
    #expect(try host.plugin("second")["state"].string == "failed")
    #expect(try host.plugin("second")["last_fault"]["message"].string?.contains("first") == true)
    let answer = try host.get("/same/echo")
    #expect(answer.status == 200)
    #expect(answer.json["tag"].string == "first")
  }
}

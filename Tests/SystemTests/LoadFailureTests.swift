import Foundation
import PluginTesting
import Testing

/// Plugins that do not come up: the exact reason is shown, the scope answers per `on-failure`, the rest is
/// served.
@Suite("A plugin that does not come up", .everyTree)
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

  /// The plugin is out for one of `reasons`, its scope answers 503, and the rest is served.
  private func expectFailure(
    library: String, in directory: TemporaryDirectory, reason reasons: String..., message: [String] = [],
    lines: String = "", sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let host = try start(library: library, in: directory, lines)
    let plugin = try host.plugin("broken")
    #expect(plugin["state"].string == "failed", "\(plugin)", sourceLocation: sourceLocation)
    let reason = plugin["last_fault"]["reason"].string ?? "none"
    #expect(reasons.contains(reason), "\(plugin)", sourceLocation: sourceLocation)
    let said = plugin["last_fault"]["message"].string ?? ""
    #expect(!said.isEmpty, "a reason without an explanation", sourceLocation: sourceLocation)
    for part in message { #expect(said.contains(part), "\(said)", sourceLocation: sourceLocation) }

    // What it is may be unknown: then it counts as middleware and as router. A known router is no middleware.
    let kind = plugin["kind"].string ?? "middleware+router"
    if kind.contains("middleware") {
      let closed = try host.get("/other/echo", headers: [("Origin", Origin.own)])
      #expect(closed.status == 503, sourceLocation: sourceLocation)
      #expect(closed.json["code"].string == "plugin-unavailable", sourceLocation: sourceLocation)
      #expect(closed.json["plugin"].string == "broken", sourceLocation: sourceLocation)
      #expect(closed.header("Access-Control-Allow-Origin") == Origin.own, sourceLocation: sourceLocation)
    }
    if kind.contains("router") {
      #expect(try host.get("/broken/x").status == 503, sourceLocation: sourceLocation)
    }
    #expect(try host.get("/other/blocking").status == 200, sourceLocation: sourceLocation)
    #expect(try host.get("/health").json["status"].string == "degraded", sourceLocation: sourceLocation)
  }

  @Test(
    "on-failure = open: the scope of a plugin that did not come up is served without it",
    arguments: [
      "load-failed", "start-failed", "crashed",
    ])
  func open(reason: String) throws {
    let directory = try TemporaryDirectory()
    let host = try start(
      library: reason == "load-failed" ? "Nowhere" : "FaultPlugin", in: directory, "on-failure = open",
      reason == "load-failed" ? "" : "fault = \(reason == "crashed" ? "trap" : "throw")\nphase = start")
    #expect(try host.plugin("broken")["last_fault"]["reason"].string == reason)
    #expect(try host.get("/other/echo").status == 200)
    #expect(try host.get("/broken/echo").status == 503)
  }

  @Test("a plugin that is swapped for one that kills its worker at start: the rest is served all along")
  func deadlySwap() throws {
    let directory = try TemporaryDirectory()
    let host = try start(library: "FaultPlugin", in: directory)
    #expect(try host.get("/broken/echo").status == 200)
    let plugins =
      Section.plugin(
        "broken", library: "FaultPlugin",
        ["mount = /broken", "paths = /broken", "recover = never", "fault = trap", "phase = start"])
      + Section.fault("other", mount: "/other", "paths = /nothing")
    try host.rewrite(HostSettings(plugins: plugins))
    host.process.send(signal: SIGHUP)
    try wait("the swap to be held") {
      #expect(try host.get("/other/echo").status == 200)
      #expect(try host.get("/broken/echo").status == 200)
      return try host.diagnostics()["config"]["status"].string == "held"
    }
    #expect(try host.command("reload", "--force").status == .exited(0))
    try wait("the new generation, without the plugin") {
      #expect(try host.get("/other/echo").status == 200)
      return try host.plugin("broken")["state"].string == "failed"
    }
    #expect(try host.plugin("broken")["last_fault"]["reason"].string == "crashed")
  }

  @Test("files that are no library: load-failed", arguments: ["garbage", "empty", "text", "truncated"])
  func noLibrary(kind: String) throws {
    let directory = try TemporaryDirectory()
    let whole = try Data(contentsOf: URL(fileURLWithPath: ReleaseBuild.library("CORSPlugin")))
    let bytes: [UInt8] =
      switch kind {
      case "garbage": (0..<4096).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 3) }
      case "text": Array("#!/bin/sh\nexit 0\n".utf8)
      // Its first pages are mapped, and touching the next raises SIGBUS inside the loader.
      case "truncated": Array(whole.prefix(8192))
      default: []
      }
    let path = try directory.write("libBroken.so", bytes, mode: 0o755)
    try expectFailure(
      library: path, in: directory, reason: "load-failed", kind == "truncated" ? "crashed" : "load-failed")
  }

  @Test("a file that is not there, and a directory: load-failed", arguments: ["missing", "directory"])
  func nothingThere(kind: String) throws {
    let directory = try TemporaryDirectory()
    if kind == "directory" { try directory.write("libBroken.so/inside", "x") }
    try expectFailure(library: "\(directory.path)/libBroken.so", in: directory, reason: "load-failed")
  }

  @Test("a file larger than any library: load-failed, without being read")
  func tooLarge() throws {
    let directory = try TemporaryDirectory()
    let path = try directory.write("libBroken.so", "", mode: 0o755)
    #expect(truncate(path, 3 << 30) == 0)
    try expectFailure(
      library: path, in: directory, reason: "load-failed", message: ["larger than the 512m"])
  }

  @Test("a bare name without a file: load-failed, with the path that was tried")
  func bareNameMissing() throws {
    let directory = try TemporaryDirectory()
    try expectFailure(
      library: "Nowhere", in: directory, reason: "load-failed", message: ["libNowhere.so"])
  }

  @Test("a library that others may write to: unsafe-file", arguments: [0o757, 0o777, 0o707])
  func writableByOthers(mode: Int) throws {
    let directory = try TemporaryDirectory()
    let path = try directory.copyLibrary("FaultPlugin", as: "libSpoiled.so", mode: mode)
    try expectFailure(library: path, in: directory, reason: "unsafe-file")
  }

  @Test("a library that belongs to somebody else: unsafe-file", .enabled(if: getuid() == 0, "needs root"))
  func ownedByAnother() throws {
    let directory = try TemporaryDirectory()
    let path = try directory.copyLibrary("FaultPlugin", as: "libSpoiled.so")
    #expect(chown(path, 65534, 65534) == 0)
    try expectFailure(library: path, in: directory, reason: "unsafe-file")
  }

  @Test("a digest that is not the pinned one: digest-mismatch")
  func pinned() throws {
    let directory = try TemporaryDirectory()
    let path = try directory.copyLibrary("FaultPlugin", as: "libPinned.so")
    try expectFailure(
      library: path, in: directory, reason: "digest-mismatch",
      lines: "sha256 = \(String(repeating: "0", count: 64))")
  }

  @Test(
    "broken plugins in C, each with its reason",
    arguments: [
      ("no-entry", "load-failed", "bulkhead_plugin"),
      ("null-table", "load-failed", ""),
      ("undefined-symbol", "load-failed", ""),
      ("bad-name", "load-failed", ""),
      ("null-function", "load-failed", ""),
      ("wrong-abi", "abi-mismatch", "99"),
      ("short-table", "abi-mismatch", ""),
      ("requires-setting", "bad-settings", "api-key"),
      ("start-fails", "start-failed", "the database is locked"),
      ("start-fails-silently", "start-failed", ""),
      ("bad-route", "start-failed", "no such route"),
      ("self-test-fails", "start-failed", "two and two make five"),
      ("dies-in-constructor", "crashed", ""),
    ])
  func brokenC(name: String, reason: String, message: String) throws {
    let directory = try TemporaryDirectory()
    let path = try BrokenPlugin.compile(name, in: directory)
    try expectFailure(
      library: path, in: directory, reason: reason, message: message.isEmpty ? [] : [message])
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
      lines: line)
  }

  @Test(
    "a start or a self-test that throws: start-failed, with what it threw", arguments: ["start", "selftest"])
  func throwsInStart(phase: String) throws {
    let directory = try TemporaryDirectory()
    try expectFailure(
      library: ReleaseBuild.library("FaultPlugin"), in: directory, reason: "start-failed",
      message: ["thrown, as asked for"],
      lines: "fault = throw\nphase = \(phase)")
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
      library: ReleaseBuild.library("FaultPlugin"), in: directory, reason: reason,
      lines: "fault = \(fault)\nphase = \(phase)")
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

  @Test(
    "a table that the header forbids: load-failed, with the rule",
    arguments: [
      ("SETTING=\"mount\"", "its setting 'mount' is a key of the host's own"),
      ("SETTING=\"twice\"", "its setting 'twice' stands twice"),
      ("SETTING=\"Big\"", "its setting 'Big' is not in kebab-case"),
      ("VERSION=\"x\"", "its table's version is 'x'"),
      ("NAME=\"an-awfully-long-name-of-no-less-than-33\"", "its table's name is longer than 32 bytes"),
    ])
  func forbiddenTable(macro: String, rule: String) throws {
    let directory = try TemporaryDirectory()
    let library = try BrokenPlugin.compile("bad-table", in: directory, defining: [macro])
    let host = try start(library: library, in: directory)
    let fault = try host.plugin("broken")["last_fault"]
    #expect(fault["reason"].string == "load-failed", "\(fault)")
    #expect(fault["message"].string?.contains(rule) == true, "\(fault)")
    #expect(try host.get("/other/echo").status == 503, "it may be what guards this path")
    #expect(try host.get("/nothing").status == 404)
  }

  @Test("what a library says of itself does nothing to the terminal")
  func describesItself() throws {
    let directory = try TemporaryDirectory()
    let library = try BrokenPlugin.compile(
      "bad-table", in: directory, defining: ["SUMMARY=\"red \\033[31m\"", "HELP=\"bell \\007\""])
    let result = try ReleaseBuild.run(["describe", library])
    #expect(result.status == .exited(0), "\(result)")
    #expect(result.output.contains("red \u{fffd}[31m") && result.output.contains("bell \u{fffd}"))
    #expect(!result.output.utf8.contains { $0 < 0x20 && $0 != 0x0a })
  }
}

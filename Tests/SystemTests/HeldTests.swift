import Foundation
import PluginTesting
import Testing

/// Edits, libraries and reloads that would take out of service what serves.
@Suite("What serves is not given up", .everyTree)
struct HeldTests {
  private static let served = ["/app/echo", "/plain/items/1"]

  private func settings(_ app: String..., plain: String = "mount = /plain") -> HostSettings {
    HostSettings(
      plugins: Section.plugin("app", library: "FaultPlugin", ["mount = /app", "recover = 100ms..1s"] + app)
        + Section.plugin(
          "plain", library: "PlainCPlugin", [plain, "paths = /plain/items", "required = true"]))
  }

  private func expectServed(_ host: HostProcess, _ what: String) throws {
    for path in HeldTests.served { #expect(try host.get(path).status == 200, "\(what): \(path)") }
    #expect(try host.get("/health/ready").status == 200, "\(what)")
  }

  /// The configuration is held, wherever that is shown, and everything is served as before.
  @discardableResult
  private func expectHeld(_ host: HostProcess, _ what: String, worker: pid_t) throws -> [JSONValue] {
    try wait("\(what) to be held") { try host.diagnostics()["config"]["status"].string == "held" }
    #expect(try host.get("/health").json["config"].string == "held", "\(what)")
    #expect(try host.get("/metrics").text.contains("bulkhead_config_held 1"), "\(what)")
    let status = try host.command("status", "--state-dir", host.stateDirectory)
    #expect(status.output.contains("held"), "\(what): \(status)")
    #expect(try host.worker().pid == worker, "\(what)")
    try expectServed(host, what)
    return try host.diagnostics()["config"]["held"].array
  }

  @Test(
    "an emptied file, and one without a required plugin, every plugin, every address or [host], is held until it is forced",
    arguments: ["empty", "comments", "required", "plugins", "addresses", "host", "cut"])
  func drops(kind: String) throws {
    let host = try HostProcess(settings())
    let whole = try String(contentsOfFile: host.configurationPath, encoding: .utf8)
    let required = try #require(whole.range(of: "[plugin plain]"))
    let text: String
    switch kind {
    case "empty": text = ""
    case "comments": text = "# Nothing but\n# comments.\n"
    case "required": text = String(whole[..<required.lowerBound])
    case "plugins": text = String(whole[..<(try #require(whole.range(of: "[plugin app]")).lowerBound)])
    case "addresses": text = whole.replacing("listen = 127.0.0.1:0", with: "listen = 127.0.0.2:0")
    case "host": text = String(whole[(try #require(whole.range(of: "[cors]")).lowerBound)...])
    default: text = String(whole[..<(try #require(whole.range(of: "paths = /plain/it")).upperBound)])
    }
    let worker = try host.worker().pid
    try host.directory.write("plugins.conf", text)
    let held = try expectHeld(host, kind, worker: worker)
    let reasons = Set(held.compactMap { $0["reason"].string })
    #expect(reasons.contains(kind == "cut" ? "half-written" : "dropped"), "\(held)")
    if kind == "required" { #expect(held.map { $0["plugin"].string } == ["plain"], "\(held)") }
    let reload = try host.command("reload", "--state-dir", host.stateDirectory)
    #expect(reload.status == .exited(1), "\(reload)")
    #expect(reload.errors.contains("held") && reload.errors.contains("--force"), "\(reload)")
    try host.directory.write("plugins.conf", whole)
    try wait("the file as it was to be active") {
      try host.diagnostics()["config"]["status"].string == "active"
    }
    #expect(try host.worker().pid == worker, "\(kind)")
    #expect(try host.get("/health").json["config"].string == "active")
  }

  @Test("the operator may insist: a required plugin goes with reload --force")
  func forced() throws {
    let host = try HostProcess(settings())
    try host.rewrite(
      HostSettings(plugins: Section.plugin("app", library: "FaultPlugin", ["mount = /app"])))
    try wait("the edit to be held") { try host.diagnostics()["config"]["status"].string == "held" }
    let forced = try host.command("reload", "--force")
    #expect(forced.status == .exited(0), "\(forced)")
    #expect(try host.get("/plain/items/1").status == 404)
    #expect(try host.get("/app/echo").status == 200)
    #expect(try host.diagnostics()["config"]["status"].string == "active")
  }

  @Test("a file that somebody still has open for writing is not read until it is closed")
  func openForWriting() throws {
    let host = try HostProcess(settings())
    let next = settings("tag = two").text(stateDirectory: host.stateDirectory)
    let half = try #require(next.range(of: "[plugin plain]"))
    let worker = try host.worker().pid
    let handle = try #require(FileHandle(forWritingAtPath: host.configurationPath))
    try handle.truncate(atOffset: 0)
    // Longer than the host waits for quiet.
    for piece in [next[..<half.lowerBound], next[half.lowerBound...]] {
      for _ in 0..<30 {
        usleep(20_000)
        try expectServed(host, "while the file is written")
        #expect(try host.diagnostics()["config"]["status"].string == "active")
        #expect(try host.worker().pid == worker)
      }
      try handle.write(contentsOf: Data(piece.utf8))
    }
    try handle.close()
    try wait("the file to be taken") { try host.get("/app/echo").json["tag"].string == "two" }
  }

  @Test(
    "a worker that dies is replaced also while somebody keeps the file open, and the host waits to read it")
  func deathMeanwhile() throws {
    let host = try HostProcess(settings())
    let handle = try #require(FileHandle(forWritingAtPath: host.configurationPath))
    try handle.seekToEnd()
    try handle.write(contentsOf: Data("# more\n".utf8))
    let reload = try ChildProcess(
      ReleaseBuild.binary, ["reload", "--config", host.configurationPath],
      environment: ReleaseBuild.cleanEnvironment, directory: host.directory.path, name: "reload")
    let opened = ContinuousClock.now
    let worker = try host.worker().pid
    kill(worker, SIGKILL)
    try wait("the next worker") { try host.worker().pid != worker }
    try expectServed(host, "after a death")
    // On a busy machine that may take longer than the host waits for the file.
    if ContinuousClock.now - opened < .seconds(4) {
      #expect(reload.exitStatus() == nil, "the file is not read yet")
    }
    try handle.close()
    #expect(try reload.waitForExit(within: .seconds(10)) == .exited(0))
  }

  @Test("a file that ends between two lines of a section is looked at again before it is taken")
  func mayBeCut() throws {
    let host = try HostProcess(
      HostSettings(plugins: Section.plugin("app", library: "FaultPlugin", ["mount = /app", "tag = two"])))
    let text = try String(contentsOfFile: host.configurationPath, encoding: .utf8)
    let cut = try #require(text.range(of: "tag = two"))
    let worker = try host.worker().pid
    try host.directory.write("plugins.conf", String(text[..<cut.lowerBound]))
    // It is taken in the end: an operator may have removed the line.
    try wait("the edit to be taken", within: .seconds(20)) { try host.worker().pid != worker }
    #expect(try host.get("/app/echo").json["tag"].string == "")
    #expect(try host.diagnostics()["config"]["status"].string == "active")
  }

  @Test("a reload in which a served plugin does not start is held, and taken once it does, without a hand")
  func reload() throws {
    let directory = try TemporaryDirectory()
    let library = try BrokenPlugin.sabotaged("FaultPlugin", in: directory)
    let host = try HostProcess(
      HostSettings(
        plugins: Section.plugin("app", library: library, ["mount = /app", "recover = 100ms..1s"])
          + Section.plugin("plain", library: "PlainCPlugin", ["mount = /plain", "paths = /plain/items"])),
      in: directory)
    for how in ["throw", "trap", "exit"] {
      let worker = try host.worker().pid
      try directory.write("sabotage", "start \(how)")
      let reload = try host.command("reload")
      #expect(reload.status == .exited(1), "\(how): \(reload)")
      #expect(reload.errors.contains("app: "), "\(how): \(reload)")
      let held = try expectHeld(host, how, worker: worker)
      #expect(held.map { $0["plugin"].string } == ["app"], "\(held)")
      #expect(try host.plugin("app")["state"].string == "active")
      try FileManager.default.removeItem(atPath: directory.path + "/sabotage")
      try wait("the reload to be taken by itself", within: .seconds(20)) {
        try host.diagnostics()["config"]["status"].string == "active"
      }
      #expect(try host.worker().pid != worker, "\(how)")
      try expectServed(host, how)
    }
  }

  @Test(
    "a library that fails a moment after its predecessor came is held, and so it is over the death of the worker"
  )
  func youngPredecessor() throws {
    let directory = try TemporaryDirectory()
    let library = try directory.copyLibrary("FaultPlugin", as: "libApp.so")
    let host = try HostProcess(
      HostSettings(
        plugins: Section.plugin("app", library: library, ["mount = /app"])
          + Section.plugin("plain", library: "PlainCPlugin", ["mount = /plain", "paths = /plain/items"])),
      in: directory)
    let digest = try #require(try host.plugin("app")["sha256"].string)
    let worker = try host.worker().pid
    try directory.write("libApp.so", Array("no library at all".utf8), mode: 0o755)
    let held = try expectHeld(host, "the library", worker: worker)
    #expect(held.first?["plugin"].string == "app" && held.first?["reason"].string == "load-failed", "\(held)")
    let plugin = try host.plugin("app")
    #expect(plugin["state"].string == "active" && plugin["rolled_back"]["to"].string == digest, "\(plugin)")
    #expect(plugin["rolled_back"]["from"].string?.utf8.count == 64, "\(plugin)")
    kill(worker, SIGKILL)
    try wait("the next worker") { try host.worker().pid != worker }
    try expectServed(host, "after the worker's death")
    #expect(try host.plugin("app")["rolled_back"]["to"].string == digest)
    // Nor does another edit give it up: the rest of it is taken.
    let text = try String(contentsOfFile: host.configurationPath, encoding: .utf8)
    try directory.write("plugins.conf", text.replacing("paths = /plain/items", with: "paths = /plain"))
    try wait("the edit to be taken") {
      try host.get("/__diag/middleware").text.contains("\"/plain\"")
    }
    try expectServed(host, "after an edit")
    #expect(try host.plugin("app")["rolled_back"]["to"].string == digest)
    #expect(try host.diagnostics()["config"]["status"].string == "held")
    // A host that is started anew has the library that served.
    #expect(try host.stop() == .exited(0))
    let next = try HostProcess(configuration: text, listeners: 1, in: directory)
    try expectServed(next, "in the next host")
    try directory.copyLibrary("FaultPlugin", as: "libApp.so")
    try wait("the end of it") { try next.plugin("app")["rolled_back"] == .null }
    #expect(try next.diagnostics()["config"]["status"].string == "active")
  }

  @Test("a library that is copied slowly is not loaded before it is whole")
  func slowCopy() throws {
    let directory = try TemporaryDirectory()
    let library = try directory.copyLibrary("FaultPlugin", as: "libApp.so")
    let host = try HostProcess(
      HostSettings(
        plugins: Section.plugin("app", library: library, ["mount = /app"])
          + Section.plugin("plain", library: "PlainCPlugin", ["mount = /plain", "paths = /plain/items"])),
      in: directory)
    let digest = try host.plugin("app")["sha256"].string
    let bytes = try Data(contentsOf: URL(fileURLWithPath: library)) + Data("another".utf8)
    let handle = try #require(FileHandle(forWritingAtPath: library))
    try handle.truncate(atOffset: 0)
    for start in stride(from: 0, to: bytes.count, by: bytes.count / 40) {
      try handle.write(contentsOf: bytes[start..<min(start + bytes.count / 40, bytes.count)])
      usleep(30_000)
      try expectServed(host, "while the library is copied")
      #expect(try host.diagnostics()["config"]["status"].string == "active")
    }
    try handle.close()
    try wait("the new library") { try host.plugin("app")["sha256"].string != digest }
    #expect(!host.log.contains("held"))
    try expectServed(host, "with the new library")
  }
}

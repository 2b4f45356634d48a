import Foundation
import PluginTesting
import Testing

/// What is held, and what happens meanwhile: the worker dies, another file comes, an operator asks for a reload.
@Suite("What is held stays held")
struct HeldAgainTests {
  private let directory: TemporaryDirectory

  init() throws { directory = try TemporaryDirectory() }

  private func app(_ library: String, recover: String = "200ms..1s", _ lines: String...) -> String {
    Section.plugin("app", library: library, ["mount = /app", "paths = /app", "recover = \(recover)"] + lines)
  }

  private let plain = Section.plugin("plain", library: "PlainCPlugin", ["mount = /plain", "paths = /plain"])

  private func waitUntilHeld(_ host: HostProcess, _ message: String? = nil) throws {
    try wait("it to be held, \(message ?? "for whatever reason")") {
      let config = try host.diagnostics()["config"]
      return config["status"].string == "held"
        && config["held"].array.contains { item in
          message.map { (item["message"].string ?? "").contains($0) } ?? true
        }
    }
  }

  /// Kills the worker, and waits for the next one.
  private func kill(_ host: HostProcess) throws {
    let worker = try host.worker().pid
    Glibc.kill(worker, SIGKILL)
    try wait("the next worker", within: .seconds(30)) {
      try host.worker().pid != worker && host.get("/health").json["status"].string != "starting"
    }
  }

  @Test("a worker that dies while a library that cannot be loaded is prepared is followed by what served")
  func deathMeanwhile() throws {
    let slow = try BrokenPlugin.sabotaged("FaultPlugin", in: directory)
    let library = try directory.copyLibrary("FaultPlugin", as: "libApp.so")
    let host = try HostProcess(
      HostSettings(
        plugins: app(library) + Section.plugin("slow", library: slow, ["mount = /slow", "paths = /slow"])),
      in: directory)
    try directory.write("sabotage", "start slow")
    try directory.write("libApp.so", "no library at all", mode: 0o755)
    // It does not serve yet, and takes five seconds.
    let worker = try host.worker().pid
    try wait("the next generation") { RunningProcess.children(host.process.pid).count == 2 }
    try FileManager.default.removeItem(atPath: directory.path + "/sabotage")
    Glibc.kill(worker, SIGKILL)
    var answers: Set<String> = []
    try wait("the plugin to be served", within: .seconds(30)) {
      let answer = try host.get("/app/echo")
      answers.insert(answer.status == 200 ? "200" : answer.json["code"].string ?? "\(answer.status)")
      return answer.status == 200
    }
    #expect(answers.isSubset(of: ["200", "starting"]), "\(answers)")
    try waitUntilHeld(host)
    #expect(try host.get("/app/echo").status == 200)
  }

  @Test("a library that is held is not forgotten for another that is held too, when the worker dies")
  func anotherFile() throws {
    let library = try directory.copyLibrary("FaultPlugin", as: "libApp.so")
    let host = try HostProcess(HostSettings(plugins: app(library) + plain), in: directory)
    try directory.write("libApp.so", "no library at all", mode: 0o755)
    try waitUntilHeld(host)
    // Taken but for the library, so that what serves is made from the file that is held.
    try host.rewrite(HostSettings(plugins: app(library) + plain + "# A remark.\n"))
    let before = try host.worker().generation
    try wait("the edit to be taken") { try host.worker().generation > before }
    try waitUntilHeld(host)
    let count = host.log.components(separatedBy: "held, and what serves goes on").count
    try directory.write("libApp.so", "no library either", mode: 0o755)
    try wait("the other to be held") {
      host.log.components(separatedBy: "held, and what serves goes on").count > count
    }
    try kill(host)
    #expect(try host.get("/app/echo").status == 200)
    #expect(try host.plugin("app")["state"].string == "active")
    try directory.copyLibrary("FaultPlugin", as: "libApp.so")
    try wait("the end of it") {
      try host.diagnostics()["config"]["status"].string == "active"
        && host.plugin("app")["rolled_back"] == .null
    }
  }

  @Test("a library stays held when another comes, and for an operator who reloads")
  func reload() throws {
    let library = try directory.copyLibrary("FaultPlugin", as: "libApp.so")
    let other = try directory.copyLibrary("FaultPlugin", as: "libOther.so")
    let sections =
      app(library, recover: "never")
      + Section.plugin("other", library: other, ["mount = /other", "paths = /other"])
    let host = try HostProcess(HostSettings(plugins: sections), in: directory)
    try directory.write("libApp.so", "no library at all", mode: 0o755)
    try waitUntilHeld(host)
    for mark in ["one", "two"] {
      let digest = try host.plugin("other")["sha256"].string
      try directory.copyLibrary("FaultPlugin", as: "libOther.so", mark: mark)
      try wait("the other library \(mark)") { try host.plugin("other")["sha256"].string != digest }
      #expect(try host.diagnostics()["config"]["status"].string == "held", "\(mark)")
    }
    let reload = try host.command("reload")
    #expect(reload.status == .exited(1) && reload.errors.contains("app: load-failed"), "\(reload)")
    #expect(try host.get("/app/echo").status == 200)
    #expect(try host.diagnostics()["config"]["status"].string == "held")
  }

  @Test("what served comes back after the worker's death, however often the file is edited meanwhile")
  func edits() throws {
    let slow = try BrokenPlugin.sabotaged("FaultPlugin", in: directory)
    func settings(_ tag: Int) -> HostSettings {
      HostSettings(
        plugins: Section.plugin("slow", library: slow, ["mount = /slow", "paths = /slow", "tag = \(tag)"]))
    }
    let host = try HostProcess(settings(0), in: directory)
    // Five seconds, during which the file is edited.
    try directory.write("sabotage", "start slow")
    Glibc.kill(try host.worker().pid, SIGKILL)
    var tag = 0
    try wait("what served", within: .seconds(20), every: .milliseconds(200)) {
      tag += 1
      try host.rewrite(settings(tag))
      return try host.get("/slow/echo").status == 200
    }
    try FileManager.default.removeItem(atPath: directory.path + "/sabotage")
    try wait("the last edit", within: .seconds(20)) {
      try host.get("/slow/echo").json["tag"].string == "\(tag)"
    }
  }

  @Test("what is held is served after the worker's death though somebody has removed the state directory")
  func removedState() throws {
    let library = try directory.copyLibrary("FaultPlugin", as: "libApp.so")
    let host = try HostProcess(HostSettings(plugins: app(library) + plain), in: directory)
    try directory.write("libApp.so", "no library at all", mode: 0o755)
    try waitUntilHeld(host)
    try FileManager.default.removeItem(atPath: host.stateDirectory)
    try kill(host)
    #expect(try host.get("/app/echo").status == 200)
    #expect(try host.get("/plain/items/1").status == 200)
  }

  @Test("a library of the same content that others may write to is held, and so is not once they may not")
  func unsafe() throws {
    let library = try directory.copyLibrary("FaultPlugin", as: "libApp.so")
    let host = try HostProcess(HostSettings(plugins: app(library) + plain), in: directory)
    try FileManager.default.setAttributes([.posixPermissions: 0o777], ofItemAtPath: library)
    try waitUntilHeld(host)
    #expect(try host.get("/app/echo").status == 200)
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: library)
    try wait("the end of it") { try host.diagnostics()["config"]["status"].string == "active" }
  }

  @Test("a library that faults in service gives way to the one that served before it, which was young too")
  func youngPredecessor() throws {
    let library = try directory.copyLibrary("FaultPlugin", as: "libApp.so")
    let host = try HostProcess(
      HostSettings(plugins: app(library, recover: "never") + plain), in: directory)
    let first = try #require(try host.plugin("app")["sha256"].string)
    try directory.copyLibrary("FaultPlugin", as: "libApp.so", mark: "another")
    try wait("the other library") { try host.plugin("app")["sha256"].string != first }
    #expect(try host.get("/app/echo", headers: [("X-Fault", "throw")]).status == 503)
    try wait("the first to be back") { try host.plugin("app")["rolled_back"]["to"].string == first }
    #expect(try host.get("/app/echo").status == 200)
  }

  @Test("a file that may be cut off is taken no sooner for a reload, a signal, or what is tried again")
  func mayBeCut() throws {
    let library = try directory.copyLibrary("FaultPlugin", as: "libApp.so")
    let host = try HostProcess(HostSettings(plugins: app(library, "tag = one")), in: directory)
    let whole = try String(contentsOfFile: host.configurationPath, encoding: .utf8)
    try directory.write("libApp.so", "no library at all", mode: 0o755)
    try waitUntilHeld(host)
    // Each try again reads both; the library is well by then, and the file is not.
    let cut = "# Written anew.\n" + whole[..<(try #require(whole.range(of: "tag = one")).lowerBound)]
    try directory.write("plugins.conf", String(cut))
    try directory.copyLibrary("FaultPlugin", as: "libApp.so")
    host.process.send(signal: SIGHUP)
    try wait("the file to be looked at") { host.log.contains("may be half-written") }
    let start = ContinuousClock.now
    while ContinuousClock.now - start < .seconds(2) {
      #expect(try host.get("/app/echo").json["tag"].string == "one")
      usleep(20_000)
    }
    // Who asks is answered by what the file says in the end.
    let reload = try host.command("reload")
    #expect(reload.status == .exited(0), "\(reload)")
    #expect(try host.get("/app/echo").json["tag"].string == "")
    try directory.write("plugins.conf", whole)
    try wait("the whole file") { try host.get("/app/echo").json["tag"].string == "one" }
  }

  @Test("a file whose last line was cut off is held, though it is the beginning of one that never served")
  func cutOfAnother() throws {
    let host = try HostProcess(HostSettings(plugins: app("FaultPlugin") + plain), in: directory)
    let whole = try String(contentsOfFile: host.configurationPath, encoding: .utf8)
    let cut = whole[..<(try #require(whole.range(of: "mount = /pl")).upperBound)]
    try directory.write("plugins.conf", "# Another.\n" + cut)
    try waitUntilHeld(host, "middle of a line")
    #expect(try host.get("/plain/items/1").status == 200)
  }

  @Test("a section under another name that does not start keeps the plugin that it replaces in service")
  func renamed() throws {
    let library = try BrokenPlugin.sabotaged("FaultPlugin", in: directory)
    let host = try HostProcess(HostSettings(plugins: app(library) + plain), in: directory)
    try directory.write("sabotage", "start throw")
    let text = app(library).replacing("[plugin app]", with: "[plugin shop]")
    try host.rewrite(HostSettings(plugins: text + plain))
    try waitUntilHeld(host)
    #expect(try host.get("/app/echo").status == 200)
    try FileManager.default.removeItem(atPath: directory.path + "/sabotage")
    try wait("the other name", within: .seconds(20)) { try host.plugin("shop")["state"].string == "active" }
    #expect(try host.get("/app/echo").status == 200)
  }

  @Test("what is made for files that are not taken is given up: copies, and the plugin's own state")
  func nothingLeft() throws {
    let library = try directory.copyLibrary("FaultPlugin", as: "libApp.so")
    let host = try HostProcess(
      HostSettings(plugins: app(library, recover: "never") + plain), in: directory)
    let copies = host.stateDirectory + "/libraries"
    let before = try Set(FileManager.default.contentsOfDirectory(atPath: copies))
    for number in 1...12 {
      try directory.write("libApp.so", "no library \(number)", mode: 0o755)
      try wait("library \(number) to be held") {
        host.log.components(separatedBy: "held, and what serves goes on").count > number
      }
    }
    try wait("their copies to be removed") {
      try Set(FileManager.default.contentsOfDirectory(atPath: copies)).subtracting(before).isEmpty
    }
    #expect(try host.get("/app/echo").status == 200)
  }
}

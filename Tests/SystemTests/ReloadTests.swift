import Foundation
import PluginTesting
import Testing

/// Swaps: by SIGHUP, by saving the file, by a new library; without a lost request.
@Suite("Swaps", .everyTree)
struct ReloadTests {
  private func settings(tag: String, _ lines: String...) -> HostSettings {
    HostSettings(
      plugins: Section.plugin(
        "fault", library: "FaultPlugin", ["mount = /fault", "tag = \(tag)"] + lines))
  }

  private func tag(_ host: HostProcess) throws -> String? { try host.get("/fault/echo").json["tag"].string }

  @Test("SIGHUP takes the edited file")
  func hangup() throws {
    let host = try HostProcess(settings(tag: "one"))
    let before = try host.worker()
    try host.rewrite(settings(tag: "two"))
    host.process.send(signal: SIGHUP)
    try wait("the new tag") { try tag(host) == "two" }
    let after = try host.worker()
    #expect(after.generation > before.generation)
    try wait("the old worker to end") { !RunningProcess.exists(before.pid) }
  }

  @Test("saving the file is enough: in place, or by a rename as editors do", arguments: [true, false])
  func watched(rename: Bool) throws {
    let host = try HostProcess(settings(tag: "one"))
    let text = settings(tag: "two").text(stateDirectory: host.stateDirectory)
    if rename {
      try host.directory.write("plugins.conf", text)
    } else {
      let handle = try #require(FileHandle(forWritingAtPath: host.configurationPath))
      try handle.truncate(atOffset: 0)
      try handle.write(contentsOf: Data(text.utf8))
      try handle.close()
    }
    try wait("the new tag") { try tag(host) == "two" }
  }

  @Test("a new library under the old name is taken without a word")
  func newLibrary() throws {
    let directory = try TemporaryDirectory()
    let path = try directory.copyLibrary("FaultPlugin", as: "libSwapped.so")
    let host = try HostProcess(
      HostSettings(plugins: Section.plugin("swapped", library: path, ["mount = /fault"])), in: directory)
    let before = try host.plugin("swapped")["sha256"].string
    // The same code with bytes at its end that no loader looks at: another digest.
    let bytes = try Data(contentsOf: URL(fileURLWithPath: path)) + Data("a new build".utf8)
    try directory.write("libSwapped.so", [UInt8](bytes), mode: 0o755)
    try wait("the new digest") {
      let now = try host.plugin("swapped")["sha256"].string
      return now != nil && now != before
    }
    #expect(try host.get("/fault/echo").status == 200)
  }

  @Test("a file with errors changes nothing, and every error is shown")
  func rejected() throws {
    let host = try HostProcess(settings(tag: "one"))
    let before = try host.worker()
    try host.directory.write("plugins.conf", "[host]\nlisen = 127.0.0.1:0\nmax-body = lots\n[plugin fault]\n")
    host.process.send(signal: SIGHUP)
    try wait("the rejection to be shown") {
      try host.diagnostics()["config"]["status"].string == "rejected"
    }
    let error = try host.diagnostics()["config"]["error"].string ?? ""
    #expect(error.contains("lisen") && error.contains("max-body"), "\(error)")
    #expect(try tag(host) == "one")
    #expect(try host.worker().pid == before.pid)
    try host.rewrite(settings(tag: "two"))
    host.process.send(signal: SIGHUP)
    try wait("the repaired file to be taken") { try tag(host) == "two" }
    #expect(try host.diagnostics()["config"]["status"].string == "active")
  }

  @Test("an edit that gives a plugin settings it does not take changes nothing, however it is taken up")
  func rejectedSettings() throws {
    let host = try HostProcess(settings(tag: "one"))
    let before = try host.worker()
    let sections =
      Section.plugin("fault", library: "FaultPlugin", ["mount = /fault", "tag = two", "dellay = 1s"])
      + Section.plugin("new", library: "FaultPlugin", ["mount = /new", "probaton = 5s"])
      + Section.plugin("limit", library: "RateLimitPlugin", ["limit = 5/1m", "limit = 0/1m"])
    try host.rewrite(HostSettings(plugins: sections))
    let reload = try host.command("reload")
    #expect(reload.status == .exited(1), "\(reload)")
    let said = reload.output + reload.errors
    for part in [
      "plugins.conf:", "unknown key 'dellay' in [plugin fault]; did you mean 'delay'?",
      "unknown key 'probaton' in [plugin new]; did you mean 'probation'?",
      "[plugin limit] limit = 0/1m: \"0/1m\" is no rate",
    ] {
      #expect(said.contains(part), "\(said)")
    }
    try wait("the rejection to be shown") {
      try host.diagnostics()["config"]["status"].string == "rejected"
    }
    let error = try host.diagnostics()["config"]["error"].string ?? ""
    #expect(error.contains("'dellay'") && error.contains("'probaton'"), "\(error)")
    #expect(try host.get("/metrics").text.contains("bulkhead_config_rejected 1"))
    #expect(try host.command("status").output.contains("dellay"))
    #expect(host.log.contains("dellay"))
    #expect(try tag(host) == "one")
    #expect(try host.worker() == before)
    #expect(try host.plugin("fault")["faults"].int == 0)
    try host.rewrite(settings(tag: "two"))
    try wait("the repaired file to be taken") { try tag(host) == "two" }
    #expect(try host.diagnostics()["config"]["status"].string == "active")
  }

  @Test("a section that was wrong from the first keeps no other edit from being taken")
  func unchangedWrongSection() throws {
    let wrong = Section.plugin(
      "wrong", library: "FaultPlugin", ["mount = /wrong", "paths = /wrong", "dellay = 1s"])
    func sections(_ tag: String) -> HostSettings {
      var settings = settings(tag: tag)
      settings.plugins += wrong
      return settings
    }
    let host = try HostProcess(sections("one"))
    #expect(try host.plugin("wrong")["last_fault"]["reason"].string == "bad-settings")
    try host.rewrite(sections("two"))
    let reload = try host.command("reload")
    #expect(reload.status == .exited(0), "\(reload)")
    #expect(try tag(host) == "two")
    #expect(try host.plugin("wrong")["state"].string == "failed")
  }

  @Test("a named pipe that nobody writes to is an error of the file, and stops neither host nor check")
  func pipeForAFile() throws {
    let directory = try TemporaryDirectory()
    let pipe = directory.path + "/token"
    #expect(mkfifo(pipe, 0o600) == 0)
    let host = try HostProcess(settings(tag: "one"), in: directory)
    var edited = settings(tag: "two")
    edited.host = "admin-token = ${file:\(pipe)}"
    try host.rewrite(edited)
    let reload = try host.command("reload")
    #expect(reload.status == .exited(1), "\(reload)")
    let said = "needs the file \(pipe), which is not a regular file"
    #expect((reload.output + reload.errors).contains(said), "\(reload)")
    #expect(try host.command("check").output.contains(said))
    #expect(try tag(host) == "one")
    #expect(try host.stop() == .exited(0))
  }

  @Test("a configuration may come through a pipe; it cannot be read again, and stays")
  func configurationThroughAPipe() throws {
    let directory = try TemporaryDirectory()
    let text = settings(tag: "one").text(stateDirectory: directory.path + "/state")
    let path = try directory.write("source.conf", text)
    let host = try ChildProcess(
      "/bin/sh", ["-c", "cat \"$1\" | \"$0\" run --config /dev/stdin", ReleaseBuild.binary, path],
      environment: ReleaseBuild.cleanEnvironment, directory: directory.path, name: "host")
    try wait("the host to listen", within: .seconds(30)) {
      host.errors.contains("listening on ") || host.exitStatus() != nil
    }
    // The host is the shell's child, and is told by its socket.
    let reload = try ReleaseBuild.run(["reload", "--config", path])
    #expect(reload.status == .exited(1), "\(reload)")
    #expect((reload.output + reload.errors).contains("is not a regular file"), "\(reload)")
    #expect(try ReleaseBuild.run(["stop", "--config", path]).status == .exited(0))
    #expect(try host.waitForExit(within: .seconds(20)) == .exited(0))
  }

  @Test("swaps under load: no request fails, no connection is closed or reset")
  func underLoad() throws {
    let host = try HostProcess(settings(tag: "0"))
    let connections = try (0..<16).map { _ in try host.connect() }
    let idle = try (0..<16).map { _ in try host.connect() }
    for connection in idle { #expect(try connection.request("GET", "/fault/echo").status == 200) }
    for round in 1...6 {
      try host.rewrite(settings(tag: "\(round)"))
      host.process.send(signal: SIGHUP)
      try wait("tag \(round)") {
        var isOver = true
        for connection in connections {
          let answer = try connection.request("GET", "/fault/echo")
          #expect(answer.status == 200)
          #expect(answer.header("Connection")?.lowercased() != "close")
          if answer.json["tag"].string != "\(round)" { isOver = false }
        }
        return isOver
      }
    }
    for connection in idle { #expect(try connection.request("GET", "/fault/echo").json["tag"].string == "6") }
  }

  @Test("a half-sent request on an idle connection survives a swap")
  func halfSent() throws {
    let host = try HostProcess(settings(tag: "one"))
    let connection = try host.connect()
    #expect(try connection.request("GET", "/fault/echo").status == 200)
    try connection.send("GET /fault/echo HT")
    #expect(try connection.end(within: .milliseconds(100)) == .open)
    try host.rewrite(settings(tag: "two"))
    host.process.send(signal: SIGHUP)
    try wait("the swap") { try tag(host) == "two" }
    try connection.send("TP/1.1\r\nHost: a\r\n\r\n")
    #expect(try connection.receive().status == 200)
  }

  @Test(
    "a request in flight over a swap is answered by the generation that took it, and its connection goes on")
  func inFlight() throws {
    let host = try HostProcess(settings(tag: "one", "delay = 500ms"))
    let connection = try host.connect()
    try connection.send("GET /fault/echo HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(try connection.end(within: .milliseconds(100)) == .open)
    try host.rewrite(settings(tag: "two"))
    host.process.send(signal: SIGHUP)
    #expect(try connection.receive().json["tag"].string == "one")
    try wait("the swap") { try tag(host) == "two" }
    #expect(try connection.request("GET", "/fault/echo").json["tag"].string == "two")
  }

  @Test("a new library that does not start is rolled back to the last good copy, and a new file ends that")
  func rollBack() throws {
    let directory = try TemporaryDirectory()
    let path = try directory.copyLibrary("FaultPlugin", as: "libSwapped.so")
    let host = try HostProcess(
      HostSettings(
        plugins: Section.plugin("swapped", library: path, ["mount = /fault", "probation = 1s"])),
      in: directory)
    let digest = try #require(try host.plugin("swapped")["sha256"].string)
    for _ in 0..<5 { #expect(try host.get("/fault/echo").status == 200) }
    // Served well past its probation: only then is it good.
    try wait("the good copy to be kept") {
      FileManager.default.fileExists(atPath: "\(host.stateDirectory)/good/\(digest)")
    }
    try directory.write("libSwapped.so", Array("no library at all".utf8), mode: 0o755)
    try wait("the roll-back", within: .seconds(20)) { try host.plugin("swapped")["rolled_back"] != .null }
    let plugin = try host.plugin("swapped")
    #expect(plugin["rolled_back"]["to"].string == digest)
    #expect(plugin["state"].string == "active")
    #expect(try host.get("/fault/echo").status == 200)
    try directory.copyLibrary("FaultPlugin", as: "libSwapped.so")
    try wait("the end of the roll-back") { try host.plugin("swapped")["rolled_back"] == .null }
  }
}

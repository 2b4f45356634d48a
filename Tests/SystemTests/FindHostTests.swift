import Foundation
import PluginTesting
import Testing

/// The commands find the host that runs, whatever has become of its configuration.
@Suite("Finding the running host")
struct FindHostTests {
  /// A host whose runtime directory is the test's own.
  private func start() throws -> (host: HostProcess, environment: [String: String]) {
    let directory = try TemporaryDirectory()
    let environment = ["XDG_RUNTIME_DIR": directory.path + "/runtime"]
    try FileManager.default.createDirectory(
      atPath: directory.path + "/runtime", withIntermediateDirectories: true,
      attributes: [.posixPermissions: 0o700])
    return (
      try HostProcess(HostSettings(plugins: Section.fault()), in: directory, environment: environment),
      environment
    )
  }

  private func text(of host: HostProcess) throws -> String {
    String(
      decoding: try #require(FileManager.default.contents(atPath: host.configurationPath)), as: UTF8.self)
  }

  @Test(
    "a configuration that is broken, or says another place, does not cut the operator off",
    arguments: [
      ("[hots]", "[hots]"), ("state-dri", "state-dri"), ("unclosed", "[host"), ("unset", "${NOWHERE}"),
      ("elsewhere", "another directory"), ("gone", "the file is gone"),
    ])
  func broken(how: String, says: String) throws {
    let (host, environment) = try start()
    let good = try text(of: host)
    let bad =
      switch how {
      case "[hots]": good.replacing("[host]", with: "[hots]")
      case "state-dri": good.replacing("state-dir", with: "state-dri")
      case "unclosed": good.replacing("[host]", with: "[host")
      case "unset": good.replacing("state-dir = ", with: "state-dir = ${NOWHERE}")
      default: good.replacing("state-dir = \(host.stateDirectory)", with: "state-dir = /nonexistent/state")
      }
    #expect(bad != good)
    if how == "gone" {
      try FileManager.default.removeItem(atPath: host.configurationPath)
    } else {
      try host.directory.write("plugins.conf", bad)
    }
    func command(_ words: String...) throws -> CommandResult {
      try ReleaseBuild.run(words + ["--config", host.configurationPath], environment: environment)
    }
    let status = try command("status", "--json")
    #expect(status.status == .exited(0), "\(status)")
    #expect(throws: Never.self) { try JSONValue(parsing: Array(status.output.utf8)) }
    #expect(status.errors.contains(host.stateDirectory), "\(status)")
    #expect(status.errors.contains(host.configurationPath), "\(status)")
    for words in [["bypass", "all"], ["quarantine", "fault"], ["log-level", "debug"], ["drain"]] {
      let result = try ReleaseBuild.run(
        words + ["--config", host.configurationPath], environment: environment)
      #expect(result.status == .exited(0), "\(words): \(result)")
    }
    try host.waitFor(plugin: "fault", state: "quarantined")
    #expect(try command("faults").status == .exited(0))
    let reload = try command("reload")
    #expect(reload.status == .exited(1), "\(reload)")
    #expect(try command("stop").status == .exited(0))
    #expect(try host.process.waitForExit(within: .seconds(20)) == .exited(0))
    let nobody = try command("status")
    #expect(nobody.status == .exited(69))
    if how != "elsewhere", how != "gone" { #expect(nobody.errors.contains("plugins.conf:"), "\(nobody)") }
    #expect(nobody.errors.contains("no host is running"), "\(nobody)")
  }

  @Test("--state-dir and BULKHEAD_STATE_DIR need no configuration at all")
  func stateDirectory() throws {
    let (host, environment) = try start()
    let variable = environment.merging(["BULKHEAD_STATE_DIR": host.stateDirectory]) { $1 }
    for command in ["status", "reload"] {
      let byVariable = try ReleaseBuild.run([command], environment: variable)
      #expect(byVariable.status == .exited(0), "\(byVariable)")
      let byOption = try ReleaseBuild.run(
        [command, "--state-dir", host.stateDirectory], environment: environment)
      #expect(byOption.status == .exited(0), "\(byOption)")
      #expect(byOption.errors.isEmpty, "\(byOption)")
    }
    let wrong = try ReleaseBuild.run(["status", "--state-dir", "/nonexistent"], environment: variable)
    #expect(wrong.status == .exited(69))
    #expect(wrong.errors.contains("/nonexistent"))
    #expect(wrong.errors.contains(host.stateDirectory), "the running host is named: \(wrong)")
    #expect(try ReleaseBuild.run(["stop"], environment: variable).status == .exited(0))
    #expect(try host.process.waitForExit(within: .seconds(20)) == .exited(0))
  }

  @Test("BULKHEAD_CONFIG is the configuration of run, check and status, where --config is not given")
  func configurationVariable() throws {
    let directory = try TemporaryDirectory()
    let path = try directory.write(
      "other.conf", "[host]\nlisten = unix:a.sock\nstate-dir = s\nplugin-path = \(ReleaseBuild.pluginPath)\n")
    let environment = ["BULKHEAD_CONFIG": path]
    #expect(
      try ReleaseBuild.run(["check"], environment: environment).output.contains("other.conf: no problem"))
    let host = try ChildProcess(
      ReleaseBuild.binary, ["run"], environment: ReleaseBuild.cleanEnvironment.merging(environment) { $1 },
      directory: "/", name: "host")
    try wait("the host to listen") { host.errors.contains("listening on unix:") }
    #expect(try ReleaseBuild.run(["status"], environment: environment).status == .exited(0))
    #expect(try ReleaseBuild.run(["stop"], environment: environment).status == .exited(0))
    #expect(try host.waitForExit(within: .seconds(20)) == .exited(0))
  }

  @Test("what a host has written down goes with it, and is for its user's eyes only")
  func record() throws {
    let (host, environment) = try start()
    let place = environment["XDG_RUNTIME_DIR"]! + "/bulkhead"
    #expect(try FileManager.default.contentsOfDirectory(atPath: place).count == 1)
    let attributes = try FileManager.default.attributesOfItem(atPath: place)
    #expect(attributes[.posixPermissions] as? Int == 0o700)
    try host.stop()
    #expect(try FileManager.default.contentsOfDirectory(atPath: place).isEmpty)
  }
}

/// What a hostile file costs the binary.
@Suite("A bad file costs its reader little")
struct BadFileTests {
  /// `check` with this much address space, in KiB.
  private func check(_ text: String, environment: [String: String], within kilobytes: Int) throws
    -> CommandResult
  {
    let directory = try TemporaryDirectory()
    let path = try directory.write("plugins.conf", text)
    return try ReleaseBuild.run(
      "/bin/sh",
      ["-c", "ulimit -v \(kilobytes); exec \"$0\" check --config \"$1\"", ReleaseBuild.binary, path],
      environment: environment)
  }

  @Test(
    "in memory, and in what is said",
    arguments: [
      "[plugin a]\nlibrary = A\nkey = " + String(repeating: "${A}", count: 25_000),
      "[plugin a]\nlibrary = A\n" + (0..<20_000).map { "key-\($0) = ${A}\n" }.joined(),
      String(repeating: "nonsense\n", count: 100_000), (0..<16_000).map { "[plugin p\($0)]\n" }.joined(),
    ])
  func memory(text: String) throws {
    let environment = ["A": String(repeating: "a", count: 60_000)]
    let result = try check(text, environment: environment, within: 400_000)
    #expect(result.status == .exited(1), "\(result.status) \(result.errors.prefix(500))")
    #expect(result.output.utf8.count < 64 << 10)
    #expect(result.output.split(separator: "\n").count <= 52)
  }
}

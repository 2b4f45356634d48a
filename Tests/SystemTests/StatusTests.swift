import Foundation
import PluginTesting
import Testing

/// `bulkhead status`, as people see it: against a real host, into a file and on a pseudo-terminal (script(1)).
@Suite("Status for people")
struct StatusTests {
  private func host() throws -> HostProcess {
    let host = try HostProcess(
      HostSettings(
        plugins: Section.fault("good", mount: "/good", "paths = /good")
          + Section.fault("bad", mount: "/bad", "paths = /bad", "recover = never")))
    #expect(try host.get("/good/echo").status == 200)
    #expect(try host.get("/bad/echo", headers: [("X-Fault", "throw")]).status == 503)
    try host.waitFor(plugin: "bad", state: "quarantined")
    return host
  }

  /// The row of a plugin, in words.
  private func row(_ name: String, in text: String) -> [Substring] {
    let line = text.split(whereSeparator: \.isNewline).first { $0.hasPrefix("\(name) ") }
    return line?.split(separator: " ") ?? []
  }

  /// A command on a terminal of this size, with a pipe for its keyboard.
  private final class TerminalRun {
    let child: ChildProcess
    private var keyboard: [Int32] = [-1, -1]
    private let directory: TemporaryDirectory

    init(_ arguments: String, columns: Int, rows: Int, environment: [String: String] = [:]) throws {
      directory = try TemporaryDirectory()
      #expect(pipe(&keyboard) == 0)
      // script(1) runs $SHELL. dash would end with Ctrl-C, and bash waits for what its child makes of it: so with a trap
      // both.
      let command =
        "trap : INT; stty cols \(columns) rows \(rows); \(ReleaseBuild.binary) "
        + "\(arguments); echo status=$?"
      child = try ChildProcess(
        "/usr/bin/script", ["-qec", command, "/dev/null"],
        environment: ReleaseBuild.cleanEnvironment.merging([
          "SHELL": "/bin/sh", "TERM": "xterm", "NO_COLOR": "",
        ]) { $1 }
        .merging(environment) { $1 },
        directory: directory.path, name: "terminal", input: keyboard[0])
      close(keyboard[0])
    }

    deinit { close(keyboard[1]) }

    func type(_ bytes: [UInt8]) { #expect(write(keyboard[1], bytes, bytes.count) == bytes.count) }
    var screen: String { child.output }
  }

  @Test("a table with each plugin's state, reason and counts; without colour, in a file")
  func table() throws {
    let host = try host()
    let shown = try host.command("status")
    #expect(shown.status == .exited(0))
    #expect(shown.errors.isEmpty)
    #expect(!shown.output.contains("\u{1b}"))
    let titles = row("PLUGIN", in: shown.output)
    #expect(titles.starts(with: ["PLUGIN", "KIND", "STATE", "REASON"]), "\(shown.output)")
    #expect(row("good", in: shown.output).starts(with: ["good", "middleware+router", "active", "-"]))
    #expect(row("bad", in: shown.output).starts(with: ["bad", "middleware+router", "quarantined", "threw"]))
    #expect(shown.output.contains("thrown, as asked for"))
    for title in ["SINCE", "P50", "P99"] { #expect(titles.contains(Substring(title))) }
    #expect(shown.output.contains("µs"), "\(shown.output)")
    #expect(shown.output.contains("plugins    1 active, 1 quarantined\n"))
    #expect(shown.output.contains("listen "))
    // Each row is as its title: numbers end where theirs does.
    let lines = shown.output.split(separator: "\n").suffix(3).map { Array($0) }
    let end = try #require(String(lines[0]).range(of: "FAULTS")).upperBound
    let column = String(lines[0]).distance(from: String(lines[0]).startIndex, to: end) - 1
    #expect(lines[1][column] == "0" && lines[2][column] == "1", "\(shown.output)")
  }

  @Test("on a terminal it is coloured and no wider than that; NO_COLOR and --json are plain")
  func terminal() throws {
    let host = try host()
    let arguments = "status --config \(host.configurationPath)"
    let coloured = try TerminalRun(arguments, columns: 60, rows: 30)
    #expect(try coloured.child.waitForExit(within: .seconds(20)) == .exited(0))
    #expect(coloured.screen.contains("\u{1b}[31mquarantined\u{1b}[0m"), "\(coloured.screen)")
    #expect(coloured.screen.contains("status=0"))
    let plain = try TerminalRun(arguments, columns: 60, rows: 30, environment: ["NO_COLOR": "1"])
    #expect(try plain.child.waitForExit(within: .seconds(20)) == .exited(0))
    #expect(!plain.screen.contains("\u{1b}"))
    #expect(row("bad", in: plain.screen).prefix(2) == ["bad", "quarantined"])
    #expect(plain.screen.split(whereSeparator: \.isNewline).allSatisfy { $0.count <= 60 }, "\(plain.screen)")
    let json = try TerminalRun(arguments + " --json", columns: 60, rows: 30)
    #expect(try json.child.waitForExit(within: .seconds(20)) == .exited(0))
    #expect(!json.screen.contains("\u{1b}"))
    let object = try #require(json.screen.split(whereSeparator: \.isNewline).first)
    #expect(try JSONValue(parsing: Array(object.utf8))["plugins"].array.count == 2)
  }

  @Test("--watch draws over one screen, follows what happens, and Ctrl-C gives the terminal back, with 0")
  func watch() throws {
    let host = try host()
    let run = try TerminalRun(
      "status --watch 0.1 --config \(host.configurationPath)", columns: 70, rows: 12)
    func frames() -> [Substring] { run.screen.split(separator: "\u{1b}[H", omittingEmptySubsequences: false) }
    try wait("three frames") { frames().count > 4 }
    #expect(run.screen.hasPrefix("\u{1b}[?1049h\u{1b}[?25l"), "\(run.screen)")
    #expect(!run.screen.contains("\u{1b}[2J"))
    // Twelve rows at most.
    for frame in frames().dropFirst().dropLast() {
      #expect(frame.split(whereSeparator: \.isNewline).count <= 12)
      #expect(frame.contains("more lines"))
    }
    #expect(try host.command("bypass", "all").status == .exited(0))
    try wait("the switch on the screen") {
      run.screen.contains("bypass\u{1b}[0m") && run.screen.contains("mall\u{1b}[0m")
    }
    try host.stop()
    try wait("the host's absence on the screen") { run.screen.contains("no host is running on") }
    #expect(run.child.exitStatus() == nil)
    run.type([3])
    #expect(try run.child.waitForExit(within: .seconds(20)) == .exited(0))
    let end = try #require(run.screen.range(of: "\u{1b}[?25h\u{1b}[?1049l"))
    #expect(run.screen[end.upperBound...].contains("status=0"), "\(run.screen.suffix(200))")
  }

  @Test("--watch into a file writes a block for each look, and with --json a line")
  func follow() throws {
    let host = try host()
    let directory = try TemporaryDirectory()
    func follow(_ name: String, _ arguments: [String]) throws -> ChildProcess {
      try ChildProcess(
        ReleaseBuild.binary, ["status", "--watch=0.1", "--config", host.configurationPath] + arguments,
        environment: ReleaseBuild.cleanEnvironment, directory: directory.path, name: name)
    }
    let text = try follow("text", [])
    let json = try follow("json", ["--json"])
    try wait("three blocks") { text.output.split(separator: "\n").count { $0.hasPrefix("PLUGIN ") } >= 3 }
    try wait("three lines") { json.output.count { $0 == "\n" } >= 3 }
    for child in [text, json] {
      child.send(signal: SIGINT)
      #expect(try child.waitForExit(within: .seconds(10)) == .killed(signal: SIGINT))
      #expect(!child.output.contains("\u{1b}"))
    }
    for line in json.output.split(separator: "\n").prefix(3) {
      #expect(try JSONValue(parsing: Array(line.utf8))["status"].string == "serving")
    }
  }

  @Test("a worker that ends before it could say how it stands: the next one is asked")
  func workerEnds() throws {
    let host = try HostProcess(HostSettings(plugins: Section.fault("good", mount: "/good")))
    let first = try host.worker()
    #expect(kill(first.pid, SIGSTOP) == 0)
    let asked = try ChildProcess(
      ReleaseBuild.binary, ["status", "--json", "--config", host.configurationPath],
      environment: ReleaseBuild.cleanEnvironment, directory: host.directory.path, name: "status")
    let descriptors = "/proc/\(asked.pid)/fd"
    try wait("it to be connected") {
      try FileManager.default.contentsOfDirectory(atPath: descriptors).contains {
        // One may be closed before it is looked at.
        (try? FileManager.default.destinationOfSymbolicLink(atPath: "\(descriptors)/\($0)"))?  // lint: allow
          .hasPrefix("socket:") ?? false
      }
    }
    #expect(kill(first.pid, SIGKILL) == 0)
    #expect(try asked.waitForExit(within: .seconds(10)) == .exited(0))
    let report = try JSONValue(parsing: Array(asked.output.utf8))
    #expect((report["generation"].int ?? 0) > first.generation)
    #expect(report["plugins"]["good", by: "name"]["state"].string == "active")
  }

  @Test("a host that is away: said, with where it was looked for, and 69")
  func away() throws {
    let directory = try TemporaryDirectory()
    let path = try directory.write(
      "plugins.conf", HostSettings().text(stateDirectory: directory.path + "/nowhere"))
    for arguments in [[], ["--json"], ["--watch"], ["--watch", "5", "--json"]] {
      let result = try ReleaseBuild.run(["status", "--config", path] + arguments)
      #expect(result.status == .exited(69), "\(result)")
      #expect(result.output.isEmpty)
      #expect(
        result.errors == "bulkhead: no host is running on the state directory \(directory.path)/nowhere\n")
    }
    // Left behind by one that was killed.
    let host = try HostProcess(HostSettings())
    host.process.send(signal: SIGKILL)
    _ = try host.process.waitForExit(within: .seconds(10))
    #expect(try host.command("status").status == .exited(69))
  }
}

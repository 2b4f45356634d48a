import Foundation
import PluginTesting
import Testing

/// `bulkhead stop`: when it returns, the host is gone.
@Suite("The command stop")
struct StopCommandTests {
  @Test("stop, and run at once: the next host has the state directory and the sockets, 20 times in a row")
  func stopAndRun() throws {
    let directory = try TemporaryDirectory()
    let first = try HostProcess(
      HostSettings(listen: ["unix:\(directory.path)/web.sock"], plugins: Section.fault()), in: directory)
    let words = ["stop", "run"].map {
      "'\(ReleaseBuild.binary)' \($0) --config '\(first.configurationPath)'"
    }
    var last = first.process
    for round in 1...20 {
      let next = try ChildProcess(
        "/bin/sh", ["-c", "\(words[0]) && exec \(words[1])"], environment: ReleaseBuild.cleanEnvironment,
        directory: directory.path, name: "host-\(round)")
      try wait("host \(round)") { next.exitStatus() != nil || next.errors.contains("serves, pid") }
      try #require(next.exitStatus() == nil, "round \(round): \(next.errors)")
      #expect(try last.waitForExit(within: .seconds(10)) == .exited(0))
      #expect(try first.get("/health").status == 200)
      last = next
    }
    last.send(signal: SIGTERM)
    #expect(try last.waitForExit(within: .seconds(10)) == .exited(0))
  }

  @Test("forty commands at once are all answered, beside a hundred clients that say nothing")
  func manyCommands() throws {
    let host = try HostProcess(HostSettings(plugins: Section.fault()))
    let path = host.configurationPath
    let socket = Endpoint.unix(path: host.stateDirectory + "/control.sock")
    let silent = try (0..<100).map { _ in try HTTPConnection(socket) }
    let results = try onThreads(40) { _ in
      try ReleaseBuild.run(["status", "--json", "--config", path])
    }
    #expect(results.count { $0.status == .exited(0) } == 40, "\(results.filter { $0.status != .exited(0) })")
    #expect(silent.count == 100)
    #expect(try host.command("stop").status == .exited(0))
  }

  @Test("stop returns no sooner than the request in flight has been answered")
  func waitsForRequests() throws {
    let host = try HostProcess(
      HostSettings(plugins: Section.fault("slow", mount: "/slow", "timeout = 60s")))
    let connection = try host.connect()
    try connection.send("POST /slow/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc")
    #expect(try connection.end(within: .milliseconds(100)) == .open)
    let stop = try ChildProcess(
      ReleaseBuild.binary, ["stop", "--config", host.configurationPath],
      environment: ReleaseBuild.cleanEnvironment, directory: host.directory.path, name: "stop")
    try wait("the host to stop") { host.log.contains("stopping") }
    #expect(try connection.end(within: .milliseconds(200)) == .open)
    #expect(stop.exitStatus() == nil)
    try connection.send("def")
    #expect(try connection.receive(to: "POST").status == 200)
    #expect(try stop.waitForExit(within: .seconds(10)) == .exited(0))
    #expect(stop.output == "stopped\n")
  }

  @Test("a host that does not end within drain-timeout and a margin: stop says so, and exits with 1")
  func doesNotEnd() throws {
    let host = try HostProcess(HostSettings(host: "drain-timeout = 1s", plugins: Section.fault()))
    host.process.send(signal: SIGSTOP)
    defer { host.process.send(signal: SIGCONT) }
    let result = try ReleaseBuild.run(["stop", "--config", host.configurationPath], within: .seconds(30))
    #expect(result.status == .exited(1))
    #expect(result.errors.contains("has not ended"), "\(result.errors)")
    host.process.send(signal: SIGCONT)
    #expect(try host.process.waitForExit(within: .seconds(10)) == .exited(0), "it had been told")
  }
}

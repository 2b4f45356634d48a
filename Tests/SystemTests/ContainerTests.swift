import Foundation
import PluginTesting
import Testing

/// The host as the first process of a container, and what the `Containerfile` says of it.
@Suite("In a container")
struct ContainerTests {
  // MARK: PID 1

  /// The ids of the children that have ended, and that their parent has not reaped.
  private func zombies(of parent: pid_t) throws -> [pid_t] {
    try children(of: parent).filter { !RunningProcess.exists($0) }
  }

  private func children(of parent: pid_t) throws -> [pid_t] {
    try String(contentsOfFile: "/proc/\(parent)/task/\(parent)/children", encoding: .utf8)
      .split(separator: " ").compactMap { pid_t($0) }
  }

  @Test(
    "as PID 1 the host reaps orphans, takes signals, and keeps its workers' ends apart",
    .enabled(if: Namespace.isAvailable))
  func first() throws {
    let directory = try TemporaryDirectory()
    let library = try WildHost.library(in: directory)
    // Orphans from before it was there, one of which ends while it serves.
    let host = try HostProcess(
      HostSettings(
        plugins: Section.plugin("wild", library: library, ["mount = /wild", "recover = never"])
          + Section.fault()),
      in: directory,
      starter: Namespace.process("(true & sleep 0.1 & sleep 1 &)"))
    let supervisor = try #require(try children(of: host.process.pid).first)
    for _ in 0..<20 { #expect(try host.get("/wild/do/leave-orphan").status == 200) }
    try wait("a hundred and more orphans to be reaped", within: .seconds(30)) {
      // The worker alone is left, as far as nothing runs.
      try children(of: supervisor).count == 1 && zombies(of: supervisor).isEmpty
    }
    // Its libraries are digested by children of its own, whose output and end it waits for.
    #expect(try host.command("reload").status == .exited(0))
    #expect(try host.plugin("wild")["sha256"].string?.count == 64)
    let worker = try host.worker()
    try wait("the generation before to end", within: .seconds(40)) { try children(of: supervisor).count == 1 }
    // By its number outside.
    let outside = try #require(try children(of: supervisor).first)
    kill(outside, SIGKILL)
    try wait("another worker", within: .seconds(30)) {
      (try? host.worker().generation) ?? 0 > worker.generation  // lint: allow, refused until it is there
    }
    #expect(host.log.contains("ended by signal 9"))
    kill(supervisor, SIGTERM)
    #expect(try host.process.waitForExit(within: .seconds(20)) == .exited(0))
  }

  // MARK: Containerfile

  private static func containerfile() throws -> String {
    try String(contentsOfFile: "\(ReleaseBuild.packageRoot)/Containerfile", encoding: .utf8)
  }

  /// The JSON array that an instruction ends with.
  private static func words(of instruction: String) throws -> [String] {
    let text = try containerfile().replacing("\\\n", with: " ")
    let line = try #require(text.split(separator: "\n").last { $0.hasPrefix(instruction) })
    let start = try #require(line.firstIndex(of: "["))
    return try JSONDecoder().decode([String].self, from: Data(line[start...].utf8))
  }

  /// The configuration of the image, by the very edit that the Containerfile makes.
  private func imageConfiguration(in directory: TemporaryDirectory) throws -> String {
    let text = try Self.containerfile()
    let edit = try #require(
      text.firstMatch(of: /sed -i '([^']+)' \/install\/etc\/bulkhead\/plugins\.conf/)?.1)
    let source = try directory.write("image.conf", ShippedConfiguration.text)
    let result = try ReleaseBuild.run("/usr/bin/env", ["sed", String(edit), source])
    try #require(result.status == .exited(0), "\(result.errors)")
    return result.output
  }

  @Test(
    "the image's command listens on all addresses at the port that PORT names, and its health check sees it serve"
  )
  func image() throws {
    let directory = try TemporaryDirectory()
    let configuration = try imageConfiguration(in: directory)
    #expect(configuration.contains("\nlisten = 0.0.0.0:8080\n"))
    let command = try Self.words(of: "ENTRYPOINT") + Self.words(of: "CMD [")
    #expect(command == ["/usr/bin/bulkhead", "run", "--config", "/etc/bulkhead/plugins.conf"])

    let health = try Self.words(of: "HEALTHCHECK")
    let path = "\(directory.path)/plugins.conf"
    func isHealthy() throws -> Bool {
      try ReleaseBuild.run(
        health[0], health.dropFirst().map { $0.replacing("/etc/bulkhead/plugins.conf", with: path) },
        environment: ["PATH": ReleaseBuild.pluginPath + ":/usr/bin:/bin"]
      ).status == .exited(0)
    }
    let places = [
      "plugin-path": ReleaseBuild.pluginPath, "state-dir": "\(directory.path)/state",
    ]
    let adapted = configuration.split(separator: "\n", omittingEmptySubsequences: false).map { line in
      places[String(line.prefix { $0 != " " })].map { "\(line.prefix { $0 != " " }) = \($0)" } ?? String(line)
    }.joined(separator: "\n")
    let host = try HostProcess(
      configuration: adapted, listeners: 1, in: directory, environment: ["PORT": "0"])
    let line = try #require(host.log.split(separator: "\n").first { $0.contains("listening on") })
    #expect(line.contains("listening on 0.0.0.0:") && !line.contains(":8080"))
    #expect(try host.get("/api/v1/auth/_ping").status == 200)
    #expect(try isHealthy())
    try host.stop()
    #expect(try !isHealthy(), "nobody serves")
  }
}

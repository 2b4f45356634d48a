import Foundation
import PluginTesting
import Testing

/// New libraries: how they come, and how they go when they are bad.
@Suite("Releases", .everyTree)
struct SupervisorReleaseTests {
  /// A host whose plugin `swapped` has a library of the test's own that is proven good.
  private func start(_ lines: String...) throws -> (host: HostProcess, library: String, digest: String) {
    let directory = try TemporaryDirectory()
    let library = try directory.copyLibrary("FaultPlugin", as: "libSwapped.so")
    let host = try HostProcess(
      HostSettings(
        plugins: Section.plugin(
          "swapped", library: library,
          ["mount = /fault", "paths = /fault", "applies-to = all", "probation = 300ms"] + lines)
          + Section.fault("other", mount: "/other", "paths = /other")),
      in: directory)
    let digest = try #require(try host.plugin("swapped")["sha256"].string)
    try wait("the library to be good") {
      FileManager.default.fileExists(atPath: "\(host.stateDirectory)/good/\(digest)")
    }
    return (host, library, digest)
  }

  /// Puts a broken plugin in the library's place.
  private func install(_ broken: String, in host: HostProcess) throws {
    let directory = try TemporaryDirectory()
    try host.directory.copy(try BrokenPlugin.compile(broken, in: directory), as: "libSwapped.so")
  }

  @Test(
    "a release that cannot be loaded, started or proven is rolled back before a client meets it",
    arguments: ["start-fails", "self-test-fails", "wrong-abi", "dies-in-constructor", "no-entry"])
  func badRelease(broken: String) throws {
    let (host, _, digest) = try start()
    let connection = try host.connect()
    try install(broken, in: host)
    var statuses: Set<Int> = []
    var plugin = JSONValue.null
    try wait("the roll-back") {
      statuses.insert(try connection.request("GET", "/fault/echo").status)
      // The old generation may still answer for a moment, on another connection.
      plugin = try host.plugin("swapped")
      return plugin["rolled_back"]["to"].string == digest
    }
    #expect(try connection.request("GET", "/fault/echo").status == 200)
    #expect(statuses == [200], "no client has met the bad release")
    #expect(plugin["state"].string == "active")
    #expect(plugin["sha256"].string == digest)
    #expect(plugin["rolled_back"]["from"].string?.count == 64)
    #expect(try host.command("status").output.contains("rolled back to \(digest.prefix(12))"))
  }

  @Test(
    "a release that faults within its probation is rolled back; an edit of the configuration tries it again")
  func badInProbation() throws {
    let (host, _, digest) = try start()
    try install("unknown-status", in: host)
    let connection = try host.connect()
    try wait("the new library") { try host.plugin("swapped")["sha256"].string != digest }
    #expect(try connection.request("GET", "/fault/echo").status == 503)
    try wait("the roll-back") { try host.plugin("swapped")["rolled_back"]["to"].string == digest }
    #expect(try connection.request("GET", "/fault/echo").status == 200)
    let text = try String(contentsOfFile: host.configurationPath, encoding: .utf8)
    try host.directory.write("plugins.conf", text + "\n# tried again\n")
    try wait("the end of the roll-back") { try host.plugin("swapped")["rolled_back"] == .null }
    #expect(try host.plugin("swapped")["sha256"].string != digest)
  }

  @Test("a release that faults is rolled back to what served before it, which was on probation still")
  func badAfterYoung() throws {
    let directory = try TemporaryDirectory()
    let library = try directory.copyLibrary("FaultPlugin", as: "libSwapped.so")
    let host = try HostProcess(
      HostSettings(
        plugins: Section.plugin(
          "swapped", library: library,
          ["mount = /fault", "paths = /fault", "applies-to = all", "probation = 1h"])),
      in: directory)
    let digest = try #require(try host.plugin("swapped")["sha256"].string)
    try install("unknown-status", in: host)
    let connection = try host.connect()
    try wait("the new library") { try host.plugin("swapped")["sha256"].string != digest }
    try wait("the fault, and the roll-back") {
      _ = try connection.request("GET", "/fault/echo")
      return try host.plugin("swapped")["rolled_back"]["to"].string == digest
    }
    #expect(try connection.request("GET", "/fault/echo").status == 200)
  }

  @Test("a library that was removed is rolled back, and so it is for the next host")
  func removed() throws {
    let (host, library, digest) = try start()
    try FileManager.default.removeItem(atPath: library)
    try wait("the roll-back") { try host.plugin("swapped")["rolled_back"]["to"].string == digest }
    #expect(try host.plugin("swapped")["rolled_back"]["from"] == .null)
    #expect(try host.get("/fault/echo").status == 200)
    let text = try String(contentsOfFile: host.configurationPath, encoding: .utf8)
    #expect(try host.stop() == .exited(0))
    let next = try HostProcess(configuration: text, listeners: 1, in: host.directory)
    #expect(try next.plugin("swapped")["rolled_back"]["to"].string == digest)
    #expect(try next.get("/fault/echo").status == 200)
  }

  @Test("a good library that faults is quarantined, and not rolled back")
  func goodFaults() throws {
    let (host, _, digest) = try start("recover = never")
    #expect(try host.get("/fault/echo", headers: [("X-Fault", "trap")]).status == 503)
    try wait("the next generation") { try host.worker().generation > 1 }
    let plugin = try host.plugin("swapped")
    #expect(plugin["state"].string == "quarantined")
    #expect(plugin["rolled_back"] == .null && plugin["sha256"].string == digest)
  }

  @Test("a library written over in place, under load, harms no request")
  func writtenOverInPlace() throws {
    let (host, library, digest) = try start()
    let connections = try (0..<8).map { _ in try host.connect() }
    let bytes = try Data(contentsOf: URL(fileURLWithPath: library))
    for round in 1...4 {
      let before = try host.plugin("swapped")["sha256"].string
      // As cp does: the same file, emptied and filled again, slowly.
      let handle = try #require(FileHandle(forWritingAtPath: library))
      try handle.truncate(atOffset: 0)
      let new = bytes + Data("round \(round)".utf8)
      for start in stride(from: 0, to: new.count, by: 8192) {
        try handle.write(contentsOf: new[start..<min(start + 8192, new.count)])
        for connection in connections { #expect(try connection.request("GET", "/fault/echo").status == 200) }
      }
      try handle.close()
      try wait("the new library") {
        for connection in connections { #expect(try connection.request("GET", "/fault/echo").status == 200) }
        let plugin = try host.plugin("swapped")
        return plugin["sha256"].string != before && plugin["sha256"].string != digest
          && plugin["rolled_back"] == .null
      }
    }
  }

  /// A host with a good library of the plugin `swapped`, and a release of it that is on probation.
  private func startOnProbation() throws -> (host: HostProcess, good: String) {
    let directory = try TemporaryDirectory()
    let library = try directory.copy(try WildHost.library(in: directory), as: "libSwapped.so")
    func settings(_ probation: String) -> HostSettings {
      HostSettings(
        plugins: Section.plugin("swapped", library: library, ["mount = /wild", "probation = \(probation)"]))
    }
    let host = try HostProcess(settings("300ms"), in: directory)
    let digest = try #require(try host.plugin("swapped")["sha256"].string)
    try wait("the library to be good") {
      FileManager.default.fileExists(atPath: "\(host.stateDirectory)/good/\(digest)")
    }
    let generation = try WildHost.generation(of: host)
    try host.rewrite(settings("600s"))
    try wait("the edit") { try WildHost.generation(of: host) > generation }
    let other = try TemporaryDirectory()
    try directory.copy(try WildHost.library(in: other, version: "2.0.0"), as: "libSwapped.so")
    try wait("the release") { try host.plugin("swapped")["version"].string == "2.0.0" }
    return (host, digest)
  }

  @Test("a release since which workers end for no known reason is rolled back before all plugins go")
  func endsForNoReason() throws {
    let (host, digest) = try startOnProbation()
    for _ in 1...2 {
      let generation = try WildHost.generation(of: host)
      WildHost.doAtAnyCost("thread-vanish", on: host)
      try wait("the next worker") { try WildHost.generation(of: host) > generation }
    }
    let plugin = try host.plugin("swapped")
    #expect(plugin["rolled_back"]["to"].string == digest, "\(plugin)")
    #expect(plugin["version"].string == "1.0.0" && plugin["state"].string == "active", "\(plugin)")
    #expect(try host.get("/health").json["status"].string != "bare")
  }

  @Test("workers that are killed from without say nothing of the release")
  func killed() throws {
    let (host, _) = try startOnProbation()
    for _ in 1...2 {
      let worker = try host.worker()
      #expect(kill(worker.pid, SIGKILL) == 0)
      try wait("the next worker") { try WildHost.generation(of: host) > worker.generation }
    }
    let plugin = try host.plugin("swapped")
    #expect(plugin["rolled_back"] == .null, "\(plugin)")
    #expect(plugin["version"].string == "2.0.0" && plugin["state"].string == "active", "\(plugin)")
  }

  @Test("what the operator has taken out stays out, whatever library comes, until it is released")
  func heldByOperator() throws {
    let (host, library, digest) = try start()
    #expect(try host.command("quarantine", "swapped").status == .exited(0))
    let bytes = try Data(contentsOf: URL(fileURLWithPath: library))
    try host.directory.write("libSwapped.so", [UInt8](bytes) + Array("another".utf8), mode: 0o755)
    try wait("the new library") { try host.plugin("swapped")["sha256"].string != digest }
    let plugin = try host.plugin("swapped")
    #expect(plugin["state"].string == "quarantined" && plugin["reason"].string == "operator", "\(plugin)")
    #expect(try host.get("/fault/echo").status == 503)
    #expect(try host.command("release", "swapped").status == .exited(0))
    #expect(try host.get("/fault/echo").status == 200)
  }
}

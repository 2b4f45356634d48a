import Foundation
import PluginTesting

/// A host with a plugin that does to its process what no plugin should (Tests/Fixtures/Broken/wild.c), under /wild, and
/// beside it a good one under /other.
struct WildHost {
  let host: HostProcess

  /// - Parameters:
  ///   - lines: of `[host]`.
  ///   - section: of `[plugin wild]`.
  init(host lines: String = "", _ section: String...) throws {
    let directory = try TemporaryDirectory()
    let library = try WildHost.library(in: directory)
    host = try HostProcess(
      HostSettings(
        host: lines,
        plugins: Section.plugin("wild", library: library, ["mount = /wild", "recover = never"] + section)
          + Section.fault("other", mount: "/other", "paths = /other")),
      in: directory)
  }

  static func library(
    in directory: TemporaryDirectory, version: String = "1.0.0", defining macros: [String] = []
  )
    throws -> String
  {
    try BrokenPlugin.compile(
      "wild", in: directory, links: ["pthread", "m"],
      defining: ["VERSION=\"\(version)\""] + macros)
  }

  /// What came of it.
  func outcome(of deed: String) throws -> String {
    let answer = try host.get("/wild/do/\(deed)")
    return answer.status == 200 ? answer.text : "\(answer.status)"
  }

  /// Does what the worker may not live to answer.
  static func doAtAnyCost(_ deed: String, of mount: String = "/wild", on host: HostProcess) {
    _ = try? host.get("\(mount)/do/\(deed)")  // lint: allow, see above
  }

  /// By the supervisor's word: the worker may be unable to answer.
  static func generation(of host: HostProcess) throws -> Int {
    try JSONValue(parsing: host.command("status", "--json").output.utf8)["generation"].int ?? 0
  }

  /// Waits until another worker serves, and somebody is answered.
  func waitForSuccessor(of generation: Int) throws {
    try wait("another worker", within: .seconds(30)) { try WildHost.generation(of: host) > generation }
    try wait("an answer", within: .seconds(30)) {
      (try? host.get("/other/echo").status) == 200  // lint: allow, refused until it is there
    }
  }

  /// The fault of the plugin that the ledger has; `.null` if there is none.
  func recorded() throws -> JSONValue {
    try JSONValue(parsing: host.command("faults", "--json").output.utf8)["faults"]["wild", by: "plugin"]
  }
}

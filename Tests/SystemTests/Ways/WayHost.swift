import Foundation
import PluginTesting

/// A host with a pipeline of innocents, and beside them those that misbehave.
final class WayHost {
  let host: HostProcess
  let load: WayLoad
  private let libraries: WayLibraries
  /// The misbehaving plugin that the case at hand adds, as a section of the file.
  private var added = ""
  private var edits = 0
  private let residents: [WayPlugin]

  static let innocents = ["cors", "ratelimit", "other", "plain"]
  /// The section that a case adds.
  static let addedName = "way"

  /// - Parameter residents: the misbehaving plugins that stand in its file all the time.
  init(_ libraries: WayLibraries, residents: [WayPlugin]) throws {
    self.libraries = libraries
    self.residents = residents
    let directory = try TemporaryDirectory()
    host = try HostProcess(
      WayHost.settings(libraries, residents, added: "", edits: 0), in: directory,
      environment: ["WAYS_DIRECTORY": directory.path])
    load = WayLoad(on: host.endpoints[0])
    load.settle()
  }

  deinit { load.end() }

  private static func settings(
    _ libraries: WayLibraries, _ residents: [WayPlugin], added: String, edits: Int
  ) -> HostSettings {
    let innocents =
      Section.plugin("cors", library: "CORSPlugin", ["applies-to = all", "on-failure = open"])
      + Section.plugin(
        "ratelimit", library: "RateLimitPlugin",
        ["applies-to = routes", "on-failure = open", "limit = 1000000/1s by address name api"])
      + Section.fault("other", mount: "/other", "paths = /other", "tag = edit-\(edits)")
      + Section.plugin("plain", library: "PlainCPlugin", ["mount = /plain", "paths = /plain"])
    let misbehaving = residents.filter { libraries.plugins.contains($0) }.map { plugin in
      section(plugin.section, libraries.path(plugin), plugin == .cUsual ? [] : ["timeout = 300ms"])
    }
    return HostSettings(
      host: "drain-timeout = 3s\nstart-timeout = 2s\nrequest-timeout = 20s",
      plugins: innocents + misbehaving.joined() + added)
  }

  private static func section(_ name: String, _ library: String, _ lines: [String]) -> String {
    Section.plugin(
      name, library: library, ["mount = /\(name)", "paths = /\(name)", "recover = never"] + lines)
  }

  // MARK: The file

  /// Adds a misbehaving plugin, or takes away what was added.
  func add(_ library: String?, _ lines: [String]) throws {
    added = library.map { WayHost.section(WayHost.addedName, $0, ["timeout = 300ms"] + lines) } ?? ""
    try edit()
  }

  /// Adds sections as they are.
  func add(sections: String) throws {
    added = sections
    try edit()
  }

  /// A change that needs a new worker, and is none otherwise.
  func edit() throws {
    edits += 1
    try host.rewrite(WayHost.settings(libraries, residents, added: added, edits: edits))
  }

  // MARK: What it says of itself

  /// One question, on a connection of its own; nil if there is no answer in time.
  func ask(
    _ target: String, _ headers: [(String, String)] = [], within limit: Duration = .seconds(3)
  ) -> HTTPResponse? {
    do {
      let connection = try HTTPConnection(host.endpoints[0], timeout: limit)
      return try connection.request("GET", target, headers: headers)
    } catch {
      return nil
    }
  }

  var diagnostics: JSONValue { ask("/__diag/plugins")?.json ?? .null }

  var worker: (pid: pid_t, generation: Int)? {
    guard let version = ask("/__version")?.json, let pid = version["pid"].int,
      let generation = version["generation"].int
    else { return nil }
    return (pid_t(pid), generation)
  }

  /// Whether the supervisor runs.
  var isAlive: Bool { host.process.exitStatus() == nil }

  /// Waits for another worker than that of `generation`, with all plugins loaded; false if none comes.
  func waitForSuccessor(of generation: Int, within limit: Duration = .seconds(10)) -> Bool {
    holds(within: limit) { (self.worker?.generation ?? 0) > generation && self.isWhole }
  }

  private var isWhole: Bool { ask("/health")?.json["status"].string != "starting" }

  /// Waits for a condition; false if it does not come to hold.
  func holds(within limit: Duration, _ condition: () -> Bool) -> Bool {
    let deadline = Deadline(after: limit)
    while !condition() {
      if deadline.hasPassed { return false }
      usleep(20_000)
    }
    return true
  }
}

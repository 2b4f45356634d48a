import Foundation
import PluginTesting

/// A host under load whose files are edited at random, whose worker is killed now and then, and that is told to reload.
final class EditStorm {
  let seed: UInt64
  let host: HostProcess
  let load: WatchfulLoad
  private var files: WildFiles
  private var random: SplitMix64
  /// What was done so far.
  private(set) var steps: [String] = []
  private var killedAt = ContinuousClock.now
  private let descriptorsBefore: Int
  private let reloads = DispatchGroup()

  struct Failure: Error, CustomStringConvertible {
    var description: String
  }

  init(seed: UInt64, asking questions: [WatchfulLoad.Question]) throws {
    self.seed = seed
    random = SplitMix64(state: seed)
    let directory = try TemporaryDirectory()
    files = try WildFiles(in: directory)
    host = try HostProcess(configuration: files.good, listeners: 1, in: directory)
    descriptorsBefore = RunningProcess.descriptorCount(host.process.pid) ?? 0
    load = try WatchfulLoad(on: host.endpoints[0], asking: questions)
  }

  // MARK: The storm

  func run(edits count: Int) throws {
    for edit in 1...count {
      try step("edit \(edit)") { try self.edit() }
      if chance(8) { try step("reload") { self.reload() } }
      if chance(8) {
        try step("SIGHUP") {
          self.host.process.send(signal: SIGHUP)
          return ""
        }
      }
      // Not so often that the host has to take the machine for broken.
      if chance(10), !files.isCut, ContinuousClock.now - killedAt > .seconds(6) {
        try step("kill") { try self.kill() }
      }
      if chance(50) { usleep(.random(in: 0...500_000, using: &random)) }
      if chance(10) { try step("judged") { try self.waitUntilJudged() } }
    }
  }

  private func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

  private func step(_ name: String, _ act: () throws -> String) throws {
    load.enter(step: "\(steps.count + 1), \(name), after \(steps.last ?? "nothing")")
    let what = try act()
    steps.append("\(steps.count + 1), \(name): \(what) [\(host.log.utf8.count)]")
    if let failure = load.failures.first { throw Failure(description: failure) }
  }

  private func edit() throws -> String {
    switch Int.random(in: 0..<10, using: &random) {
    case 0..<4:
      let what = files.change(&random)
      return try "\(what), \(files.write(&random))"
    case 4..<7: return try files.spoil(&random)
    case 7: return try files.replaceLibrary(&random)
    default: return try files.spoilLibrary(&random)
    }
  }

  private func reload() -> String {
    let (binary, state) = (ReleaseBuild.tree, host.stateDirectory)
    // It may wait for as long as a file is written: the edits go on.
    reloads.enter()
    Thread.detachNewThread { [reloads] in
      // Whether what it is told makes sense changes meanwhile.
      ReleaseBuild.$tree.withValue(binary) {
        _ = try? ReleaseBuild.run(["reload", "--state-dir", state])  // lint: allow, see above
      }
      reloads.leave()
    }
    return "plain"
  }

  private func kill() throws -> String {
    let worker = try host.worker().pid
    load.expectBrokenConnections()
    Glibc.kill(worker, SIGKILL)
    try wait("the next worker", within: .seconds(30)) { try host.worker().pid != worker }
    try waitUntilServed()
    load.expectAnswers()
    killedAt = .now
    return "\(worker)"
  }

  private func waitUntilServed() throws {
    try wait("the next worker to serve", within: .seconds(30)) {
      try host.get("/health").json["status"].string != "starting"
    }
  }

  /// A good edit is taken, where every library is well; and a bad file is not, whatever libraries are.
  private func waitUntilJudged() throws -> String {
    guard files.isGood else { return "bad: what stays for long may be a wish" }
    guard files.spoilt.isEmpty else {
      try wait("the libraries \(files.spoilt) to be held", within: .seconds(30)) {
        try host.diagnostics()["config"]["status"].string == "held"
      }
      return "held: \(files.spoilt.sorted())"
    }
    try waitForGood()
    return "active"
  }

  private func waitForGood() throws {
    try wait("the good file to be active", within: .seconds(30)) {
      try host.diagnostics()["config"]["status"].string == "active"
        && host.get("/keep/echo").json["tag"].string == files.tag
    }
  }

  // MARK: After it

  /// With the last good file and good libraries, all is well.
  func expectCalm() throws {
    try step("calm") {
      try files.restoreLibraries()
      try files.restore()
      reloads.wait()
      try waitForGood()
      try wait("every plugin to be active", within: .seconds(30)) {
        try host.diagnostics()["plugins"].array.allSatisfy {
          $0["state"].string == "active" && $0["rolled_back"] == .null
        }
      }
      return "well"
    }
  }

  /// What was made for edits that are over is gone.
  func expectNothingLeft() throws {
    let supervisor = host.process.pid
    // What was written last may still be looked at.
    try wait("other workers to end", within: .seconds(45)) {
      try RunningProcess.children(supervisor) == [host.worker().pid]
    }
    let digests = try Set(host.diagnostics()["plugins"].array.compactMap { $0["sha256"].string })
    let copies = host.stateDirectory + "/libraries"
    var found: Set<String> = []
    try wait("copies that nobody uses to be removed", within: .seconds(15)) {
      found = try Set(FileManager.default.contentsOfDirectory(atPath: copies))
      return found == digests
    }
    try wait("descriptors to be closed", within: .seconds(15)) {
      (RunningProcess.descriptorCount(supervisor) ?? 0) <= descriptorsBefore + 4
    }
  }

  /// All that is needed to find out what went wrong.
  func account(of error: (any Error)?) -> String {
    let log = host.log.split(separator: "\n").filter { !$0.contains(" info GET /") }.suffix(150)
    return """
      seed \(seed): \(error.map { "\($0)" } ?? "the load failed")
      The load: \(load.failures.joined(separator: "\n"))
      The last steps, with the length of the log after each:
      \(steps.suffix(30).joined(separator: "\n"))
      The log of \(host.log.utf8.count) bytes ends with:
      \(log.map { $0.prefix(400) }.joined(separator: "\n"))
      """
  }
}

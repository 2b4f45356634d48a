import Foundation
import PluginTesting

/// Runs one case against a host, and judges what comes of it.
struct WayRunner {
  let host: WayHost
  let libraries: WayLibraries
  let way: WayCase
  /// The section that misbehaves.
  private let name: String

  init(_ way: WayCase, on host: WayHost, _ libraries: WayLibraries) {
    self.way = way
    self.host = host
    self.libraries = libraries
    name = way.isResident ? way.plugin.section : WayHost.addedName
  }

  func run() throws -> WayOutcome {
    var outcome = WayOutcome(way: way)
    host.load.settle()
    let before = host.diagnostics
    guard let worker = host.worker else {
      outcome.problems.append("no worker answers before it")
      outcome.isHostSpoilt = true
      return outcome
    }
    _ = host.load.take()
    try misbehave(&outcome)
    outcome.judge(entry(outcome))
    if let aftermath = way.aftermath { look(at: aftermath, &outcome) }
    judgeInnocents(before, &outcome)
    if way.spoilsHost {
      outcome.isHostSpoilt = true
      if way.name == "stop-host" { host.host.process.send(signal: SIGCONT) }
    } else {
      try goOn(after: worker, &outcome)
    }
    outcome.period = host.load.take()
    outcome.judgeClients()
    return outcome
  }

  // MARK: The deed

  private func misbehave(_ outcome: inout WayOutcome) throws {
    guard !way.isResident else {
      let path = way.phase == .blocking ? "blocking" : way.phase == .pull ? "stream" : "do"
      let answer = host.ask(
        "/\(name)/\(path)", [("X-Way", way.name), ("X-Way-Phase", way.phase.rawValue)], within: .seconds(4))
      outcome.answer = answer.map { "\($0.status)" } ?? "none"
      return
    }
    let generation = host.worker?.generation ?? 0
    let constructor = way.plugin == .c ? "constructor" : "constructor-\(way.plugin.rawValue)"
    if way.phase == .constructor { try host.host.directory.write(constructor, way.name) }
    defer { if way.phase == .constructor { unlink("\(host.host.directory.path)/\(constructor)") } }
    if way.phase == .load {
      try load()
    } else {
      try host.add(libraries.path(way.plugin), ["way = \(way.name)", "phase = \(way.phase.rawValue)"])
    }
    if !host.waitForSuccessor(of: generation) { outcome.problems.append("no worker with it came") }
    guard way.phase == .stop else { return }
    try host.add(nil, [])
    if !host.waitForSuccessor(of: generation + 1) { outcome.problems.append("no worker came after its stop") }
  }

  private func load() throws {
    guard way.name == "two-versions" else {
      return try host.add(sections: section(libraries.loaded(way.name)))
    }
    try host.add(
      sections: section(libraries.loaded("two-versions-1"))
        + Section.plugin("way-2", library: libraries.loaded("two-versions-2"), ["paths = /nowhere"]))
  }

  private func section(_ library: String) -> String {
    Section.plugin(name, library: library, ["paths = /nowhere", "recover = never"])
  }

  // MARK: What came of it

  /// The plugin's entry as soon as it is out, or after as long as it may take to be found out.
  private func entry(_ outcome: WayOutcome) -> WayEntry {
    var last = JSONValue.null
    let limit: Duration =
      switch way.result {
      case .out: .seconds(8)
      case .maybe: .milliseconds(1800)
      case .harmless: .milliseconds(way.name == "alarm" ? 1300 : 500)
      }
    _ = host.holds(within: limit) {
      let found = host.diagnostics["plugins"][name, by: "name"]
      if found != .null { last = found }
      let entry = WayEntry(found)
      return entry.isOut && (way.result.reasons.isEmpty || way.result.reasons.contains(entry.reason))
    }
    return WayEntry(last)
  }

  private func look(at aftermath: WayAftermath, _ outcome: inout WayOutcome) {
    guard libraries.plugins.contains(aftermath.plugin) else { return }
    let name = aftermath.plugin.section
    var answers: [Int] = []
    for _ in 0..<6 {
      let answer = host.ask("/\(name)/do", [("X-Way", aftermath.way), ("X-Way-Phase", "request")])
      answers.append(answer?.status ?? 0)
    }
    var entry = WayEntry(.null)
    _ = host.holds(within: .seconds(4)) {
      entry = WayEntry(host.diagnostics["plugins"][name, by: "name"])
      return aftermath.result.reasons.contains(entry.reason) || aftermath.result.reasons.isEmpty
    }
    switch aftermath.result {
    case .harmless:
      if entry.isOut || !answers.allSatisfy({ $0 == 200 }) {
        outcome.problems.append("then \(name) is \(entry.state) \(entry.message), answers \(answers)")
      }
    case .out(let reasons), .maybe(let reasons):
      if !entry.isOut || !reasons.contains(entry.reason) || answers.contains(0) {
        outcome.problems.append("then \(name) is \(entry.state) \(entry.reason), answers \(answers)")
      }
    }
  }

  /// All others are active, and have no fault of their own that they had not before.
  private func judgeInnocents(_ before: JSONValue, _ outcome: inout WayOutcome) {
    for value in host.diagnostics["plugins"].array {
      let entry = WayEntry(value)
      let known = WayEntry(before["plugins"][entry.name, by: "name"])
      guard entry.name != name, entry.name != way.aftermath?.plugin.section else { continue }
      if way.name == "two-versions", entry.name == "way-2" { continue }
      if entry.state != "active" || (entry.fault != known.fault && !entry.isCollateral) {
        outcome.problems.append("\(entry.name) is \(entry.state): \(entry.reason): \(entry.message)")
      }
    }
  }

  // MARK: Afterwards

  /// Brings the host back to where it was: with all plugins active, and in a worker that nobody has touched.
  private func goOn(after worker: (pid: pid_t, generation: Int), _ outcome: inout WayOutcome) throws {
    let isTainted = ["crashed", "hung", "exited", "tampered"].contains(outcome.found)
    if isTainted, way.isResident, !host.waitForSuccessor(of: worker.generation) {
      outcome.problems.append("the worker is not replaced")
    }
    if way.isResident {
      for value in host.diagnostics["plugins"].array where WayEntry(value).isOut {
        let name = WayEntry(value).name
        let answer = try host.host.command("release", name)
        if answer.status != .exited(0) { outcome.problems.append("release \(name): \(answer.errors)") }
      }
      if let now = host.worker?.generation, now == worker.generation { try renew(after: now, &outcome) }
    } else if way.phase != .stop, let now = host.worker?.generation {
      try host.add(nil, [])
      if !host.waitForSuccessor(of: now) { outcome.problems.append("the next file is not served") }
    }
    if !host.holds(within: .seconds(10), { !RunningProcess.exists(worker.pid) }) {
      outcome.problems.append("the old worker stays")
      kill(worker.pid, SIGKILL)
    }
    judgeService(&outcome)
  }

  private func renew(after generation: Int, _ outcome: inout WayOutcome) throws {
    try host.edit()
    if !host.waitForSuccessor(of: generation) {
      outcome.problems.append("the next file is not served")
      outcome.isHostSpoilt = true
    }
  }

  private func judgeService(_ outcome: inout WayOutcome) {
    guard host.isAlive else {
      outcome.problems.append("the host has ended")
      outcome.isHostSpoilt = true
      return
    }
    var out: [String] = []
    let isWhole = host.holds(within: .seconds(6)) {
      let plugins = host.diagnostics["plugins"].array
      out = plugins.map { WayEntry($0) }.filter { $0.state != "active" }.map { "\($0.name) \($0.state)" }
      return out.isEmpty && !plugins.isEmpty
    }
    if !isWhole {
      outcome.problems.append("afterwards \(out.isEmpty ? "nobody answers" : out.joined(separator: ", "))")
      outcome.isHostSpoilt = true
    } else if way.isResident, host.ask("/\(name)/do")?.status != 200 {
      outcome.problems.append("afterwards it does not answer")
      outcome.isHostSpoilt = true
    }
  }
}

extension WayCase {
  /// A plugin that is in the file all the time does it, and none that the case adds.
  var isResident: Bool { ![.start, .selftest, .stop, .constructor, .load].contains(phase) && !isBySettings }
}

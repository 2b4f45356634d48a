import Foundation
import PluginTesting
import Synchronization
import Testing

/// Plugins in C, C++ and Rust, written against the header alone, that misbehave in every way that we know. Beside each of
/// them eight clients of other routes are served all the time, and must not notice.
@Suite("Ways to misbehave", .serialized)
struct WaysTests {
  /// It takes minutes, and is run by hand: `WAYS=all swift test --filter WaysTests`.
  @Test(
    "whatever a plugin does, others are served, it is named, and the host goes on",
    .enabled(if: selection != nil, "the table is run by hand: WAYS=all"))
  func table() throws {
    let directory = try TemporaryDirectory()
    let libraries = try WayLibraries(in: directory)
    for line in libraries.skipped { print("SKIPPED: \(line)") }
    let groups = WaysTests.selected(WayCases.groups).map { group in
      WayCases.Group(name: group.name, cases: group.cases.filter { libraries.plugins.contains($0.plugin) })
    }
    let queue = Mutex(Array(groups.enumerated()))
    let outcomes = try onThreads(2) { _ in
      var found: [(Int, [WayOutcome])] = []
      while let (number, group) = queue.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) {
        found.append((number, try WaysTests.run(group, libraries)))
      }
      return found
    }
    let all = outcomes.flatMap { $0 }.sorted { $0.0 < $1.0 }.flatMap { $0.1 }
    print(WayTable.text(all))
    print("Where less can be expected:\n\(WayTable.notes(all))")
    let failed = all.filter { !$0.problems.isEmpty }
    print("\(all.count) cases of \(Set(all.map(\.way.name)).count) ways, \(failed.count) failed")
    for outcome in failed {
      Issue.record("\(outcome.way.title): \(outcome.problems.joined(separator: "; "))")
    }
    if libraries.skipped.isEmpty, WaysTests.selection == "all" {
      #expect(Set(all.map(\.way.name)).count >= 90)
    }
  }

  /// `all` of the table, or a part: `hangs`, a group's name or a way's; several by comma.
  private static let selection = ProcessInfo.processInfo.environment["WAYS"]

  private static func selected(_ groups: [WayCases.Group]) -> [WayCases.Group] {
    guard let selection, selection != "all" else { return groups }
    let words = selection.split(separator: ",").map(String.init)
    return groups.compactMap { group in
      if words.contains(group.name) { return group }
      let cases = group.cases.filter { words.contains($0.name) }
      return cases.isEmpty ? nil : WayCases.Group(name: group.name, cases: cases)
    }
  }

  /// The cases of a group one after the other, on one host, and on another one where a case leaves none to go on with.
  private static func run(_ group: WayCases.Group, _ libraries: WayLibraries) throws -> [WayOutcome] {
    var host: WayHost?
    var outcomes: [WayOutcome] = []
    for way in group.cases {
      let residents = way.isResident ? WayPlugin.allCases : []
      let own = try host ?? WayHost(libraries, residents: residents)
      let outcome = try WayRunner(way, on: own, libraries).run()
      host = outcome.isHostSpoilt ? nil : own
      outcomes.append(outcome)
      let verdict = outcome.problems.isEmpty ? "ok" : "FAILED \(outcome.problems)"
      print("\(group.name): \(way.title): \(outcome.found), /health \(outcome.period.health) ms: \(verdict)")
    }
    return outcomes
  }
}

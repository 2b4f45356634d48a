import DatabaseSettings
import DatabaseTesting
import Foundation
import PluginTesting
import SQL
import Testing

@testable import DomainRoutes

/// Processes that are killed at every step of what they do, and what the next one finds.
@Suite struct KilledProcessTests {
  /// What a process does to one generation.
  enum Life: String, CaseIterable, Sendable, Codable {
    /// Makes it, runs it, settles it.
    case completed
    /// Makes it and cancels it: refunds it.
    case cancelled
    /// Makes it, and gives it up: refunds it.
    case failed

    func run(_ bench: Bench) throws {
      let id = try bench.create()
      switch self {
      case .completed: _ = try bench.runner.runNext { false }
      case .cancelled: _ = try bench.store.write { try GenerationTable(session: $0, mount: "").cancel(id) }
      case .failed:
        guard let job = try bench.runner.claim() else { return }
        _ = try bench.store.write { try JobQueue(session: $0).fail(job, message: "x") }
      }
    }
  }

  @Test(
    "a process that is killed at any step leaves credits that are reserved, spent or given back, once",
    arguments: Backend.allCases, Life.allCases)
  func killed(on backend: Backend, _ life: Life) async throws {
    let database = try PluginDatabase(backend)
    let bench = try Bench(database)
    for step in 0..<(try steps(of: life, on: backend)) {
      let before = try #require(try bench.balance())
      let (setting, directory) = (database.setting, database.directory)
      await #expect(processExitsWith: .signal(SIGKILL), "step \(step)") {
        [
          setting = setting as String, directory = directory as String, step = step as Int,
          life = life as Life
        ] in
        let countdown = DyingEngine.Countdown()
        let bench = try Bench(PluginDatabase(setting: setting, directory: directory), dying: countdown)
        countdown.begin(step)
        try life.run(bench)
      }
      #expect(try bench.violations() == [], "step \(step)")
      // Another process takes up what is left; on PostgreSQL once the server has noticed that its client is gone.
      bench.clock.advance(milliseconds: Bench.lease)
      try wait("step \(step): no job is left", within: .seconds(30)) {
        while try bench.runner.runNext(isStopping: { false }) {}
        return try bench.store.read {
          try $0.number("SELECT COUNT(*) FROM generations WHERE status IN ('pending', 'processing')")
        } == 0
      }
      let after = try #require(try bench.balance())
      #expect(after.reserved == 0, "step \(step)")
      #expect(after.current + after.totalSpent == 100, "step \(step)")
      #expect([0, 5].contains(after.totalSpent - before.totalSpent), "step \(step)")
      #expect(try bench.violations() == [], "step \(step)")
    }
    #expect(try #require(try bench.balance()).totalSpent > 0)
  }

  /// How many steps a life has, if nobody cuts it short.
  private func steps(of life: Life, on backend: Backend) throws -> Int {
    let countdown = DyingEngine.Countdown()
    let bench = try Bench(try PluginDatabase(backend), dying: countdown)
    countdown.begin(1_000_000)
    try life.run(bench)
    return 1_000_000 - (countdown.remaining ?? 0)
  }

  @Test("processes that start together on a new database migrate it once", arguments: Backend.allCases)
  func migration(on backend: Backend) async throws {
    let database = try PluginDatabase(backend)
    let (setting, directory) = (database.setting, database.directory)
    await withTaskGroup(of: Void.self) { group in
      for index in 0..<6 {
        group.addTask {
          await #expect(processExitsWith: .success) {
            [setting = setting as String, directory = directory as String, index = index as Int] in
            // All wait until all are there.
            try Data().write(to: URL(fileURLWithPath: "\(directory)/ready-\(index)"))
            let deadline = Date(timeIntervalSinceNow: 60)
            while try FileManager.default.contentsOfDirectory(atPath: directory).filter({
              $0.hasPrefix("ready")
            }).count < 6 {
              guard Date() < deadline else { exit(2) }
              usleep(1000)
            }
            let store = try PluginDatabase(setting: setting, directory: directory).store { 0 }
            guard try store.read({ try LedgerAudit(session: $0).missingGuards() }).isEmpty else { exit(3) }
          }
        }
      }
    }
    let store = try database.store { 0 }
    #expect(try store.read { try LedgerAudit(session: $0).missingGuards() } == [])
    #expect(try store.read { try $0.number("SELECT COUNT(*) FROM schema_readers") } == 1)
  }
}

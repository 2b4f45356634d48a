import DatabaseTesting
import SQL

@testable import DomainRoutes

/// The plugin's parts without its threads and routes: each step is taken, or left out as by a crash, by the test. One
/// user, `u`, has an account with 100 credits.
struct Bench: Sendable {
  static let lease: Int64 = 20_000

  let clock = TestClock()
  let database: PluginDatabase
  let store: Store
  let media: any MediaStore
  let runner: JobRunner

  init(_ backend: Backend) throws { try self.init(try PluginDatabase(backend)) }

  /// - Parameter countdown: Of the process's steps, once it is begun.
  init(_ database: PluginDatabase, dying countdown: DyingEngine.Countdown? = nil) throws {
    self.database = database
    store = try database.store(connections: 8, dying: countdown) { [clock] in clock.now }
    media = try store.makeMediaStore(directory: database.directory)
    runner = JobRunner(
      store: store, media: media, models: try ModelCatalogue([]), lease: Self.lease, attempts: 3,
      metrics: nil, log: { _, _ in })
    try store.write { try Ledger(session: $0).openAccount("u", bonus: 100) }
  }

  /// Makes a pending generation that costs 5 credits, and answers its id.
  func create() throws -> String {
    let model = ModelCatalogue.shipped[0]
    return try store.write {
      try GenerationTable(session: $0, mount: "").create(
        GenerationRequest(model: model, prompt: "p", negativePrompt: "", width: 64, height: 64),
        seed: 1, by: "u")
    }
  }

  func status(_ id: String) throws -> Generation.Status? {
    try store.read { try GenerationTable(session: $0, mount: "").find(id, of: "u")?.status }
  }

  func balance() throws -> Ledger.Balance? {
    try store.read { try Ledger(session: $0).balance(of: "u") }
  }

  /// What is wrong with the credits; empty if nothing is.
  func violations() throws -> [String] {
    try store.read { try LedgerAudit(session: $0).violations() }
  }

  /// The images that are there.
  func files() throws -> [String] {
    switch database.backend {
    case .sqlite: try media.names(writtenBefore: .max)
    case .postgreSQL: try store.read { try $0.query("SELECT name FROM media").map { try $0.text("name") } }
    }
  }
}

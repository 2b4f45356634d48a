import DatabaseSettings
import DatabaseTesting
import Foundation
import PluginAPI
import PluginTesting
import SQL
import Synchronization

@testable import DomainRoutes

let alice = Identity(subject: "alice", email: "alice@example.com", role: "viewer")
let bob = Identity(subject: "bob", email: "bob@example.com", role: "viewer")
let admin = Identity(subject: "root", email: "root@example.com", role: "admin")

/// The plugin in a host of its own, with requests in JSON.
struct Shop {
  let host: InProcessHost
  let database: PluginDatabase

  /// - Parameters:
  ///   - database: Which may be another shop's too.
  ///   - stateDirectory: If it is not the database's own.
  ///   - workers: "0" leaves generations pending.
  init(
    on database: PluginDatabase, _ settings: [(String, String)] = [], workers: String = "0",
    stateDirectory: String? = nil
  ) throws {
    self.database = database
    let own = [("database", database.setting), ("workers", workers)]
    host = try InProcessHost(
      PluginTable.of(DomainRouter.self),
      settings: Fields(
        (settings + own.filter { own in !settings.contains { $0.0 == own.0 } }).map {
          (name: $0.0, value: $0.1)
        }),
      mount: "/api/v1", stateDirectory: stateDirectory ?? database.directory)
  }

  /// A shop with a database of its own.
  init(on backend: Backend, _ settings: [(String, String)] = [], workers: String = "0") throws {
    try self.init(on: try PluginDatabase(backend), settings, workers: workers)
  }

  @discardableResult
  func send(
    _ method: String, _ path: String, _ body: String? = nil, as identity: Identity? = alice,
    headers: [(String, String)] = []
  ) throws -> Answer {
    let type = body == nil ? [] : [("Content-Type", "application/json")]
    let answer = try host.send(
      method, "/api/v1/\(path)", headers: Fields((type + headers).map { (name: $0.0, value: $0.1) }),
      body: body ?? "", identity: identity)
    ShopContract.check(method, "/api/v1/\(path)", body, answer)
    return answer
  }

  func get(_ path: String, as identity: Identity? = alice) throws -> JSONValue {
    try send("GET", path, as: identity).json
  }

  func balance(of identity: Identity = alice) throws -> Int? {
    try get("credits/balance", as: identity)["current_balance"].int
  }

  /// Makes a small generation, and answers its id.
  func generate(_ more: String = "", model: String = "sketch-1", as identity: Identity = alice) throws
    -> String
  {
    let answer = try send(
      "POST", "generations",
      "{\"model_id\":\"\(model)\",\"prompt\":\"a blue sea\",\"parameters\":{\"width\":64,\"height\":64,\"seed\":7}\(more)}",
      as: identity)
    guard answer.status == 202, let id = try answer.json["id"].string else {
      throw UnexpectedAnswer(answer: answer)
    }
    return id
  }

  /// A second way to the same database, with another clock if wanted.
  func store(_ clock: TestClock? = nil) throws -> Store {
    try database.store { clock?.now ?? Int64(Date().timeIntervalSince1970 * 1000) }
  }

  /// The images.
  func media() throws -> any MediaStore { try store().makeMediaStore(directory: database.directory) }

  /// What is wrong with the credits; empty if nothing is.
  func violations() throws -> [String] {
    try store().read { try LedgerAudit(session: $0).violations() }
  }
}

extension PluginDatabase {
  /// The plugin's own way to the database, without the plugin.
  func store(
    connections: Int = 4, dying countdown: DyingEngine.Countdown? = nil,
    _ clock: @escaping @Sendable () -> Int64
  ) throws -> Store {
    guard let setting = DatabaseSetting(self.setting) else { throw UnknownSetting() }
    guard let countdown else {
      return try Store(setting, directory: directory, connections: connections, clock: clock)
    }
    let engine = try setting.engine(file: Store.file(in: directory), namespace: Store.namespace)
    let dying = DyingEngine(engine: engine, countdown: countdown)
    return try Store(dying, connections: connections, clock: clock)
  }
}

struct UnknownSetting: Error {}

struct UnexpectedAnswer: Error { let answer: Answer }

extension Answer {
  var json: JSONValue { get throws { try JSONValue(parsing: body) } }
  /// The fields that a 422 names.
  var errorFields: [String] { get throws { try json["errors"].array.compactMap { $0["field"].string } } }
}

/// A clock that stands still until it is moved.
final class TestClock: Sendable {
  private let milliseconds: Mutex<Int64>

  init(_ milliseconds: Int64 = 1_800_000_000_000) { self.milliseconds = Mutex(milliseconds) }

  var now: Int64 { milliseconds.withLock { $0 } }
  func advance(milliseconds step: Int64) { milliseconds.withLock { $0 += step } }
}

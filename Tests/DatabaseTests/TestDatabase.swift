import DatabaseSettings
import DatabaseTesting
import Foundation
import PostgreSQL
import SQL
import SQLite
import Synchronization
import Testing

/// An empty database of the test's own: a file, or a schema. Both go when the process ends.
struct TestDatabase: Sendable {
  private static let count = Atomic<Int>(0)
  private static let folder: Result<String, any Error> = Result {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("databases-\(getpid())").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    atexit { TestDatabase.removeFolder() }
    return path
  }

  let backend: Backend
  let path: String
  let setting: DatabaseSetting
  private let namespace: String

  init(_ backend: Backend) throws {
    self.backend = backend
    namespace = "t\(Self.count.add(1, ordering: .relaxed).newValue)"
    path = try Self.folder.get() + "/\(namespace).sqlite3"
    switch backend {
    case .sqlite: setting = .sqlite
    case .postgreSQL: setting = .postgreSQL(url: try PostgreSQLServer.shared().url("postgres"))
    }
  }

  private static func removeFolder() {
    do {
      try FileManager.default.removeItem(atPath: folder.get())
    } catch {
      print("the tests' databases are left behind: \(error)")
    }
  }

  func engine(timeoutMilliseconds: Int32 = 5000) throws -> any Engine {
    switch setting {
    case .sqlite: SQLiteEngine(path: path, timeoutMilliseconds: timeoutMilliseconds)
    case .postgreSQL(let url):
      try PostgreSQLEngine(url: url, namespace: namespace, timeoutMilliseconds: timeoutMilliseconds)
    }
  }

  /// A connection, with the schema that tables go to.
  func connect(timeoutMilliseconds: Int32 = 5000) throws -> Connection {
    let connection = Connection(try engine(timeoutMilliseconds: timeoutMilliseconds).connect())
    try Migrations.apply([Script()], to: connection)
    return connection
  }

  func pool(size: Int = 4, timeoutMilliseconds: Int32 = 5000) throws -> ConnectionPool {
    let pool = try ConnectionPool(
      try engine(timeoutMilliseconds: timeoutMilliseconds), size: size,
      timeoutMilliseconds: timeoutMilliseconds)
    try pool.withConnection { _ = try Migrations.apply([Script()], to: $0) }
    return pool
  }
}

extension Connection {
  /// Runs a script in the language that the engines share.
  func tables(_ script: Script) throws { try execute(script.text(in: dialect)) }
}

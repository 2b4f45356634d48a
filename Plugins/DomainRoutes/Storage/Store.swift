import DatabaseSettings
import SQL

/// The plugin's database. Any thread.
final class Store: Sendable {
  private let pool: ConnectionPool
  private let clock: @Sendable () -> Int64

  /// SQLite's file.
  static func file(in directory: String) -> String { directory + "/domain.sqlite3" }
  /// The schema on PostgreSQL.
  static let namespace = "bulkhead_domain"

  /// Opens the database, and brings its schema up to date.
  ///
  /// Quick if there is nothing to do: it only reads then, and waits for no writer. If a server is away that is no error
  /// here: see `awayAtStart`.
  /// - Parameters:
  ///   - database: Which database.
  ///   - directory: Where SQLite's file is.
  ///   - connections: The most that are open at a time.
  ///   - clock: Milliseconds since 1970.
  /// - Throws: `DatabaseError`.
  convenience init(
    _ database: DatabaseSetting, directory: String, connections: Int = 8,
    clock: @escaping @Sendable () -> Int64
  ) throws {
    try self.init(
      try database.engine(file: Self.file(in: directory), namespace: Self.namespace),
      connections: connections, clock: clock)
  }

  /// As above, on an engine.
  init(_ engine: any Engine, connections: Int, clock: @escaping @Sendable () -> Int64) throws {
    pool = try ConnectionPool(
      engine, size: connections, migrations: Schema.migrations, readableFrom: Schema.readableFrom)
    self.clock = clock
  }

  /// Why the database was away at the start; nil: it was there. What is asked of it meanwhile throws, and the first
  /// request that finds it migrates it.
  var awayAtStart: DatabaseError? { pool.awayAtStart }

  /// Milliseconds since 1970.
  var now: Int64 { clock() }

  /// Runs `body` on one unchanging state of the database.
  /// - Throws: What `body` throws; `DatabaseError`, `isTemporary` if the database is busy or away.
  func read<R>(_ body: (Session) throws -> R) throws -> R {
    try pool.snapshot { try body(Session($0, now: clock())) }
  }

  /// Runs `body` as one transaction: all of it is written, or none. It runs again if the database rolled it back for
  /// another transaction's sake.
  /// - Throws: What `body` throws; `DatabaseError`, `isTemporary` if the database is busy or away.
  func write<R>(_ body: (Session) throws -> R) throws -> R {
    try pool.transaction { try body(Session($0, now: clock())) }
  }

  /// Where the images are: files beside SQLite's; rows on PostgreSQL, which several hosts share.
  /// - Throws: `MediaError`.
  func makeMediaStore(directory: String) throws -> any MediaStore {
    switch pool.dialect {
    case .sqlite: try MediaFiles(directory: directory + "/media")
    case .postgreSQL: MediaTable(store: self)
    }
  }
}

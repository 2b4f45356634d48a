import SQLite

/// The plugin's database. Any thread.
final class Store: Sendable {
  private let pool: ConnectionPool
  private let clock: @Sendable () -> Int64

  /// Opens the database, and brings its schema up to date.
  ///
  /// Quick if there is nothing to do: it only reads then, and waits for no writer.
  /// - Parameters:
  ///   - path: The file.
  ///   - connections: The most that are open at a time.
  ///   - clock: Milliseconds since 1970.
  /// - Throws: `SQLiteError`.
  init(path: String, connections: Int = 8, clock: @escaping @Sendable () -> Int64) throws {
    // FULL: a credit that a client was told of survives a loss of power.
    pool = try ConnectionPool(path: path, size: connections, synchronous: .full)
    self.clock = clock
    _ = try pool.withConnection {
      try Migrations.apply(Schema.migrations, to: $0, readableFrom: Schema.readableFrom)
    }
  }

  /// Milliseconds since 1970.
  var now: Int64 { clock() }

  /// Runs `body` on one unchanging state of the database.
  /// - Throws: What `body` throws; `SQLiteError`, `isBusy` if no connection became free in time.
  func read<R>(_ body: (Session) throws -> R) throws -> R {
    try pool.withConnection { connection in
      try connection.snapshot { try body(Session(connection, now: clock())) }
    }
  }

  /// Runs `body` as one transaction: all of it is written, or none.
  /// - Throws: What `body` throws; `SQLiteError`, `isBusy` if the write lock could not be had in time.
  func write<R>(_ body: (Session) throws -> R) throws -> R {
    try pool.transaction { try body(Session($0, now: clock())) }
  }
}

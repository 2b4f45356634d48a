import PostgreSQL
import SQL
import SQLite

/// Which database a plugin uses, as its setting `database` says: `sqlite`, or a URL of a PostgreSQL server.
public enum DatabaseSetting: Sendable, Equatable, CustomStringConvertible, CustomDebugStringConvertible {
  /// One file in the plugin's state directory.
  case sqlite
  case postgreSQL(url: String)

  /// - Returns: nil if it is neither; the refusal must not quote it.
  public init?(_ text: String) {
    if text == "sqlite" {
      self = .sqlite
    } else if text.hasPrefix("postgres://") || text.hasPrefix("postgresql://") {
      self = .postgreSQL(url: text)
    } else {
      return nil
    }
  }

  /// What a refusal of the setting says.
  public static let expectation = "must be 'sqlite', or postgres://user:password@host:port/database"

  /// Without the URL, which may hold a password.
  public var description: String {
    switch self {
    case .sqlite: "sqlite"
    case .postgreSQL: "postgres://…"
    }
  }
  public var debugDescription: String { description }

  public var dialect: Dialect {
    switch self {
    case .sqlite: .sqlite
    case .postgreSQL: .postgreSQL
    }
  }

  /// Looks whether it can be used at all: that libpq is there, and reads the URL. Connects to nothing.
  /// - Throws: `DatabaseError`, whose message neither shows the URL nor its password.
  public func check() throws(DatabaseError) {
    if case .postgreSQL(let url) = self { _ = try PostgreSQLEngine(url: url, namespace: "check") }
  }

  /// The engine that makes connections; makes none yet.
  /// - Parameters:
  ///   - file: The file, on SQLite.
  ///   - namespace: The schema that has the plugin's tables, on PostgreSQL: plugins may share a database.
  ///   - timeoutMilliseconds: How long to wait for a lock, and for a statement.
  /// - Throws: `DatabaseError`. None shows the URL or its password.
  public func engine(
    file: String, namespace: String, timeoutMilliseconds: Int32 = 5000
  ) throws(DatabaseError) -> any Engine {
    switch self {
    case .sqlite: SQLiteEngine(path: file, timeoutMilliseconds: timeoutMilliseconds)
    case .postgreSQL(let url):
      try PostgreSQLEngine(url: url, namespace: namespace, timeoutMilliseconds: timeoutMilliseconds)
    }
  }

  /// Opens the database, and migrates it: see `ConnectionPool.init`, also for a server that is away.
  /// - Parameters: As `engine(file:namespace:timeoutMilliseconds:)`.
  ///   - size: The most connections open at a time.
  ///   - timeoutMilliseconds: How long to wait for a connection too.
  ///   - migrations: None: the caller sees to the schema.
  ///   - away: Why it is known to be away.
  /// - Throws: `DatabaseError`. None shows the URL or its password.
  public func open(
    file: String, namespace: String, size: Int, timeoutMilliseconds: Int32 = 5000, migrations: [Script] = [],
    readableFrom: Int? = nil, away: DatabaseError? = nil
  ) throws -> ConnectionPool {
    try ConnectionPool(
      try engine(file: file, namespace: namespace, timeoutMilliseconds: timeoutMilliseconds), size: size,
      timeoutMilliseconds: timeoutMilliseconds, migrations: migrations, readableFrom: readableFrom, away: away
    )
  }
}

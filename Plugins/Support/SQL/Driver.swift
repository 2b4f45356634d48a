/// What a database engine does for a `Connection`: the part that differs between them.
///
/// A driver is used by one thread at a time, and only by its connection. Statements come in the common language
/// (`Dialect`); the driver puts them in its own, compiles each once and keeps it. Ended by its deinit.
public protocol Driver: AnyObject {
  var dialect: Dialect { get }

  /// Runs one statement with its parameters.
  func run(_ sql: String, _ bindings: [SQLValue]) throws(DatabaseError) -> StatementResult

  /// Runs any number of statements, in the engine's own language, for their effect.
  func execute(_ script: String) throws(DatabaseError)

  func begin(_ mode: TransactionMode) throws(DatabaseError)

  /// - Throws: also if the engine rolled back instead, as PostgreSQL does after an error that was ignored.
  func commit() throws(DatabaseError)

  func rollBack() throws(DatabaseError)

  /// Within a transaction: keeps other processes from migrating at the same time, and makes what the first script
  /// needs. May wait longer than a statement does.
  func beginMigration() throws(DatabaseError)

  /// How many scripts have run; 0 for a new database.
  func schemaVersion() throws(DatabaseError) -> Int

  /// Within a migration: notes how many scripts have run.
  func setSchemaVersion(_ version: Int) throws(DatabaseError)

  /// The names of the tables, indexes and triggers that are there, and not switched off.
  func schemaObjects() throws(DatabaseError) -> Set<String>

  /// False once the connection's transaction has ended, or the connection itself.
  var isInTransaction: Bool { get }

  /// Whether another thread can be lent the connection; looks for an end of it that nobody has noticed yet.
  func isUsable() -> Bool
}

/// What one statement yields.
public struct StatementResult: Sendable {
  public let rows: [Row]
  /// How many rows an INSERT, UPDATE or DELETE changed, triggers' changes not counted.
  public let changes: Int

  public init(rows: [Row], changes: Int) {
    self.rows = rows
    self.changes = changes
  }
}

/// How a transaction sees others.
public enum TransactionMode: Sendable {
  /// Reads one unchanging state, and writes nothing.
  case snapshot
  /// Writes. What a statement reads was committed when that statement began, so what must still hold when the
  /// transaction writes is locked (`SELECT … FOR UPDATE`) or guarded (`UPDATE … WHERE balance >= $2`). SQLite, which
  /// has one writer at a time, is stricter.
  case write
  /// Writes as if no other transaction ran, at the price of `serializationFailure`s under contention.
  case serializable
}

/// Makes connections to one database. Any thread.
public protocol Engine: Sendable {
  var dialect: Dialect { get }
  /// Makes a connection.
  /// - Throws: `DatabaseError`: `unavailable` if the database cannot be reached or has no room, `unusable` if it does not
  ///   let this program in.
  func connect() throws(DatabaseError) -> any Driver
  /// Whether connecting is in the hands of a network, and may take any time.
  var isRemote: Bool { get }
}

/// One connection to a database. Used by one thread at a time; a `ConnectionPool` hands connections to threads.
///
/// Statements are in the language that the engines share: see `Dialect`.
public final class Connection {
  private let driver: any Driver
  private var depth = 0
  /// A rollback failed: what the connection would do next is not known.
  private var isBroken = false

  public init(_ driver: any Driver) { self.driver = driver }

  public var dialect: Dialect { driver.dialect }

  /// Runs any number of statements, without parameters, for their effect, in the engine's own language.
  /// - Throws: `DatabaseError`; the statements before the failing one have taken effect, unless in a transaction.
  public func execute(_ script: String) throws(DatabaseError) { try driver.execute(script) }

  /// Runs one statement and returns all its rows; also of `RETURNING`.
  /// - Parameters:
  ///   - sql: One statement. `?` takes the values in order; `?2` and `$2` the second value.
  ///   - bindings: As many values as the statement has parameters.
  /// - Throws: `DatabaseError`.
  public func query(_ sql: String, _ bindings: [SQLValue] = []) throws(DatabaseError) -> [Row] {
    try driver.run(sql, bindings).rows
  }

  /// Runs one statement and returns its first row, or nil if it has none. As `query(_:_:)` otherwise.
  public func first(_ sql: String, _ bindings: [SQLValue] = []) throws(DatabaseError) -> Row? {
    try driver.run(sql, bindings).rows.first
  }

  /// Runs one INSERT, UPDATE or DELETE.
  /// - Returns: How many rows it changed, triggers' changes not counted.
  /// - Throws: `DatabaseError`.
  @discardableResult
  public func run(_ sql: String, _ bindings: [SQLValue] = []) throws(DatabaseError) -> Int {
    try driver.run(sql, bindings).changes
  }

  /// Runs `body` as one transaction: all of it is written, or none. Within another transaction it is a savepoint.
  ///
  /// Rolled back if `body` or the commit throws. `body` must not end the transaction itself, and a `DatabaseError`
  /// that it catches must not be gone on from but around a savepoint: PostgreSQL refuses all that follows one.
  /// - Throws: What `body` throws; `DatabaseError`. After `connectionLost` nobody knows whether the commit took effect.
  public func transaction<R>(_ mode: TransactionMode = .write, _ body: () throws -> R) throws -> R {
    let level = depth
    if level == 0 { try driver.begin(mode) } else { try driver.execute("SAVEPOINT level\(level)") }
    depth += 1
    defer { depth -= 1 }
    do {
      let result = try body()
      if level == 0 { try driver.commit() } else { try driver.execute("RELEASE SAVEPOINT level\(level)") }
      return result
    } catch {
      rollBack(level: level)
      throw error
    }
  }

  /// Runs `body` on one unchanging state of the database, whatever others commit meanwhile: for several queries that
  /// must agree. `body` writes nothing. Within a transaction it is part of that.
  /// - Throws: What `body` throws; `DatabaseError`.
  public func snapshot<R>(_ body: () throws -> R) throws -> R {
    depth > 0 ? try body() : try transaction(.snapshot, body)
  }

  /// True within a transaction.
  public var isInTransaction: Bool { driver.isInTransaction }

  /// The names of the tables, indexes and triggers that are there, and not switched off.
  /// - Throws: `DatabaseError`.
  public func schemaObjects() throws(DatabaseError) -> Set<String> { try driver.schemaObjects() }

  /// Whether it can be used again by somebody else.
  func isUsable() -> Bool { !isBroken && !driver.isInTransaction && driver.isUsable() }

  func beginMigration() throws(DatabaseError) { try driver.beginMigration() }
  func schemaVersion() throws(DatabaseError) -> Int { try driver.schemaVersion() }
  func setSchemaVersion(_ version: Int) throws(DatabaseError) { try driver.setSchemaVersion(version) }

  /// The caller's error is the one to report. Should the rollback fail too, the connection is not used again, and
  /// the database rolls back when it ends.
  private func rollBack(level: Int) {
    // A full disk, an I/O error or the end of the connection has rolled back already.
    guard driver.isInTransaction else { return }
    do {
      if level == 0 {
        try driver.rollBack()
      } else {
        try driver.execute("ROLLBACK TO SAVEPOINT level\(level); RELEASE SAVEPOINT level\(level)")
      }
    } catch {
      isBroken = true
    }
  }
}

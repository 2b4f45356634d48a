import CSQLite
import Glibc

/// One connection to a SQLite database: WAL, foreign keys enforced, busy timeout set.
///
/// A connection is used by one thread at a time; it is not `Sendable`, and a `ConnectionPool` hands connections to
/// the threads of a server. Statements are compiled once and kept.
public final class Database {
  /// When a commit counts as done. https://sqlite.org/pragma.html#pragma_synchronous
  public enum Synchronous: String, Sendable {
    /// Once it is on the disk: it survives a loss of power.
    case full = "FULL"
    /// Once the kernel has it: it survives any crash of processes; a loss of power may undo the last commits.
    case normal = "NORMAL"
  }

  private static let cachedStatements = 128

  private let handle: OpaquePointer
  private var statements: [String: Statement] = [:]
  private var depth = 0

  /// Opens the database, and makes the file (mode 0600) if there is none.
  ///
  /// - Parameters:
  ///   - path: A file path, or `:memory:`. The folder must exist.
  ///   - synchronous: What a commit waits for; `.full` by default, as for money and passwords.
  ///   - busyTimeoutMilliseconds: How long a statement waits for another connection's lock.
  /// - Throws: `SQLiteError`.
  public init(
    path: String, synchronous: Synchronous = .full, busyTimeoutMilliseconds: Int32 = 5000
  ) throws(SQLiteError) {
    // mknod and not open: to close a descriptor of the file would drop the locks that other connections of this
    // process hold on it (https://sqlite.org/howtocorrupt.html, 2.2). If the file is there, this changes nothing.
    if path != ":memory:" { _ = mknod(path, S_IFREG | 0o600, 0) }
    var opened: OpaquePointer?
    let code = sqlite3_open_v2(
      path, &opened, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nil)
    guard code == SQLITE_OK, let opened else {
      let error = SQLiteError(code, on: opened, context: "opening \(path)")
      sqlite3_close_v2(opened)
      throw error
    }
    handle = opened
    sqlite3_extended_result_codes(handle, 1)
    sqlite3_busy_timeout(handle, busyTimeoutMilliseconds)
    try useWriteAheadLog(inMemory: path == ":memory:", waitMilliseconds: busyTimeoutMilliseconds)
    // recursive_triggers: else REPLACE would delete rows behind the back of triggers that guard them.
    try execute(
      """
      PRAGMA synchronous = \(synchronous.rawValue);
      PRAGMA foreign_keys = ON;
      PRAGMA recursive_triggers = ON;
      PRAGMA trusted_schema = OFF;
      """)
  }

  deinit {
    statements.removeAll()
    sqlite3_close_v2(handle)
  }

  /// Runs any number of statements, without parameters, for their effect.
  /// - Throws: `SQLiteError`; the statements before the failing one have taken effect, unless in a transaction.
  public func execute(_ sql: String) throws(SQLiteError) {
    let code = sqlite3_exec(handle, sql, nil, nil, nil)
    guard code == SQLITE_OK else { throw SQLiteError(code, on: handle, context: sql) }
  }

  /// Runs one statement and returns all its rows; also of `RETURNING`.
  /// - Parameters:
  ///   - sql: One statement. `?` takes the values in order; `?2` and `$2` the second value.
  ///   - bindings: As many values as the statement has parameters.
  /// - Throws: `SQLiteError`.
  public func query(_ sql: String, _ bindings: [SQLiteValue] = []) throws(SQLiteError) -> [Row] {
    try statement(sql).run(bindings)
  }

  /// Runs one statement and returns its first row, or nil if it has none. As `query(_:_:)` otherwise.
  public func first(_ sql: String, _ bindings: [SQLiteValue] = []) throws(SQLiteError) -> Row? {
    try query(sql, bindings).first
  }

  /// Runs one INSERT, UPDATE or DELETE.
  /// - Returns: How many rows it changed, triggers' changes not counted.
  /// - Throws: `SQLiteError`.
  @discardableResult
  public func run(_ sql: String, _ bindings: [SQLiteValue] = []) throws(SQLiteError) -> Int {
    let before = sqlite3_total_changes64(handle)
    _ = try statement(sql).run(bindings)
    // sqlite3_changes keeps the count of the statement before if this one, a CREATE say, changes no row.
    return sqlite3_total_changes64(handle) == before ? 0 : Int(sqlite3_changes64(handle))
  }

  /// Runs `body` in a transaction that holds the write lock from its start (BEGIN IMMEDIATE), so that what it reads
  /// stays true until it commits. Within another transaction it is a savepoint.
  ///
  /// Rolled back if `body` or the commit throws. `body` must not end the transaction itself.
  /// - Throws: What `body` throws; `SQLiteError`, `isBusy` if the lock could not be had in time.
  public func transaction<R>(_ body: () throws -> R) throws -> R {
    let isOutermost = depth == 0
    try execute(isOutermost ? "BEGIN IMMEDIATE" : "SAVEPOINT level\(depth)")
    depth += 1
    defer { depth -= 1 }
    do {
      let result = try body()
      try execute(isOutermost ? "COMMIT" : "RELEASE level\(depth - 1)")
      return result
    } catch {
      try rollBack(isOutermost: isOutermost)
      throw error
    }
  }

  /// Runs `body` on one unchanging state of the database, whatever others commit meanwhile: for several queries that
  /// must agree. `body` writes nothing. Within a transaction it is part of that.
  /// - Throws: What `body` throws; `SQLiteError`.
  public func snapshot<R>(_ body: () throws -> R) throws -> R {
    guard depth == 0 else { return try body() }
    try execute("BEGIN DEFERRED")
    depth += 1
    defer { depth -= 1 }
    do {
      let result = try body()
      try execute("COMMIT")
      return result
    } catch {
      try rollBack(isOutermost: true)
      throw error
    }
  }

  /// True within a transaction.
  public var isInTransaction: Bool { sqlite3_get_autocommit(handle) == 0 }

  private func rollBack(isOutermost: Bool) throws(SQLiteError) {
    // A full disk or an I/O error has rolled back already.
    guard isInTransaction else { return }
    try execute(isOutermost ? "ROLLBACK" : "ROLLBACK TO level\(depth - 1); RELEASE level\(depth - 1)")
  }

  private func statement(_ sql: String) throws(SQLiteError) -> Statement {
    if let statement = statements[sql] { return statement }
    let statement = try Statement(sql, on: handle)
    if statements.count >= Self.cachedStatements { statements.removeAll(keepingCapacity: true) }
    statements[sql] = statement
    return statement
  }

  /// The change to WAL needs the database for itself; SQLite answers busy at once where waiting could deadlock, so
  /// the wait for other processes that open it at the same time is here.
  private func useWriteAheadLog(inMemory: Bool, waitMilliseconds: Int32) throws(SQLiteError) {
    var waited: Int32 = 0
    while true {
      do throws(SQLiteError) {
        let mode = try first("PRAGMA journal_mode = WAL")?[0].textValue
        guard mode == (inMemory ? "memory" : "wal") else {
          throw SQLiteError(
            extendedCode: SQLITE_CANTOPEN,
            message: "no write-ahead log here: the journal mode is \(mode ?? "?")")
        }
        return
      } catch {
        guard error.isBusy, waited < waitMilliseconds else { throw error }
        usleep(2000)
        waited += 2
      }
    }
  }
}

import CSQLite
import Glibc
import SQL

/// A SQLite database: one file, opened with WAL, foreign keys enforced and a busy timeout.
public struct SQLiteEngine: Engine {
  /// When a commit counts as done. https://sqlite.org/pragma.html#pragma_synchronous
  public enum Synchronous: String, Sendable {
    /// Once it is on the disk: it survives a loss of power.
    case full = "FULL"
    /// Once the kernel has it: it survives any crash of processes; a loss of power may undo the last commits.
    case normal = "NORMAL"
  }

  private let path: String
  private let synchronous: Synchronous
  private let timeoutMilliseconds: Int32

  /// - Parameters:
  ///   - path: A file, made with mode 0600 if there is none; its folder must exist. Or `:memory:`, a database of its
  ///     own for each connection.
  ///   - synchronous: What a commit waits for; `.full` by default, as for money and passwords.
  ///   - timeoutMilliseconds: How long a statement waits for another connection's lock.
  public init(path: String, synchronous: Synchronous = .full, timeoutMilliseconds: Int32 = 5000) {
    self.path = path
    self.synchronous = synchronous
    self.timeoutMilliseconds = timeoutMilliseconds
  }

  public var dialect: Dialect { .sqlite }
  public var isRemote: Bool { false }

  public func connect() throws(DatabaseError) -> any Driver {
    try SQLiteDriver(path: path, synchronous: synchronous, timeoutMilliseconds: timeoutMilliseconds)
  }
}

/// One connection to a SQLite database. Statements are compiled once and kept.
final class SQLiteDriver: Driver {
  private static let cachedStatements = 128

  private let handle: OpaquePointer
  private var statements: [String: Statement] = [:]

  var dialect: Dialect { .sqlite }

  init(
    path: String, synchronous: SQLiteEngine.Synchronous, timeoutMilliseconds: Int32
  ) throws(DatabaseError) {
    if path != ":memory:" { try Self.checkFiles(path) }
    // mknod and not open: to close a descriptor of the file would drop the locks that other connections of this
    // process hold on it (https://sqlite.org/howtocorrupt.html, 2.2). If the file is there, this changes nothing.
    if path != ":memory:" { _ = mknod(path, S_IFREG | 0o600, 0) }
    var opened: OpaquePointer?
    let code = sqlite3_open_v2(
      path, &opened, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nil)
    guard code == SQLITE_OK, let opened else {
      let error = DatabaseError(code, on: opened, context: "opening \(path)")
      sqlite3_close_v2(opened)
      throw error
    }
    handle = opened
    sqlite3_extended_result_codes(handle, 1)
    sqlite3_busy_timeout(handle, timeoutMilliseconds)
    try useWriteAheadLog(inMemory: path == ":memory:", waitMilliseconds: timeoutMilliseconds)
    // recursive_triggers: else REPLACE would delete rows behind the back of triggers that guard them.
    try execute(
      """
      PRAGMA synchronous = \(synchronous.rawValue);
      PRAGMA foreign_keys = ON;
      PRAGMA recursive_triggers = ON;
      PRAGMA trusted_schema = OFF;
      """)
  }

  /// Reading from a named pipe would wait for a writer. A file that is not there yet is made.
  private static func checkFiles(_ path: String) throws(DatabaseError) {
    for file in ["", "-wal", "-shm", "-journal"].map({ path + $0 }) {
      var status = stat()
      guard stat(file, &status) == 0, status.st_mode & S_IFMT != S_IFREG else { continue }
      throw DatabaseError(.unusable, message: "\(file) is not a regular file", context: "opening \(path)")
    }
  }

  deinit {
    statements.removeAll()
    sqlite3_close_v2(handle)
  }

  func execute(_ script: String) throws(DatabaseError) {
    let code = sqlite3_exec(handle, script, nil, nil, nil)
    guard code == SQLITE_OK else { throw DatabaseError(code, on: handle, context: script) }
  }

  func run(_ sql: String, _ bindings: [SQLValue]) throws(DatabaseError) -> StatementResult {
    let before = sqlite3_total_changes64(handle)
    let rows = try statement(sql).run(bindings)
    // sqlite3_changes keeps the count of the statement before if this one, a CREATE say, changes no row.
    let changes = sqlite3_total_changes64(handle) == before ? 0 : Int(sqlite3_changes64(handle))
    return StatementResult(rows: rows, changes: changes)
  }

  /// A transaction that writes holds the write lock from its start, so that what it reads stays true until it commits.
  func begin(_ mode: TransactionMode) throws(DatabaseError) {
    switch mode {
    case .snapshot: try execute("BEGIN DEFERRED")
    case .write, .serializable: try execute("BEGIN IMMEDIATE")
    }
  }

  func commit() throws(DatabaseError) { try execute("COMMIT") }

  func rollBack() throws(DatabaseError) { try execute("ROLLBACK") }

  var isInTransaction: Bool { sqlite3_get_autocommit(handle) == 0 }

  func isUsable() -> Bool { true }

  /// The transaction has the write lock already.
  func beginMigration() {}

  /// SQLite's own `user_version`.
  func schemaVersion() throws(DatabaseError) -> Int {
    Int(try run("PRAGMA user_version", []).rows.first?[0].integerValue ?? 0)
  }

  func setSchemaVersion(_ version: Int) throws(DatabaseError) {
    try execute("PRAGMA user_version = \(version)")
  }

  func schemaObjects() throws(DatabaseError) -> Set<String> {
    Set(try run("SELECT name FROM sqlite_schema", []).rows.compactMap { $0[0].textValue })
  }

  private func statement(_ sql: String) throws(DatabaseError) -> Statement {
    if let statement = statements[sql] { return statement }
    let statement = try Statement(dialect.statement(sql), on: handle)
    if statements.count >= Self.cachedStatements { statements.removeAll(keepingCapacity: true) }
    statements[sql] = statement
    return statement
  }

  /// The change to WAL needs the database for itself; SQLite answers busy at once where waiting could deadlock, so
  /// the wait for other processes that open it at the same time is here.
  private func useWriteAheadLog(inMemory: Bool, waitMilliseconds: Int32) throws(DatabaseError) {
    var waited: Int32 = 0
    while true {
      do throws(DatabaseError) {
        let mode = try run("PRAGMA journal_mode = WAL", []).rows.first?[0].textValue
        guard mode == (inMemory ? "memory" : "wal") else {
          throw DatabaseError(.other, message: "no write-ahead log here: the journal mode is \(mode ?? "?")")
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

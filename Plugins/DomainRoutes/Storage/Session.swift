import SQLite

/// One connection to the database, within one transaction or snapshot.
///
/// All SQL of this plugin goes through here, in the dialect that SQLite and PostgreSQL share: parameters `$1`,
/// `RETURNING`, `ON CONFLICT`, no constraint violation that is caught and gone on from. Another database is another
/// way to run `query`, `run` and `savepoint`; no table's code changes.
struct Session {
  private let connection: Database
  /// When the transaction began, in milliseconds since 1970: one instant for everything written in it.
  let now: Int64

  init(_ connection: Database, now: Int64) {
    self.connection = connection
    self.now = now
  }

  /// All rows of one statement.
  func query(_ sql: String, _ bindings: [SQLiteValue] = []) throws -> [Row] {
    try connection.query(sql, bindings)
  }

  /// The first row of one statement.
  func first(_ sql: String, _ bindings: [SQLiteValue] = []) throws -> Row? {
    try connection.first(sql, bindings)
  }

  /// How many rows one statement changed.
  @discardableResult
  func run(_ sql: String, _ bindings: [SQLiteValue] = []) throws -> Int {
    try connection.run(sql, bindings)
  }

  /// A number that a `SELECT COUNT(*)` or `SUM` yields in its only column; 0 for null.
  func number(_ sql: String, _ bindings: [SQLiteValue] = []) throws -> Int64 {
    try connection.first(sql, bindings)?[0].integerValue ?? 0
  }

  /// Undoes what `body` wrote if it throws, and leaves the transaction around it as it was.
  func savepoint<R>(_ body: () throws -> R) throws -> R {
    try connection.transaction(body)
  }
}

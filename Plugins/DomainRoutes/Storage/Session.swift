import PluginAPI
import SQL

/// One connection to the database, within one transaction or snapshot.
///
/// All SQL of this plugin goes through here, in the language that SQLite and PostgreSQL share (`SQL.Dialect`): parameters
/// `$1`, `RETURNING`, `ON CONFLICT`, and no constraint violation that is caught and gone on from. Since PostgreSQL has many
/// writers at a time, what is read in order to be written is read `FOR UPDATE`, or is a guarded update. Rows are locked in
/// this order, so that no two wait for each other: project, generation, purchase, reservation, account, code.
struct Session {
  private let connection: Connection
  /// When the transaction began, in milliseconds since 1970: one instant for everything written in it.
  let now: Int64

  init(_ connection: Connection, now: Int64) {
    self.connection = connection
    self.now = now
  }

  /// All rows of one statement.
  func query(_ sql: String, _ bindings: [SQLValue] = []) throws -> [Row] {
    try connection.query(sql, try checked(bindings))
  }

  /// The first row of one statement.
  func first(_ sql: String, _ bindings: [SQLValue] = []) throws -> Row? {
    try connection.first(sql, try checked(bindings))
  }

  /// How many rows one statement changed.
  @discardableResult
  func run(_ sql: String, _ bindings: [SQLValue] = []) throws -> Int {
    try connection.run(sql, try checked(bindings))
  }

  /// A number that a `SELECT COUNT(*)` or `SUM` yields in its only column; 0 for null.
  func number(_ sql: String, _ bindings: [SQLValue] = []) throws -> Int64 {
    try first(sql, bindings)?[0].integerValue ?? 0
  }

  /// The names of the tables, indexes and triggers that are there.
  func schemaObjects() throws -> Set<String> { try connection.schemaObjects() }

  /// Undoes what `body` wrote if it throws, and leaves the transaction around it as it was.
  func savepoint<R>(_ body: () throws -> R) throws -> R {
    try connection.transaction(.write, body)
  }

  /// PostgreSQL has no text with a NUL in it; and on both databases the same is refused.
  /// - Throws: `Problem` 422.
  private func checked(_ bindings: [SQLValue]) throws -> [SQLValue] {
    for case .text(let text) in bindings where text.utf8.contains(0) {
      throw Problem.unprocessable("A text holds the character U+0000.", code: "invalid-text")
    }
    return bindings
  }
}

/// How a row that is read is kept as it is until the transaction ends. SQLite, with its one writer, keeps all rows so.
enum RowLock {
  case none
  /// Nobody deletes it.
  case share
  /// Nobody else changes it, or reads it to do so.
  case update

  /// The end of a SELECT.
  var clause: String {
    switch self {
    case .none: ""
    case .share: " FOR KEY SHARE"
    case .update: " FOR UPDATE"
    }
  }
}

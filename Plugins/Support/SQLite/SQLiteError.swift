import CSQLite

/// What SQLite, or this wrapper in its terms, refuses. https://sqlite.org/rescode.html
public struct SQLiteError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The extended result code, e.g. 2067 for `SQLITE_CONSTRAINT_UNIQUE`.
  public let extendedCode: Int32
  /// SQLite's own words. Never holds bound values.
  public let message: String
  /// The statement, or what was being done; may be empty.
  public let context: String

  /// An error with a code of SQLite's.
  public init(extendedCode: Int32, message: String, context: String = "") {
    self.extendedCode = extendedCode
    self.message = message
    self.context = context
  }

  init(_ code: Int32, on handle: OpaquePointer?, context: String) {
    let extended = handle.map(sqlite3_extended_errcode) ?? code
    let message =
      handle.flatMap(sqlite3_errmsg).map { String(cString: $0) }
      ?? sqlite3_errstr(code).map { String(cString: $0) } ?? "unknown error"
    self.init(extendedCode: extended == SQLITE_OK ? code : extended, message: message, context: context)
  }

  /// The primary result code: the low byte of the extended one.
  public var code: Int32 { extendedCode & 0xff }
  /// A CHECK, UNIQUE, NOT NULL or foreign key constraint, or a trigger's RAISE, refused the change.
  public var isConstraint: Bool { code == SQLITE_CONSTRAINT }
  /// A UNIQUE or PRIMARY KEY constraint refused the change: there is such a row already.
  public var isUniqueViolation: Bool {
    // SQLITE_CONSTRAINT_UNIQUE and SQLITE_CONSTRAINT_PRIMARYKEY: expressions that the importer leaves out.
    extendedCode == SQLITE_CONSTRAINT | (8 << 8) || extendedCode == SQLITE_CONSTRAINT | (6 << 8)
  }
  /// A CHECK constraint refused the change.
  public var isCheckViolation: Bool { extendedCode == SQLITE_CONSTRAINT | (1 << 8) }
  /// Another connection held the lock for longer than the busy timeout: the caller may try again.
  public var isBusy: Bool { code == SQLITE_BUSY || code == SQLITE_LOCKED }

  public var description: String {
    context.isEmpty ? "\(message) (\(extendedCode))" : "\(message) (\(extendedCode)) in: \(context)"
  }
}

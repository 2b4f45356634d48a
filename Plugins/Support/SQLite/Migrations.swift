import CSQLite

/// Brings a database's schema up to date. The version is SQLite's own `user_version`: how many scripts have run.
public enum Migrations {
  /// Runs the scripts that the database has not seen, in order, all in one transaction.
  ///
  /// Once even if several processes start together: the version is read again under the write lock. A database that
  /// is up to date is only read, so that a start waits for no writer.
  /// - Parameters:
  ///   - scripts: From the first on; never changed once shipped, only added to. None may end the transaction.
  ///   - database: The connection to use.
  /// - Returns: The version before; equal to `scripts.count` if there was nothing to do.
  /// - Throws: `SQLiteError`; nothing has changed then. `SQLITE_SCHEMA` if the database is newer than the scripts.
  @discardableResult
  public static func apply(_ scripts: [String], to database: Database) throws -> Int {
    let current = try version(of: database)
    if current == scripts.count { return current }
    return try database.transaction {
      let before = try version(of: database)
      guard before <= scripts.count else {
        throw SQLiteError(
          extendedCode: SQLITE_SCHEMA,
          message: "the database has schema version \(before); this program knows up to \(scripts.count)")
      }
      for script in scripts[before...] { try database.execute(script) }
      try database.execute("PRAGMA user_version = \(scripts.count)")
      return before
    }
  }

  /// How many scripts have run on the database.
  public static func version(of database: Database) throws(SQLiteError) -> Int {
    Int(try database.first("PRAGMA user_version")?[0].integerValue ?? 0)
  }
}

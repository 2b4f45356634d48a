import CSQLite

/// Brings a database's schema up to date. The version is SQLite's own `user_version`: how many scripts have run.
public enum Migrations {
  /// Runs the scripts that the database has not seen, in order, all in one transaction.
  ///
  /// Once even if several processes start together: the version is read again under the write lock. A database that
  /// is up to date is only read, so that a start waits for no writer.
  ///
  /// A program that is rolled back meets the database that its successor has migrated. It may use it if the successor
  /// has said so, by `readableFrom`.
  /// - Parameters:
  ///   - scripts: From the first on; never changed once shipped, only added to. None may end the transaction.
  ///   - database: The connection to use.
  ///   - readableFrom: How many scripts a program must know at least to use a database that has them all; nil: all.
  /// - Returns: The version before; not below `scripts.count` if there was nothing to do.
  /// - Throws: `SQLiteError`; nothing has changed then. `SQLITE_SCHEMA` if the database is too new for the scripts.
  @discardableResult
  public static func apply(
    _ scripts: [String], to database: Database, readableFrom: Int? = nil
  ) throws -> Int {
    let current = try version(of: database)
    if current == scripts.count { return current }
    if current > scripts.count {
      try checkReadable(database, version: current, by: scripts.count)
      return current
    }
    return try database.transaction {
      let before = try version(of: database)
      guard before <= scripts.count else {
        try checkReadable(database, version: before, by: scripts.count)
        return before
      }
      for script in scripts[before...] { try database.execute(script) }
      try database.execute(
        """
        PRAGMA user_version = \(scripts.count);
        CREATE TABLE IF NOT EXISTS schema_readers (oldest_version INTEGER NOT NULL);
        DELETE FROM schema_readers;
        INSERT INTO schema_readers VALUES (\(readableFrom ?? scripts.count));
        """)
      return before
    }
  }

  private static func checkReadable(
    _ database: Database, version: Int, by known: Int
  ) throws(SQLiteError) {
    let hasReaders = try database.first("SELECT 1 FROM sqlite_schema WHERE name = 'schema_readers'") != nil
    let oldest = hasReaders ? try database.first("SELECT oldest_version FROM schema_readers") : nil
    if let oldest = oldest?[0].integerValue, oldest <= known { return }
    throw SQLiteError(
      extendedCode: SQLITE_SCHEMA,
      message: "the database has schema version \(version); this program knows up to \(known)")
  }

  /// How many scripts have run on the database.
  public static func version(of database: Database) throws(SQLiteError) -> Int {
    Int(try database.first("PRAGMA user_version")?[0].integerValue ?? 0)
  }
}

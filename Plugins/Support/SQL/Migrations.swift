/// Brings a database's schema up to date: forward only, each script once.
public enum Migrations {
  /// Runs the scripts that the database has not seen, in order, all in one transaction.
  ///
  /// Once even if several processes start together, on one machine or on many: the version is read again under a lock
  /// that one of them has at a time (SQLite's write lock; an advisory lock of PostgreSQL). A database that is up to
  /// date is only read, so that a start waits for no writer.
  ///
  /// A program that is rolled back meets the database that its successor has migrated. It may use it if the successor
  /// has said so, by `readableFrom`.
  /// - Parameters:
  ///   - scripts: From the first on; never changed once shipped, only added to. None may end the transaction.
  ///   - connection: The connection to use.
  ///   - readableFrom: How many scripts a program must know at least to use a database that has them all; nil: all.
  /// - Returns: The version before; not below `scripts.count` if there was nothing to do.
  /// - Throws: `DatabaseError`; nothing has changed then. `newerSchema` if the database is too new for the scripts.
  @discardableResult
  public static func apply(
    _ scripts: [Script], to connection: Connection, readableFrom: Int? = nil
  ) throws -> Int {
    let current = try version(of: connection)
    if current == scripts.count { return current }
    if current > scripts.count {
      try checkReadable(connection, version: current, by: scripts.count)
      return current
    }
    return try connection.transaction {
      try connection.beginMigration()
      let before = try version(of: connection)
      guard before <= scripts.count else {
        try checkReadable(connection, version: before, by: scripts.count)
        return before
      }
      // Another process was first.
      if before == scripts.count { return before }
      for script in scripts[before...] { try connection.execute(script.text(in: connection.dialect)) }
      try connection.setSchemaVersion(scripts.count)
      try connection.execute(
        """
        CREATE TABLE IF NOT EXISTS schema_readers (oldest_version BIGINT NOT NULL);
        DELETE FROM schema_readers;
        INSERT INTO schema_readers VALUES (\(readableFrom ?? scripts.count));
        """)
      return before
    }
  }

  private static func checkReadable(
    _ connection: Connection, version: Int, by known: Int
  ) throws(DatabaseError) {
    let hasReaders = try connection.schemaObjects().contains("schema_readers")
    let oldest = hasReaders ? try connection.first("SELECT oldest_version FROM schema_readers") : nil
    if let oldest = oldest?[0].integerValue, oldest <= known { return }
    throw DatabaseError(
      .newerSchema,
      message: "the database has schema version \(version); this program knows up to \(known)")
  }

  /// How many scripts have run on the database.
  public static func version(of connection: Connection) throws(DatabaseError) -> Int {
    try connection.schemaVersion()
  }
}

@_exported import SQL

// The names from before there was a second engine, for those who have not moved to it yet.

public typealias Database = Connection
public typealias SQLiteValue = SQLValue
public typealias SQLiteError = DatabaseError

extension Connection {
  public convenience init(
    path: String, synchronous: SQLiteEngine.Synchronous = .full, busyTimeoutMilliseconds: Int32 = 5000
  ) throws(DatabaseError) {
    self.init(
      try SQLiteEngine(path: path, synchronous: synchronous, timeoutMilliseconds: busyTimeoutMilliseconds)
        .connect())
  }
}

extension ConnectionPool {
  public convenience init(
    path: String, size: Int, synchronous: SQLiteEngine.Synchronous = .full, timeoutMilliseconds: Int32 = 5000
  ) throws(DatabaseError) {
    try self.init(
      SQLiteEngine(path: path, synchronous: synchronous, timeoutMilliseconds: timeoutMilliseconds),
      size: size, timeoutMilliseconds: timeoutMilliseconds)
  }
}

extension Migrations {
  @discardableResult
  public static func apply(
    _ scripts: [String], to connection: Connection, readableFrom: Int? = nil
  ) throws -> Int {
    try apply(scripts.map { Script($0) }, to: connection, readableFrom: readableFrom)
  }
}

import CSQLite
import SQL

// Unsafe memory: a prepared statement belongs to its driver, which finalises it before it closes the connection.
// Pointers into column values are read before the next step, as sqlite3_column_* demands.

/// One compiled statement. Used by its `SQLiteDriver` only.
final class Statement {
  let sql: String
  private let handle: OpaquePointer
  private let database: OpaquePointer
  /// For each parameter of the statement, in SQLite's order, the index into the bindings.
  private let bindingOf: [Int]
  private lazy var columns = Columns(
    (0..<sqlite3_column_count(handle)).map {
      sqlite3_column_name(handle, $0).map { String(cString: $0) } ?? ""
    })

  init(_ sql: String, on database: OpaquePointer) throws(DatabaseError) {
    var compiled: OpaquePointer?
    var hasMore = false
    let code = sql.withCString { start in
      var tail: UnsafePointer<CChar>?
      let code = sqlite3_prepare_v3(
        database, start, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &compiled, &tail)
      hasMore = tail.map { String(cString: $0).contains { !$0.isWhitespace && $0 != ";" } } ?? false
      return code
    }
    guard code == SQLITE_OK else { throw DatabaseError(code, on: database, context: sql) }
    guard let compiled, !hasMore else {
      sqlite3_finalize(compiled)
      throw DatabaseError(.misuse, message: "exactly one statement is expected", context: sql)
    }
    self.sql = sql
    self.handle = compiled
    self.database = database
    bindingOf = (0..<Int(sqlite3_bind_parameter_count(compiled))).map { position in
      // `?` binds in order; `?3` binds the third value, however often it stands there.
      guard let name = sqlite3_bind_parameter_name(compiled, Int32(position + 1)),
        let number = Int(String(cString: name).dropFirst()), number > 0
      else { return position }
      return number - 1
    }
  }

  deinit { sqlite3_finalize(handle) }

  /// Binds, steps to the end and resets. Rows are copied out.
  func run(_ bindings: [SQLValue]) throws(DatabaseError) -> [Row] {
    defer {
      sqlite3_reset(handle)
      sqlite3_clear_bindings(handle)
    }
    try bind(bindings)
    var rows: [Row] = []
    while true {
      switch sqlite3_step(handle) {
      case SQLITE_ROW: rows.append(Row(columns: columns, values: currentValues()))
      case SQLITE_DONE: return rows
      case let code: throw DatabaseError(code, on: database, context: sql)
      }
    }
  }

  private func bind(_ bindings: [SQLValue]) throws(DatabaseError) {
    guard (bindingOf.max() ?? -1) + 1 == bindings.count else {
      throw DatabaseError(
        .misuse,
        message: "\((bindingOf.max() ?? -1) + 1) parameters, but \(bindings.count) values", context: sql)
    }
    for (position, index) in bindingOf.enumerated() {
      let code = bind(bindings[index], at: Int32(position + 1))
      guard code == SQLITE_OK else { throw DatabaseError(code, on: database, context: sql) }
    }
  }

  private func bind(_ value: SQLValue, at position: Int32) -> Int32 {
    // SQLITE_TRANSIENT: SQLite copies the bytes before the call returns.
    let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
    switch value {
    case .null: return sqlite3_bind_null(handle, position)
    case .integer(let integer): return sqlite3_bind_int64(handle, position, integer)
    case .real(let real): return sqlite3_bind_double(handle, position, real)
    case .text(let text):
      var text = text
      return text.withUTF8 { bytes in
        // A null pointer would bind NULL, so the empty text has one of its own.
        guard let start = bytes.baseAddress else {
          return sqlite3_bind_text(handle, position, "", 0, transient)
        }
        return sqlite3_bind_text64(
          handle, position, UnsafeRawPointer(start).assumingMemoryBound(to: CChar.self), UInt64(bytes.count),
          transient, UInt8(SQLITE_UTF8))
      }
    case .blob(let blob):
      guard !blob.isEmpty else { return sqlite3_bind_zeroblob(handle, position, 0) }
      return blob.withUnsafeBytes {
        sqlite3_bind_blob64(handle, position, $0.baseAddress, UInt64($0.count), transient)
      }
    }
  }

  private func currentValues() -> [SQLValue] {
    (0..<sqlite3_column_count(handle)).map { column in
      switch sqlite3_column_type(handle, column) {
      case SQLITE_INTEGER: return .integer(sqlite3_column_int64(handle, column))
      case SQLITE_FLOAT: return .real(sqlite3_column_double(handle, column))
      case SQLITE_TEXT:
        let start = sqlite3_column_text(handle, column)
        let count = Int(sqlite3_column_bytes(handle, column))
        return .text(String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self))
      case SQLITE_BLOB:
        let start = sqlite3_column_blob(handle, column)
        let count = Int(sqlite3_column_bytes(handle, column))
        return .blob([UInt8](UnsafeRawBufferPointer(start: start, count: count)))
      default: return .null
      }
    }
  }
}

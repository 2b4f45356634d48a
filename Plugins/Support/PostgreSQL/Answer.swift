import CPostgreSQL
import SQL

// Unsafe memory: the result is this object's own, and cleared with it; values are copied out.

/// The server's answer to one statement.
final class Answer {
  private let result: LibPQ.Result
  private let library: LibPQ

  init(_ result: LibPQ.Result, _ library: LibPQ) {
    self.result = result
    self.library = library
  }

  deinit { library.clear(result) }

  /// What was done: `COMMIT`, `UPDATE 3`.
  var commandTag: String { library.commandTag(result).map { String(cString: $0) } ?? "" }

  /// What the server refused, or what broke; nil if it is neither.
  func refusal(context: String, password: Secret) -> DatabaseError? {
    switch library.resultStatus(result) {
    case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY: return nil
    default: break
    }
    guard let state = field("C") else {
      // libpq's own: it had no answer.
      return DatabaseError(.connectionLost, message: "the connection has ended", context: context)
    }
    // The detail is left out: it quotes values.
    var message = password.removed(from: field("M") ?? "no reason given")
    if let constraint = field("n"), !message.contains(constraint) { message += " [\(constraint)]" }
    return DatabaseError(.init(sqlState: state, message), code: state, message: message, context: context)
  }

  /// A field of the error, by its code in the protocol.
  private func field(_ code: Unicode.Scalar) -> String? {
    library.errorField(result, CInt(code.value)).map { String(cString: $0) }
  }

  func statementResult() throws(DatabaseError) -> StatementResult {
    let columnCount = library.columnCount(result)
    let columns = Columns(
      (0..<columnCount).map { library.columnName(result, $0).map { String(cString: $0) } ?? "" })
    let types = (0..<columnCount).map { library.columnType(result, $0) }
    var rows: [Row] = []
    for row in 0..<library.rowCount(result) {
      var values: [SQLValue] = []
      for column in 0..<columnCount { values.append(try value(row, column, type: types[Int(column)])) }
      rows.append(Row(columns: columns, values: values))
    }
    // Empty for what changes no rows; the number of rows for a SELECT.
    let count = library.changedRows(result).flatMap { Int(String(cString: $0)) } ?? 0
    return StatementResult(rows: rows, changes: commandTag.hasPrefix("SELECT") ? 0 : count)
  }

  private func value(_ row: CInt, _ column: CInt, type: Oid) throws(DatabaseError) -> SQLValue {
    guard library.isNull(result, row, column) == 0, let start = library.value(result, row, column) else {
      return .null
    }
    if type == TypeNumber.bytea { return .blob(try bytes(start)) }
    let length = Int(library.length(result, row, column))
    let text = start.withMemoryRebound(to: UInt8.self, capacity: length) {
      String(decoding: UnsafeBufferPointer(start: $0, count: length), as: UTF8.self)
    }
    switch type {
    case TypeNumber.bool: return .integer(text == "t" ? 1 : 0)
    case TypeNumber.int2, TypeNumber.int4, TypeNumber.int8:
      return try number(text, Int64.init, SQLValue.integer)
    case TypeNumber.float4, TypeNumber.float8: return try number(text, Double.init, SQLValue.real)
    case TypeNumber.numeric:
      // A sum of integers is a numeric without a fraction.
      if let integer = Int64(text) { return .integer(integer) }
      return try number(text, Double.init, SQLValue.real)
    default: return .text(text)
    }
  }

  private func number<Number>(
    _ text: String, _ parse: (String) -> Number?, _ wrap: (Number) -> SQLValue
  ) throws(DatabaseError) -> SQLValue {
    guard let number = parse(text) else {
      throw DatabaseError(.invalidValue, message: "a number that cannot be read")
    }
    return wrap(number)
  }

  private func bytes(_ text: UnsafeMutablePointer<CChar>) throws(DatabaseError) -> [UInt8] {
    var count = 0
    let decoded = text.withMemoryRebound(to: UInt8.self, capacity: 1) { library.unescapeBytes($0, &count) }
    guard let decoded else { throw DatabaseError(.other, message: "no memory for \(count) bytes") }
    defer { library.freeMemory(decoded) }
    return [UInt8](UnsafeBufferPointer(start: decoded, count: count))
  }
}

extension DatabaseError.Kind {
  /// https://www.postgresql.org/docs/15/errcodes-appendix.html
  fileprivate init(sqlState: String, _ message: String) {
    switch sqlState {
    case "23505", "23P01": self = .uniqueViolation
    case "23514": self = .checkViolation
    case "23503": self = .foreignKeyViolation
    case "23502": self = .notNullViolation
    case "P0001": self = .refusedByTrigger
    case "40001", "40P01": self = .serializationFailure
    // A plan that was made before another program's migration: with a new plan it works.
    case "0A000" where message.contains("cached plan"): self = .serializationFailure
    case "55P03", "57014": self = .busy
    case "57P01", "57P02", "57P04", "57P05", "25P03": self = .connectionLost
    case "57P03": self = .unavailable
    // The server has become a standby: another one takes the writes.
    case "25006": self = .unavailable
    // No memory, no disk, no connection left; and the machine's input and output.
    case _ where sqlState.hasPrefix("53") || sqlState.hasPrefix("58"): self = .unavailable
    case _ where sqlState.hasPrefix("08"): self = .connectionLost
    // Of class 54 what a value can bring about: a row that is too long for an index.
    case _ where sqlState.hasPrefix("22"), "54000": self = .invalidValue
    case _ where sqlState.hasPrefix("42"): self = .misuse
    default: self = .other
    }
  }
}

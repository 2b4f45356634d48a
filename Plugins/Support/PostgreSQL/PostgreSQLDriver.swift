import CPostgreSQL
import Glibc
import SQL

/// One connection to a PostgreSQL server. Statements are prepared once and kept.
final class PostgreSQLDriver: Driver {
  private static let cachedStatements = 256
  /// How much longer than the server a client waits: the server's own refusal says more.
  private static let graceMilliseconds: Int32 = 2000
  /// A migration may wait for another host's, and may take its time.
  private static let migrationMilliseconds: Int32 = 60_000

  /// PostgreSQL prepares a statement for the types of its parameters.
  private struct Key: Hashable {
    let sql: String
    let types: [Oid]
  }

  private let connection: LibPQ.Connection
  private let library: LibPQ
  private let namespace: String
  private let password: Secret
  private let timeoutMilliseconds: Int32
  private var deadlineMilliseconds: Int32
  private var prepared: [Key: String] = [:]
  private var preparedCount = 0
  /// An answer did not come in time, or the connection has ended.
  private var isLost = false

  var dialect: Dialect { .postgreSQL }

  /// - Parameter connection: An open one, which becomes the driver's own.
  init(
    _ connection: LibPQ.Connection, library: LibPQ, namespace: String, timeoutMilliseconds: Int32,
    password: Secret
  ) {
    self.connection = connection
    self.library = library
    self.namespace = namespace
    self.timeoutMilliseconds = timeoutMilliseconds
    self.password = password
    deadlineMilliseconds = timeoutMilliseconds + Self.graceMilliseconds
    // Notices would go to standard error.
    _ = library.setNoticeProcessor(connection, { _, _ in }, nil)
  }

  deinit { library.finish(connection) }

  /// Sets what the session is to be like: its schema, and how long a statement and an abandoned transaction may last.
  func prepareSession() throws(DatabaseError) {
    guard library.setNonblocking(connection, 1) == 0 else { throw lost("the socket cannot be set up") }
    try checkEncoding()
    try execute(
      """
      SET search_path TO \(namespace);
      SET statement_timeout = \(timeoutMilliseconds);
      SET idle_in_transaction_session_timeout = \(Self.migrationMilliseconds);
      SET standard_conforming_strings = on;
      SET bytea_output = hex;
      SET client_min_messages = warning
      """)
  }

  /// Of a database in Latin 2, say, half of what clients write would be refused, one request at a time. SQL_ASCII keeps
  /// the bytes as they are.
  private func checkEncoding() throws(DatabaseError) {
    let encoding = library.parameterStatus(connection, "server_encoding").map { String(cString: $0) } ?? "?"
    guard ["UTF8", "SQL_ASCII"].contains(encoding) else {
      throw DatabaseError(
        .other,
        message: "the database's encoding is \(encoding), and must be UTF8: CREATE DATABASE … ENCODING 'UTF8'"
      )
    }
  }

  func run(_ sql: String, _ bindings: [SQLValue]) throws(DatabaseError) -> StatementResult {
    let parameters = try Parameters(bindings)
    let key = Key(sql: sql, types: parameters.types)
    let name: String
    if let known = prepared[key] { name = known } else { name = try prepare(key) }
    let sent = parameters.withPointers { count, values, lengths, formats in
      library.sendPrepared(connection, name, count, values, lengths, formats, 0)
    }
    guard sent == 1 else { throw lost("the statement cannot be sent", context: sql) }
    do throws(DatabaseError) {
      return try answer(context: sql).statementResult()
    } catch {
      // Its table has changed, or it was dropped behind our back: the next run prepares it anew.
      if error.code == "0A000" || error.code == "26000" { prepared[key] = nil }
      throw error
    }
  }

  func execute(_ script: String) throws(DatabaseError) { try perform(script) }

  func begin(_ mode: TransactionMode) throws(DatabaseError) {
    switch mode {
    case .snapshot: try perform("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    case .write: try perform("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
    case .serializable: try perform("BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE")
    }
  }

  /// After a statement that failed, the server answers COMMIT with a rollback, and calls that a success.
  func commit() throws(DatabaseError) {
    let tag = try perform("COMMIT")
    guard tag == "COMMIT" else {
      throw DatabaseError(
        .misuse, message: "the transaction was rolled back: a statement in it had failed", context: "COMMIT")
    }
  }

  func rollBack() throws(DatabaseError) { try perform("ROLLBACK") }

  var isInTransaction: Bool {
    guard !isLost else { return false }
    switch library.transactionStatus(connection) {
    case PQTRANS_ACTIVE, PQTRANS_INTRANS, PQTRANS_INERROR: return true
    default: return false
    }
  }

  func isUsable() -> Bool {
    guard !isLost else { return false }
    // The server says goodbye before it closes: what it said is read first, and then the end.
    for _ in 0..<4 {
      guard library.consumeInput(connection) == 1, library.status(connection) == CONNECTION_OK else {
        return false
      }
      guard wait(for: POLLIN, until: 0) else { break }
    }
    return library.transactionStatus(connection) == PQTRANS_IDLE
  }

  func beginMigration() throws(DatabaseError) {
    deadlineMilliseconds = Self.migrationMilliseconds + Self.graceMilliseconds
    try perform("SET LOCAL statement_timeout = \(Self.migrationMilliseconds)")
    // Held to the end of the transaction. Each namespace has a lock of its own.
    _ = try run("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", [.text("migrate \(namespace)")])
    try perform("CREATE SCHEMA IF NOT EXISTS \(namespace)")
  }

  func schemaVersion() throws(DatabaseError) -> Int {
    let table = try run("SELECT to_regclass('schema_version')::text", []).rows.first?[0].textValue
    guard table != nil else { return 0 }
    return Int(try run("SELECT version FROM schema_version", []).rows.first?[0].integerValue ?? 0)
  }

  func setSchemaVersion(_ version: Int) throws(DatabaseError) {
    try perform(
      """
      CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL);
      DELETE FROM schema_version;
      INSERT INTO schema_version VALUES (\(version))
      """)
    deadlineMilliseconds = timeoutMilliseconds + Self.graceMilliseconds
  }

  func schemaObjects() throws(DatabaseError) -> Set<String> {
    Set(
      try run(
        """
        SELECT relname::text FROM pg_class WHERE relnamespace = to_regnamespace($1)
        UNION ALL SELECT tgname::text FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
          WHERE relnamespace = to_regnamespace($1) AND tgenabled NOT IN ('D', 'R')
        """, [.text(namespace)]
      ).rows.compactMap { $0[0].textValue })
  }

  // MARK: - Sending and waiting

  private func prepare(_ key: Key) throws(DatabaseError) -> String {
    if prepared.count >= Self.cachedStatements {
      prepared.removeAll(keepingCapacity: true)
      try perform("DEALLOCATE ALL")
    }
    preparedCount += 1
    let name = "s\(preparedCount)"
    let sent = library.sendPrepare(
      connection, name, dialect.statement(key.sql), CInt(key.types.count), key.types)
    guard sent == 1 else { throw lost("the statement cannot be sent", context: key.sql) }
    _ = try answer(context: key.sql)
    prepared[key] = name
    return name
  }

  /// Runs statements without parameters.
  /// - Returns: What the last did: `COMMIT`.
  @discardableResult
  private func perform(_ script: String) throws(DatabaseError) -> String {
    guard library.sendScript(connection, script) == 1 else {
      throw lost("the statement cannot be sent", context: script)
    }
    return try answer(context: script).commandTag
  }

  /// Waits for the answer to what was sent, and takes all of it.
  /// - Throws: The first error in it; `connectionLost` if it does not come in time.
  private func answer(context: String) throws(DatabaseError) -> Answer {
    let deadline = milliseconds() + Int64(deadlineMilliseconds)
    while true {
      let pending = library.flush(connection)
      if pending == 0 { break }
      guard pending == 1, wait(for: POLLIN | POLLOUT, until: deadline),
        library.consumeInput(connection) == 1
      else { throw lost("the statement cannot be sent", context: context) }
    }
    var last: Answer?
    var refusal: DatabaseError?
    while true {
      while library.isBusy(connection) == 1 {
        guard wait(for: POLLIN, until: deadline) else {
          throw lost("no answer came within \(deadlineMilliseconds) ms", context: context)
        }
        guard library.consumeInput(connection) == 1 else { throw lost(nil, context: context) }
      }
      guard let result = library.nextResult(connection) else { break }
      let answer = Answer(result, library)
      refusal = refusal ?? answer.refusal(context: context, password: password)
      last = answer
    }
    if let refusal {
      // What is unavailable here may be available on the server that the next connection finds.
      isLost =
        refusal.kind == .connectionLost || refusal.kind == .unavailable
        || library.status(connection) != CONNECTION_OK
      throw refusal
    }
    guard let last else { throw lost(nil, context: context) }
    return last
  }

  /// Waits for the socket.
  /// - Parameter deadline: By `milliseconds()`; one that has passed only looks.
  /// - Returns: False if the time is up.
  private func wait(for events: Int32, until deadline: Int64) -> Bool {
    var descriptor = pollfd(fd: library.socket(connection), events: Int16(events), revents: 0)
    while true {
      let left = max(0, min(deadline - milliseconds(), Int64(Int32.max)))
      let ready = poll(&descriptor, 1, Int32(left))
      if ready < 0, errno == EINTR { continue }
      return ready > 0
    }
  }

  /// The connection is of no use any more.
  /// - Parameter reason: nil: what libpq says.
  private func lost(_ reason: String?, context: String = "") -> DatabaseError {
    isLost = true
    let said = library.errorMessage(connection).map { password.removed(from: String(cString: $0)) } ?? ""
    let message = [reason, said].compactMap { $0 }.filter { !$0.isEmpty }.joined(separator: ": ")
    return DatabaseError(
      .connectionLost, message: message.isEmpty ? "the connection has ended" : message, context: context)
  }
}

/// The time of the monotonic clock, which no one can set.
func milliseconds() -> Int64 {
  var now = timespec()
  clock_gettime(CLOCK_MONOTONIC, &now)
  return Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec) / 1_000_000
}

import CSQLite
import Glibc

/// Connections to one database for the threads of a server. Any thread.
///
/// A connection is one thread's from `withConnection`'s call to its return. Writers of one process queue up for their
/// turn in `transaction`, since SQLite's own waiting is by sleeping and can starve a writer.
public final class ConnectionPool: Sendable {
  /// Never handed to two threads: it is taken out of `idle` under the lock, and put back after use.
  private struct Lent: @unchecked Sendable { let database: Database }

  private struct State: Sendable {
    var idle: [Lent] = []
    var open = 0
    var isWriting = false
  }

  private let path: String
  private let size: Int
  private let synchronous: Database.Synchronous
  private let timeoutMilliseconds: Int32
  private let state = Monitor(State())

  /// Opens the first connection, so that a wrong path is known at once; the others when they are needed.
  /// - Parameters:
  ///   - path: A file. `:memory:` would be a database of its own for each connection, and is refused.
  ///   - size: The most connections open at a time, at least 1.
  ///   - synchronous: See `Database.Synchronous`.
  ///   - timeoutMilliseconds: How long to wait for a free connection, for the write turn, and for another process.
  /// - Throws: `SQLiteError`.
  public init(
    path: String, size: Int, synchronous: Database.Synchronous = .full, timeoutMilliseconds: Int32 = 5000
  ) throws(SQLiteError) {
    guard path != ":memory:", size > 0 else {
      throw SQLiteError(
        extendedCode: SQLITE_MISUSE, message: "a pool needs a file and at least one connection")
    }
    self.path = path
    self.size = size
    self.synchronous = synchronous
    self.timeoutMilliseconds = timeoutMilliseconds
    let first = Lent(database: try open())
    state.update {
      $0.open = 1
      $0.idle.append(first)
    }
  }

  /// Lends a connection to `body`, which must not keep it, nor ask the pool for another.
  /// - Throws: What `body` throws; `SQLiteError`, `isBusy` if none became free in time.
  public func withConnection<R>(_ body: (Database) throws -> R) throws -> R {
    let lent = try take()
    defer { giveBack(lent) }
    return try body(lent.database)
  }

  /// Lends a connection within a write transaction (BEGIN IMMEDIATE); committed when `body` returns, rolled back if
  /// it throws. Throws as `withConnection(_:)`.
  public func transaction<R>(_ body: (Database) throws -> R) throws -> R {
    try state.wait(
      milliseconds: timeoutMilliseconds, until: { !$0.isWriting }, then: { $0.isWriting = true },
      orThrow: busy("the write turn did not come in time"))
    defer { state.update { $0.isWriting = false } }
    return try withConnection { database in try database.transaction { try body(database) } }
  }

  private func take() throws -> Lent {
    let lent: Lent? = try state.wait(
      milliseconds: timeoutMilliseconds, until: { [size] in !$0.idle.isEmpty || $0.open < size },
      then: { state in
        if let lent = state.idle.popLast() { return lent }
        state.open += 1
        return nil
      },
      orThrow: busy("no connection became free in time"))
    if let lent { return lent }
    do {
      return Lent(database: try open())
    } catch {
      state.update { $0.open -= 1 }
      throw error
    }
  }

  private func giveBack(_ lent: Lent) {
    // One that is left in a transaction would hold its lock for ever: it is closed instead.
    let isClean = !lent.database.isInTransaction
    state.update { state in
      if isClean { state.idle.append(lent) } else { state.open -= 1 }
    }
  }

  private func open() throws(SQLiteError) -> Database {
    try Database(path: path, synchronous: synchronous, busyTimeoutMilliseconds: timeoutMilliseconds)
  }

  private func busy(_ message: String) -> SQLiteError {
    SQLiteError(extendedCode: SQLITE_BUSY, message: message)
  }
}

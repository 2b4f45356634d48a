import Glibc

/// Connections to one database for the threads of a server. Any thread.
///
/// A connection is one thread's from `withConnection`'s call to its return. One that has ended, since its server has,
/// is replaced before it is lent again; a statement that was under way then is the caller's error, and never repeated.
/// On SQLite writers of one process queue up for their turn in `transaction`, since SQLite's own waiting is by
/// sleeping and can starve a writer.
public final class ConnectionPool: Sendable {
  /// Never handed to two threads: it is taken out of `idle` under the lock, and put back after use.
  private struct Lent: @unchecked Sendable { let connection: Connection }

  private struct State: Sendable {
    var idle: [Lent] = []
    var open = 0
    var isWriting = false
    /// The schema is up to date.
    var isMigrated = false
  }

  /// How often a transaction runs that others get in the way of.
  private static let attempts = 10

  private let engine: any Engine
  private let size: Int
  private let timeoutMilliseconds: Int32
  private let migrations: [Script]
  private let readableFrom: Int?
  private let state = Monitor(State())

  /// Why the database was away when the pool was made; nil: it was there.
  public let awayAtStart: DatabaseError?

  /// Opens the first connection, so that a wrong address is known at once, and migrates the database; the other
  /// connections when they are needed.
  ///
  /// A server that is away is no error: what needs it would not start without it, nor start by itself once it is back.
  /// `awayAtStart` says so, whoever asks for a connection is told, and the first that is made migrates.
  /// - Parameters:
  ///   - size: The most connections open at a time, at least 1.
  ///   - timeoutMilliseconds: How long to wait for a free connection, and for the write turn.
  ///   - migrations: As `Migrations.apply(_:to:readableFrom:)`; none: the caller sees to the schema.
  /// - Throws: `DatabaseError`; also if the server is there, and does not let this program in.
  public init(
    _ engine: any Engine, size: Int, timeoutMilliseconds: Int32 = 5000, migrations: [Script] = [],
    readableFrom: Int? = nil
  ) throws {
    guard size > 0 else { throw DatabaseError(.misuse, message: "a pool has at least one connection") }
    self.engine = engine
    self.size = size
    self.timeoutMilliseconds = timeoutMilliseconds
    self.migrations = migrations
    self.readableFrom = readableFrom
    var away: DatabaseError?
    do {
      let first = try Self.connect(engine, migrations, readableFrom)
      state.update {
        $0.open = 1
        $0.idle.append(first)
        $0.isMigrated = true
      }
    } catch let error as DatabaseError where error.isTemporary && engine.isAway() {
      away = error
    }
    awayAtStart = away
  }

  public var dialect: Dialect { engine.dialect }

  /// Lends a connection to `body`, which must not keep it, nor ask the pool for another.
  /// - Throws: What `body` throws; `DatabaseError`, `busy` if none became free in time, `unavailable` if none could be
  ///   made.
  public func withConnection<R>(_ body: (Connection) throws -> R) throws -> R {
    let lent = try take()
    defer { giveBack(lent) }
    return try body(lent.connection)
  }

  /// Lends a connection within a transaction; committed when `body` returns, rolled back if it throws.
  ///
  /// `body` runs again, up to ten times, if the database rolled it back for another transaction's sake: what it does
  /// outside of the database must bear being done twice.
  /// - Parameter mode: `write`, or `serializable`.
  /// - Throws: As `withConnection(_:)`; `serializationFailure` if others got in the way each time.
  public func transaction<R>(_ mode: TransactionMode = .write, _ body: (Connection) throws -> R) throws -> R {
    guard dialect == .sqlite else { return try retrying(mode, body) }
    try state.wait(
      milliseconds: timeoutMilliseconds, until: { !$0.isWriting }, then: { $0.isWriting = true },
      orThrow: busy("the write turn did not come in time"))
    defer { state.update { $0.isWriting = false } }
    return try withConnection { connection in try connection.transaction(mode) { try body(connection) } }
  }

  /// Lends a connection on one unchanging state of the database, as `Connection.snapshot(_:)`.
  /// - Throws: As `withConnection(_:)`.
  public func snapshot<R>(_ body: (Connection) throws -> R) throws -> R { try retrying(.snapshot, body) }

  private func retrying<R>(_ mode: TransactionMode, _ body: (Connection) throws -> R) throws -> R {
    var attempt = 1
    while true {
      do {
        return try withConnection { connection in try connection.transaction(mode) { try body(connection) } }
      } catch let error as DatabaseError where error.kind == .serializationFailure && attempt < Self.attempts
      {
        // Apart from one another, or they meet again: up to 1 ms, 2 ms, 4 ms, … 256 ms.
        usleep(.random(in: 0..<(1000 << UInt32(attempt - 1))))
        attempt += 1
      }
    }
  }

  private func take() throws -> Lent {
    while true {
      let lent: Lent? = try state.wait(
        milliseconds: timeoutMilliseconds, until: { [size] in !$0.idle.isEmpty || $0.open < size },
        then: { state in
          if let lent = state.idle.popLast() { return lent }
          state.open += 1
          return nil
        },
        orThrow: busy("no connection became free in time"))
      guard let lent else { break }
      if lent.connection.isUsable() { return lent }
      state.update { $0.open -= 1 }
    }
    do {
      return try connect()
    } catch {
      state.update { $0.open -= 1 }
      return try takeOther(insteadOf: error)
    }
  }

  /// One of those that are open has to do: a process that is out of descriptors has its database all the same. That a
  /// server is away is not waited for.
  private func takeOther(insteadOf error: any Error) throws -> Lent {
    guard dialect == .sqlite, let reason = error as? DatabaseError, reason.isTemporary,
      state.update({ $0.open > 0 })
    else { throw error }
    let lent = try state.wait(
      milliseconds: timeoutMilliseconds, until: { !$0.idle.isEmpty }, then: { $0.idle.removeLast() },
      orThrow: reason)
    guard lent.connection.isUsable() else {
      state.update { $0.open -= 1 }
      throw error
    }
    return lent
  }

  private func connect() throws -> Lent {
    if state.update({ $0.isMigrated }) { return Lent(connection: Connection(try engine.connect())) }
    // Several threads may come here at once: the database has each script run once all the same.
    let lent = try Self.connect(engine, migrations, readableFrom)
    state.update { $0.isMigrated = true }
    return lent
  }

  /// A connection to a database that is up to date.
  private static func connect(_ engine: any Engine, _ migrations: [Script], _ readableFrom: Int?) throws
    -> Lent
  {
    let connection = Connection(try engine.connect())
    if !migrations.isEmpty {
      try Migrations.apply(migrations, to: connection, readableFrom: readableFrom)
    }
    return Lent(connection: connection)
  }

  private func giveBack(_ lent: Lent) {
    // One that is left in a transaction would hold its locks for ever: it is closed instead.
    let isUsable = lent.connection.isUsable()
    state.update { state in
      if isUsable { state.idle.append(lent) } else { state.open -= 1 }
    }
  }

  private func busy(_ message: String) -> DatabaseError { DatabaseError(.busy, message: message) }
}

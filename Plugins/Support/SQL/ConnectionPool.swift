import Glibc

/// Connections to one database for the threads of a server. Any thread.
///
/// A connection is one thread's from `withConnection`'s call to its return. One that has ended, since its server has,
/// is replaced before it is lent again; a statement that was under way then is the caller's error, and never repeated.
/// While the database is away one connection is tried at a time, and all who ask meanwhile hear of its outcome.
/// On SQLite writers of one process queue up for their turn in `transaction`, since SQLite's own waiting is by
/// sleeping and can starve a writer.
public final class ConnectionPool: Sendable {
  /// How often a transaction runs that others get in the way of.
  private static let attempts = 10
  /// How long a database may take to be there when a pool is made.
  private static let patienceMilliseconds: Int32 = 2500

  private let source: ConnectionSource
  private let timeoutMilliseconds: Int32

  /// Why the database was away when the pool was made; nil: it was there.
  public let awayAtStart: DatabaseError?

  /// Opens the first connection, so that a wrong address is known at once, and migrates the database; the other
  /// connections when they are needed. Takes 2.5 s at most, or on SQLite `timeoutMilliseconds`.
  ///
  /// A database that is away (`DatabaseError.isAway`) is no error: what needs it would not start without it, nor start by
  /// itself once it is back. `awayAtStart` says so, whoever asks for a connection is told, and the first that is made
  /// migrates.
  /// - Parameters:
  ///   - size: The most connections open at a time, at least 1.
  ///   - timeoutMilliseconds: How long to wait for a free connection, and for the write turn.
  ///   - migrations: As `Migrations.apply(_:to:readableFrom:)`; none: the caller sees to the schema.
  ///   - away: Why the database is known to be away, by another pool: it is not waited for again.
  /// - Throws: `DatabaseError`; also if the server is there, and does not let this program in.
  public init(
    _ engine: any Engine, size: Int, timeoutMilliseconds: Int32 = 5000, migrations: [Script] = [],
    readableFrom: Int? = nil, away: DatabaseError? = nil
  ) throws {
    guard size > 0 else { throw DatabaseError(.misuse, message: "a pool has at least one connection") }
    self.timeoutMilliseconds = timeoutMilliseconds
    source = ConnectionSource(engine, size: size, migrations: migrations, readableFrom: readableFrom)
    var reason = away
    if away == nil {
      do {
        source.giveBack(try source.take(within: Self.patienceMilliseconds))
      } catch let error as DatabaseError where error.isAway {
        reason = error
      }
    }
    awayAtStart = reason
  }

  public var dialect: Dialect { source.dialect }

  /// Lends a connection to `body`, which must not keep it, nor ask the pool for another.
  /// - Throws: What `body` throws; `DatabaseError`, `busy` if none became free in time, `unavailable` or `unusable` if none
  ///   could be made.
  public func withConnection<R>(_ body: (Connection) throws -> R) throws -> R {
    let lent = try source.take(within: timeoutMilliseconds)
    defer { source.giveBack(lent) }
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
    try source.beginWriting(within: timeoutMilliseconds)
    defer { source.endWriting() }
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
}

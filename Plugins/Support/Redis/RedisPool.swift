import Glibc

/// Connections that are ready before they are asked for, and a circuit that opens when one fails.
///
/// Whoever asks never waits for a connection: there is one, or Redis is away and that is said at once. A command that
/// fails closes them all, since what stopped one stops the next. A thread of the pool's own then connects anew, with
/// back-off, and while all is well sends a PING now and then: so an idle connection is not closed as such, and a Redis
/// that has gone is mostly found out before a request is.
public final class RedisPool: Sendable {
  /// What an operator is told.
  public enum Change: Sendable {
    case connected
    case away(RedisError)
  }

  private let keeper: Keeper

  /// - Parameters:
  ///   - count: how many threads may hold a connection at once; from 1.
  ///   - timeout: for each command.
  ///   - prepare: run on each new connection; its errors count as those of the connection.
  ///   - onChange: called when Redis is found or lost; never twice for the same, and never after `stop`. It must be
  ///     short, and must not call the pool.
  public init(
    _ address: RedisAddress, through library: Hiredis, connections count: Int, timeout: Duration,
    prepare: @escaping @Sendable (RedisConnection) throws(RedisError) -> Void,
    onChange: @escaping @Sendable (Change) -> Void
  ) {
    let connect: @Sendable () throws(RedisError) -> RedisConnection = { () throws(RedisError) in
      let connection = try RedisConnection(
        to: address, through: library, connectTimeout: Keeper.connectTimeout, timeout: timeout)
      try prepare(connection)
      return connection
    }
    // One more: the thread that sends PING holds one meanwhile.
    keeper = Keeper(count: count + 1, connect: connect, onChange: onChange)
  }

  /// Starts the thread, and waits until it has connected or failed once, but not for longer than `limit`.
  ///
  /// - Throws: `RedisError.system` if no thread can be made.
  public func start(waiting limit: Duration) throws(RedisError) { try keeper.start(waiting: limit) }

  /// Closes the connections, and ends the thread.
  public func stop() { keeper.stop() }

  public var isConnected: Bool { keeper.isConnected }

  /// Runs `body` with a connection of its own. Never waits.
  ///
  /// - Throws: `RedisError.away` if Redis was away when asked; else what `body` throws, and then Redis is away.
  public func withConnection<Value>(
    _ body: (RedisConnection) throws(RedisError) -> Value
  ) throws(RedisError) -> Value {
    guard let (connection, epoch) = keeper.take() else { throw .away }
    do throws(RedisError) {
      let value = try body(connection)
      keeper.giveBack(connection, epoch)
      return value
    } catch {
      keeper.fail(error, epoch)
      throw error
    }
  }
}

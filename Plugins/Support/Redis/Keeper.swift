import Glibc

// Unsafe memory: mutex and condition live from init to deinit, and the thread retains this object. `state` is read
// and written with the mutex held only. Nothing that can block is done with it held, and nothing is reported: an event
// loop that asks for a connection must not wait for a line to be written.

/// The pool's connections, and the thread that keeps them.
final class Keeper: @unchecked Sendable {
  static let connectTimeout = Duration.milliseconds(500)
  private static let pingInterval = Duration.seconds(1)
  private static let firstDelay = Duration.milliseconds(50)
  private static let lastDelay = Duration.seconds(1)
  /// A report is a line in a log.
  private static let reportTime = Duration.seconds(5)
  /// Connected for so long, a loss is a new one, and back-off begins anew.
  private static let stableTime = Duration.seconds(10)

  private enum Phase { case unknown, connected, away }

  private struct State {
    var phase = Phase.unknown
    /// Why it is away.
    var error = RedisError.away
    /// What was reported last.
    var reported = Phase.unknown
    var isReporting = false
    var idle: [RedisConnection] = []
    /// Of the connections that are in use: those of an earlier one are closed when given back.
    var epoch = 0
    var isStopping = false
    var connectedAt: UInt64 = 0
    var delay = Duration.zero
  }

  private let count: Int
  private let connect: @Sendable () throws(RedisError) -> RedisConnection
  private let onChange: @Sendable (RedisPool.Change) -> Void
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var state = State()

  init(
    count: Int, connect: @escaping @Sendable () throws(RedisError) -> RedisConnection,
    onChange: @escaping @Sendable (RedisPool.Change) -> Void
  ) {
    self.count = count
    self.connect = connect
    self.onChange = onChange
    pthread_mutex_init(mutex, nil)
    var attributes = pthread_condattr_t()
    pthread_condattr_init(&attributes)
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    pthread_cond_init(changed, &attributes)
    pthread_condattr_destroy(&attributes)
  }

  deinit {
    pthread_cond_destroy(changed)
    pthread_mutex_destroy(mutex)
    changed.deallocate()
    mutex.deallocate()
  }

  func start(waiting limit: Duration) throws(RedisError) {
    var thread = pthread_t()
    let code = pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        Unmanaged<Keeper>.fromOpaque(argument).takeRetainedValue().run()
        return nil
      }, Unmanaged.passRetained(self).toOpaque())
    guard code == 0 else {
      Unmanaged.passUnretained(self).release()
      throw .system(call: "pthread_create", code: code)
    }
    pthread_detach(thread)
    wait(for: limit) { $0.reported != .unknown && !$0.isReporting }
    // Said now, and not when the first attempt ends at last: requests are about to come.
    lose(.timedOut(limit)) { $0.phase == .unknown }
    report()
  }

  /// The thread may be in the middle of an attempt, and ends after it; `onChange` is not called any more.
  func stop() {
    let closed = withLock { state in
      state.isStopping = true
      state.phase = .away
      state.epoch += 1
      defer { state.idle = [] }
      return state.idle
    }
    _ = closed
    wait(for: Self.reportTime) { !$0.isReporting }
  }

  var isConnected: Bool { withLock { $0.phase == .connected } }

  // MARK: Connections

  func take() -> (RedisConnection, epoch: Int)? {
    lock { state in state.idle.popLast().map { ($0, state.epoch) } }
  }

  func giveBack(_ connection: RedisConnection, _ epoch: Int) {
    lock { state in if state.epoch == epoch { state.idle.append(connection) } }
  }

  /// A connection of `epoch` has failed.
  func fail(_ error: RedisError, _ epoch: Int) { lose(error) { $0.epoch == epoch && !$0.isStopping } }

  /// Away from now on, if `condition` holds.
  private func lose(_ error: RedisError, if condition: (State) -> Bool) {
    let closed = withLock { state -> [RedisConnection] in
      guard condition(state) else { return [] }
      let isStable = Deadline.now - state.connectedAt > Self.stableTime.nanoseconds
      if state.phase == .connected, isStable { state.delay = .zero }
      state.phase = .away
      state.error = error
      state.epoch += 1
      defer { state.idle = [] }
      return state.idle
    }
    // Here, without the lock, they are closed.
    _ = closed
  }

  // MARK: The thread

  private func run() {
    while true {
      report()
      let (phase, delay, isStopping) = lock { ($0.phase, $0.delay, $0.isStopping) }
      if isStopping { return }
      if phase == .connected {
        wait(for: Self.pingInterval) { $0.isStopping || $0.phase != .connected }
        ping()
      } else {
        wait(for: delay) { $0.isStopping }
        reconnect()
      }
    }
  }

  /// Reports the phase, if it is another than was reported last. By this thread alone, but for the start, so in order.
  private func report() {
    let change = lock { state -> RedisPool.Change? in
      guard !state.isStopping, !state.isReporting, state.reported != state.phase else { return nil }
      state.reported = state.phase
      state.isReporting = true
      return state.phase == .connected ? .connected : .away(state.error)
    }
    guard let change else { return }
    onChange(change)
    withLock { $0.isReporting = false }
  }

  /// On the connection that has been idle for longest.
  private func ping() {
    let taken = lock { state in
      state.idle.count == self.count ? (state.idle.removeFirst(), state.epoch) : nil
    }
    guard let (connection, epoch) = taken else { return }
    do throws(RedisError) {
      _ = try connection.send(RedisCommand("PING"))
      lock { state in if state.epoch == epoch { state.idle.append(connection) } }
    } catch {
      fail(error, epoch)
    }
  }

  private func reconnect() {
    if lock({ $0.isStopping }) { return }
    do throws(RedisError) {
      var connections: [RedisConnection] = []
      for _ in 0..<count { connections.append(try connect()) }
      withLock { state in
        guard !state.isStopping else { return }
        state.idle = connections
        state.phase = .connected
        state.connectedAt = Deadline.now
        state.delay = min(max(state.delay * 2, Self.firstDelay), Self.lastDelay)
      }
    } catch {
      lose(error) { $0.phase == .unknown && !$0.isStopping }
      lock { $0.delay = min(max($0.delay * 2, Self.firstDelay), Self.lastDelay) }
    }
  }

  // MARK: Locking

  private func lock<Value>(_ body: (inout State) -> Value) -> Value {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return body(&state)
  }

  /// The same, and wakes who waits.
  private func withLock<Value>(_ body: (inout State) -> Value) -> Value {
    pthread_mutex_lock(mutex)
    defer {
      pthread_cond_broadcast(changed)
      pthread_mutex_unlock(mutex)
    }
    return body(&state)
  }

  private func wait(for limit: Duration, until condition: (State) -> Bool) {
    let end = Deadline.now + limit.nanoseconds
    var deadline = timespec(tv_sec: Int(end / 1_000_000_000), tv_nsec: Int(end % 1_000_000_000))
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while !condition(state) {
      if pthread_cond_timedwait(changed, mutex, &deadline) == ETIMEDOUT { return }
    }
  }
}

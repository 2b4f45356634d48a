import Glibc

/// A pool's connections: those that are there, and those that are being made. Any thread.
///
/// Who asks waits for a connection that becomes free, or for the outcome of an attempt to make one. A remote database's are
/// made on threads of their own: how long that takes is in the hands of a resolver and a network.
final class ConnectionSource: Sendable {
  /// Never handed to two threads: it is taken out of `idle` under the lock, and put back after use.
  struct Lent: @unchecked Sendable { let connection: Connection }

  private struct State: Sendable {
    var idle: [Lent] = []
    /// The number of connections that are lent, idle or being made.
    var open = 0
    /// The number of connections that are being made.
    var attempts = 0
    /// The number of callers that wait for a connection.
    var waiting = 0
    /// Why the latest attempt failed, or is late; nil once one has succeeded.
    var failure: (any Error)?
    /// How many attempts have begun, by which they are numbered from 1.
    var begun = 0
    /// The latest attempt that has failed; 0 for none.
    var lastFailed = 0
    var isWriting = false
    /// The schema is up to date.
    var isMigrated = false
  }

  /// What a caller is told.
  private enum Turn {
    case lent(Lent)
    /// The caller makes one: the attempt of this number.
    case connect(attempt: Int)
    case failed(any Error)
  }

  private let engine: any Engine
  private let size: Int
  private let migrations: [Script]
  private let readableFrom: Int?
  private let state = Monitor(State())

  init(_ engine: any Engine, size: Int, migrations: [Script], readableFrom: Int?) {
    self.engine = engine
    self.size = size
    self.migrations = migrations
    self.readableFrom = readableFrom
  }

  var dialect: Dialect { engine.dialect }

  // MARK: Lending

  /// - Throws: why no connection could be made; `busy` if all were lent for so long, `unavailable` if making one took longer.
  func take(within milliseconds: Int32) throws -> Lent {
    let deadline = Deadline(milliseconds)
    var known = state.update { state in
      state.waiting += 1
      return state.begun
    }
    defer { state.update { $0.waiting -= 1 } }
    /// Why another one's connection has to do.
    var reason: (any Error)?
    while true {
      let turn = state.wait(milliseconds: deadline.left) {
        reason == nil ? self.turn(&$0, known) : self.turnWithoutMore(&$0)
      }
      switch turn {
      case .lent(let lent):
        if lent.connection.isUsable() { return lent }
        state.update { $0.open -= 1 }
      case .connect(let attempt): begin(attempt)
      case .failed(let error):
        guard reason == nil, makesDo(without: error) else { throw reason ?? error }
        reason = error
        known = state.update { $0.begun }
      case nil: throw reason ?? late()
      }
    }
  }

  func giveBack(_ lent: Lent) {
    // One that is left in a transaction would hold its locks for ever: it is closed instead.
    let isUsable = lent.connection.isUsable()
    state.update { state in
      if isUsable { state.idle.append(lent) } else { state.open -= 1 }
    }
  }

  /// - Parameter known: how many attempts had begun when the caller began to wait. Their failures tell nothing: the database
  ///   may have come back since.
  private func turn(_ state: inout State, _ known: Int) -> Turn? {
    if let lent = state.idle.popLast() { return .lent(lent) }
    if state.lastFailed > known, let failure = state.failure { return .failed(failure) }
    // One for each who waits; and while the database is away, one that tells all.
    guard state.open < size, state.attempts < (state.failure == nil ? state.waiting : 1) else { return nil }
    state.open += 1
    state.attempts += 1
    state.begun += 1
    return .connect(attempt: state.begun)
  }

  /// Where no more can be made.
  private func turnWithoutMore(_ state: inout State) -> Turn? {
    if let lent = state.idle.popLast() { return .lent(lent) }
    guard state.open == state.attempts, let failure = state.failure else { return nil }
    return .failed(failure)
  }

  /// One of those that are open has to do: a process that is out of descriptors has its SQLite database all the same, and
  /// one that finds no free slot at its server those that it has. That a server is away is not waited for.
  private func makesDo(without error: any Error) -> Bool {
    guard let error = error as? DatabaseError else { return false }
    let isLimit = dialect == .sqlite ? error.isTemporary : error.isOutOfConnections
    return isLimit && state.update { $0.open > $0.attempts }
  }

  /// An attempt that takes so long counts as failed until it succeeds: nobody begins another beside it.
  private func late() -> any Error {
    state.update { state in
      guard state.attempts > 0 else {
        return DatabaseError(.busy, message: "no connection became free in time")
      }
      let failure =
        state.failure ?? DatabaseError(.unavailable, message: "the database gave no connection in time")
      state.failure = failure
      return failure
    }
  }

  // MARK: The write turn

  func beginWriting(within milliseconds: Int32) throws(DatabaseError) {
    let hasTurn: Void? = state.wait(milliseconds: milliseconds) { state in
      guard !state.isWriting else { return nil }
      state.isWriting = true
      return ()
    }
    guard hasTurn != nil else {
      throw DatabaseError(.busy, message: "the write turn did not come in time")
    }
  }

  func endWriting() { state.update { $0.isWriting = false } }

  // MARK: Connecting

  private func begin(_ number: Int) {
    guard engine.isRemote else { return attempt(number) }
    let code = BackgroundThread.start { self.attempt(number) }
    guard code != 0 else { return }
    let message = "no thread to connect on: \(String(cString: strerror(code)))"
    note(DatabaseError(.unavailable, message: message), of: number)
  }

  private func attempt(_ number: Int) {
    do {
      let lent = try connect()
      state.update { state in
        state.attempts -= 1
        state.idle.append(lent)
        state.isMigrated = true
        state.failure = nil
      }
    } catch {
      note(error, of: number)
    }
  }

  private func note(_ failure: any Error, of attempt: Int) {
    state.update { state in
      state.attempts -= 1
      state.open -= 1
      state.lastFailed = max(state.lastFailed, attempt)
      state.failure = failure
    }
  }

  /// A connection to a database that is up to date. Several threads may come here at once: the database has each script run
  /// once all the same.
  private func connect() throws -> Lent {
    let connection = Connection(try engine.connect())
    if !migrations.isEmpty, !state.update({ $0.isMigrated }) {
      try Migrations.apply(migrations, to: connection, readableFrom: readableFrom)
    }
    return Lent(connection: connection)
  }
}

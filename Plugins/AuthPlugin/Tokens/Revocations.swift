import PluginAPI
import SQL
import Synchronization

/// A failure that passes by itself: an answer 503, and no fault of the plugin's.
protocol PassingFailure: Error {
  var isTemporary: Bool { get }
}

extension DatabaseError: PassingFailure {}

/// Access tokens that are refused although they have not expired.
///
/// The list is in the database, and each process has it in memory. Whoever adds to it does so in this order: database,
/// own memory, shared epoch. So the next look at the epoch, in any process of this host, knows of it. Own additions are
/// known already; another generation's are read from the database, while two of them overlap.
///
/// Other hosts share the database only if it is PostgreSQL: there, a thread asks it every 20 ms for what is new. As long as
/// the last answer is no older than the grace, tokens are accepted; after that nobody knows who has been logged out, and
/// none is. Any thread.
final class Revocations: Sendable {
  /// A token by its id, and when it ends by itself: Unix time in seconds.
  struct Entry: Sendable, Equatable {
    let tokenID: String
    let end: Int64
  }

  /// The list could not be read for too long: whether a token is on it nobody knows.
  struct Unknown: PassingFailure {
    var isTemporary: Bool { true }
  }

  private struct State {
    var ends: [String: Int64] = [:]
    /// The last row that was read; 0: all are to be read again.
    var lastRow: Int64 = 0
    /// All that was added up to here is known; nil: the list was never read.
    var epoch: UInt64?
    /// When `ends` has grown to this size, what has expired is dropped.
    var pruneAt = 1024
    /// Why the list could not be read the last time.
    var trouble: String?

    func knows(_ epoch: UInt64) -> Bool { self.epoch.map { $0 >= epoch } ?? false }
  }

  /// How soon another host's logout is known here, beside the time that a query takes.
  private static let pauseMilliseconds: Int64 = 20
  /// How soon a database that was away is found again: each look costs the server a connection.
  private static let awayPauseMilliseconds: Int64 = 250
  /// How long a request waits for what another generation has added.
  private static let waitMilliseconds: Int64 = 250

  private let reader: ConnectionPool
  private let epoch: RevocationEpoch
  private let graceNanoseconds: UInt64
  private let host: Host
  private let state = Mutex(State())
  /// Counts what was read of other hosts' additions.
  private let foreign = Atomic<UInt64>(0)
  /// When the latest answer of the database was asked for, by the monotonic clock; 0: there was none yet.
  private let readAt: Atomic<UInt64>
  /// Nil on SQLite.
  private let watch: PollingThread?

  /// Reads the list. If the database is away, nobody knows who has been logged out until it is back: no error here.
  ///
  /// - Parameters:
  ///   - reader: used for this list only; its schema is up to date, or will be at its first connection.
  ///   - grace: how old the list may be on PostgreSQL.
  /// - Throws: `DatabaseError`.
  init(_ reader: ConnectionPool, epoch: RevocationEpoch, grace: Duration, host: Host) throws {
    self.reader = reader
    self.epoch = epoch
    self.host = host
    graceNanoseconds = UInt64(grace.milliseconds) * 1_000_000
    readAt = Atomic(0)
    watch = reader.dialect == .sqlite ? nil : PollingThread()
    do {
      if let away = reader.awayAtStart { throw away }
      try read()
    } catch let error as DatabaseError where error.isAway {
      note(error)
    }
  }

  /// On PostgreSQL: begins to look for what other hosts add. [main]
  ///
  /// - Throws: `PollingThread.Failure`.
  func startWatching() throws { try watch?.start { [weak self] in self?.look() ?? Self.pauseMilliseconds } }

  /// [main]
  func stopWatching() { watch?.stop(within: 5000) }

  /// Changes with every revocation, in any process. What has been looked up in a version need not be again.
  var version: UInt64 { epoch.value &+ foreign.load(ordering: .acquiring) }

  /// - Throws: `Unknown` if the list is too old to tell anything by.
  func checkAge() throws {
    guard watch != nil else { return }
    let last = readAt.load(ordering: .acquiring)
    let now = host.monotonicNanoseconds
    guard last > 0, now < last || now - last <= graceNanoseconds else { throw Unknown() }
  }

  /// Whether a token has been revoked, as of now.
  ///
  /// - Throws: `DatabaseError` or `Unknown` if the list had to be read again, and could not: then nobody knows.
  func contains(_ tokenID: String) throws -> Bool {
    let current = epoch.value
    let known: Bool? = state.withLock { $0.knows(current) ? $0.ends[tokenID] != nil : nil }
    if let known { return known }
    if let watch {
      // Not on this thread, which may be a loop's: a server that hangs must not hang it.
      guard watch.runNow(within: Self.waitMilliseconds) else { throw Unknown() }
    } else {
      try read()
    }
    return try state.withLock { state in
      guard state.knows(current) else { throw Unknown() }
      return state.ends[tokenID] != nil
    }
  }

  /// Makes known what has been added to the database, and committed: at once, on all loops of all processes of this host.
  ///
  /// - Parameter now: Unix time in seconds.
  func announce(_ entries: [Entry], now: Int64) {
    guard !entries.isEmpty else { return }
    state.withLock { state in
      for entry in entries { state.ends[entry.tokenID] = entry.end }
      if state.ends.count >= state.pruneAt {
        state.ends = state.ends.filter { $0.value > now }
        state.pruneAt = max(1024, state.ends.count * 2)
      }
      // If another process was first, its additions are still to be read.
      let before = epoch.advance()
      if state.epoch == before { state.epoch = before + 1 }
    }
  }

  /// Reads what is new in the database. The ids grow in the order of the commits.
  private func read() throws {
    let began = host.monotonicNanoseconds
    let current = epoch.value
    let last = state.withLock { $0.lastRow }
    let rows = try reader.withConnection {
      try $0.query(
        "SELECT id, token_id, expires_at FROM revoked_tokens WHERE id > ? ORDER BY id", [.integer(last)])
    }
    let added = try rows.map {
      (row: try $0.integer("id"), id: try $0.text("token_id"), end: try $0.integer("expires_at"))
    }
    let isNews = state.withLock { state in
      let isNews = added.contains { state.ends[$0.id] == nil }
      for entry in added { state.ends[entry.id] = entry.end }
      state.lastRow = max(state.lastRow, added.last?.row ?? 0)
      state.epoch = max(state.epoch ?? 0, current)
      return isNews
    }
    // After the list: whoever sees the new version finds it there.
    if isNews { foreign.wrappingAdd(1, ordering: .acquiringAndReleasing) }
    readAt.store(began, ordering: .releasing)
  }

  /// One turn of the watching thread. What is amiss is said once.
  /// - Returns: for how many milliseconds to pause.
  private func look() -> Int64 {
    do {
      try read()
      let wasAway = state.withLock { state in
        defer { state.trouble = nil }
        return state.trouble != nil
      }
      if wasAway { host.log(.info, "the list of revoked tokens is read again") }
      return Self.pauseMilliseconds
    } catch {
      note(error)
      return Self.awayPauseMilliseconds
    }
  }

  private func note(_ error: any Error) {
    let isNew = state.withLock { state in
      // It may be another server that answers next, and one that lags behind: then all is read again.
      state.lastRow = 0
      defer { state.trouble = "\(error)" }
      return state.trouble == nil
    }
    guard isNew else { return }
    let wait = readAt.load(ordering: .acquiring) == 0 ? "" : "in \(graceNanoseconds / 1_000_000) ms "
    host.log(.error, "revoked tokens cannot be read, and \(wait)no token is accepted: \(error)")
  }
}

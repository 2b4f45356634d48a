import SQLite
import Synchronization

/// Access tokens that are refused although they have not expired.
///
/// The list is in the database, and each process has it in memory. Whoever adds to it does so in this order: database,
/// own memory, shared epoch. So the next look at the epoch, in any process, knows of it. Own additions are known already;
/// only another generation's are read from the database, while two of them overlap. Any thread.
final class Revocations: Sendable {
  /// A token by its id, and when it ends by itself: Unix time in seconds.
  struct Entry: Sendable, Equatable {
    let tokenID: String
    let end: Int64
  }

  private struct State {
    /// For this list only, so that no look-up waits for a connection that others hold.
    let database: Database
    var ends: [String: Int64] = [:]
    /// The last row that was read.
    var lastRow: Int64 = 0
    var epoch: UInt64
    /// When `ends` has grown to this size, what has expired is dropped.
    var pruneAt = 1024
  }

  private let epoch: RevocationEpoch
  private let state: Mutex<State>

  /// Reads the list.
  ///
  /// - Parameter database: a connection of its own; its schema is up to date.
  /// - Throws: `SQLiteError`.
  init(_ database: sending Database, epoch: RevocationEpoch) throws {
    self.epoch = epoch
    var first = State(database: database, epoch: epoch.value)
    try Self.read(into: &first)
    state = Mutex(first)
  }

  /// Changes with every revocation, in any process. What has been looked up in a version need not be again.
  var version: UInt64 { epoch.value }

  /// Whether a token has been revoked, as of this version or later.
  ///
  /// - Throws: `SQLiteError` if the list had to be read again, and could not: then nobody knows.
  func contains(_ tokenID: String, version: UInt64) throws -> Bool {
    try state.withLock { state in
      if state.epoch != version {
        let current = epoch.value
        try Self.read(into: &state)
        state.epoch = current
      }
      return state.ends[tokenID] != nil
    }
  }

  /// Makes known what has been added to the database, and committed: at once, on all loops of all processes.
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

  private static func read(into state: inout State) throws {
    let rows = try state.database.query(
      "SELECT id, token_id, expires_at FROM revoked_tokens WHERE id > ? ORDER BY id",
      [.integer(state.lastRow)])
    for row in rows {
      state.ends[try row.text("token_id")] = try row.integer("expires_at")
      state.lastRow = try row.integer("id")
    }
  }
}

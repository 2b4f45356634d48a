import SQL

/// How many logins may fail, by e-mail address and by client address, in a window that begins with the first attempt. In
/// the database: it holds over all generations and all hosts that share it, and restarts do not reset it. [blocking] Any
/// thread.
///
/// Attempts whose password is being looked at are counted apart from those that have failed. They may fail yet, so that
/// they use up the limit, and many at once are no way around it; but they end in a moment, and nobody has to wait for the
/// end of the window because of them. Those of a process that died are forgotten with the window.
struct LoginThrottle: Sendable {
  let database: AccountDatabase
  let limitPerEmail: Int64
  let limitPerAddress: Int64
  /// In milliseconds.
  let window: Int64

  enum Decision: Equatable {
    /// The attempt counts as under way, until `end`.
    case allowed
    /// So many have failed: not before this many seconds have passed; at least 1.
    case refused(retryAfter: Int64)
    /// As many are under way as may still fail: once some of them have ended.
    case crowded
  }

  /// What came of an attempt that was allowed.
  enum Outcome {
    case succeeded, failed
    /// Nobody knows, and nobody has learned anything of the password.
    case abandoned
  }

  /// What a login is counted by.
  struct Keys: Sendable {
    let email: String
    let address: String

    /// - Parameters:
    ///   - email: normalised, of a user or not: both are treated alike.
    ///   - clientIP: 4 or 16 bytes; none for a Unix socket. IPv6 counts by its /64, which one client has at its will.
    init(email: String, clientIP: UnsafeRawBufferPointer) {
      self.email = "email:" + email
      let counted = clientIP.count == 16 ? clientIP.prefix(8) : clientIP[...]
      address = "address:" + counted.map { String($0, radix: 16) }.joined(separator: ".")
    }
  }

  /// Counts an attempt before its password is looked at.
  ///
  /// - Parameter now: Unix time in milliseconds.
  /// - Throws: `DatabaseError`.
  func begin(_ keys: Keys, now: Int64) throws -> Decision {
    try database.pool.transaction { database in
      try purge(now: now, database)
      var email = try hold(keys.email, now: now, database)
      var address = try hold(keys.address, now: now, database)
      let exhausted = [(email, limitPerEmail), (address, limitPerAddress)].filter { $0.failed >= $1 }
      if let end = exhausted.map(\.0.endsAt).max() {
        return .refused(retryAfter: max(1, (end - now + 999) / 1000))
      }
      guard email.failed + email.running < limitPerEmail,
        address.failed + address.running < limitPerAddress
      else { return .crowded }
      email.running += 1
      address.running += 1
      try keep(email, database)
      try keep(address, database)
      return .allowed
    }
  }

  /// Ends an attempt that was allowed. A success forgets the failures of the e-mail address, and not those of the client's.
  ///
  /// - Parameter now: Unix time in milliseconds.
  /// - Throws: `DatabaseError`.
  func end(_ keys: Keys, _ outcome: Outcome, now: Int64, _ database: Connection) throws {
    for key in [keys.email, keys.address] {
      var standing = try hold(key, now: now, database)
      standing.running = max(0, standing.running - 1)
      switch outcome {
      case .succeeded: if key == keys.email { standing.failed = 0 }
      case .failed: standing.failed += 1
      case .abandoned: break
      }
      try keep(standing, database)
    }
  }

  /// A row of the table.
  private struct Standing {
    let key: String
    var failed: Int64
    var running: Int64
    let endsAt: Int64
  }

  /// Forgets what has ended; what another transaction holds at this moment is left to the next login.
  private func purge(now: Int64, _ database: Connection) throws {
    try database.run(
      """
      DELETE FROM login_attempts WHERE key IN
        (SELECT key FROM login_attempts WHERE ends_at <= ? FOR UPDATE SKIP LOCKED)
      """, [.integer(now)])
  }

  /// How a key stands, in the window that it is in or begins. Makes its row if there is none, and holds it until the
  /// transaction ends, so that of many attempts at a time, on whatever host, each sees those before it.
  private func hold(_ key: String, now: Int64, _ database: Connection) throws -> Standing {
    let row = try database.first(
      """
      INSERT INTO login_attempts (key, count, running, ends_at) VALUES ($1, 0, 0, $2)
      ON CONFLICT (key) DO UPDATE SET
        count = CASE WHEN login_attempts.ends_at <= $3 THEN 0 ELSE login_attempts.count END,
        running = CASE WHEN login_attempts.ends_at <= $3 THEN 0 ELSE login_attempts.running END,
        ends_at = CASE WHEN login_attempts.ends_at <= $3 THEN excluded.ends_at ELSE login_attempts.ends_at END
      RETURNING count, running, ends_at
      """, [.text(key), .integer(now + window), .integer(now)])
    return Standing(
      key: key, failed: try row?.integer("count") ?? 0, running: try row?.integer("running") ?? 0,
      endsAt: try row?.integer("ends_at") ?? now + window)
  }

  /// Keeps how a key stands, if there is anything to keep: a window begins with an attempt that counts.
  private func keep(_ standing: Standing, _ database: Connection) throws {
    if standing.failed == 0, standing.running == 0 {
      try database.run("DELETE FROM login_attempts WHERE key = ?", [.text(standing.key)])
    } else {
      try database.run(
        "UPDATE login_attempts SET count = ?, running = ? WHERE key = ?",
        [.integer(standing.failed), .integer(standing.running), .text(standing.key)])
    }
  }
}

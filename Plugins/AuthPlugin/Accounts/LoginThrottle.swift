import SQL

/// How many logins may fail, by e-mail address and by client address, in a window that begins with the first failure. In
/// the database: it holds over all generations and all hosts that share it, and restarts do not reset it. [blocking] Any
/// thread.
struct LoginThrottle: Sendable {
  let database: AccountDatabase
  let limitPerEmail: Int64
  let limitPerAddress: Int64
  /// In milliseconds.
  let window: Int64

  enum Decision: Equatable {
    case allowed
    /// Not before this many seconds have passed; at least 1.
    case refused(retryAfter: Int64)
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

  /// Counts an attempt before its password is looked at, so that many at once are no way around the limit.
  ///
  /// - Parameter now: Unix time in milliseconds.
  /// - Throws: `DatabaseError`.
  func begin(_ keys: Keys, now: Int64) throws -> Decision {
    try database.pool.transaction { database in
      try purge(now: now, database)
      let waits = [
        try wait(keys.email, limit: limitPerEmail, now: now, database),
        try wait(keys.address, limit: limitPerAddress, now: now, database),
      ]
      if let longest = waits.compactMap({ $0 }).max() {
        return .refused(retryAfter: max(1, (longest + 999) / 1000))
      }
      for key in [keys.email, keys.address] {
        try database.run("UPDATE login_attempts SET count = count + 1 WHERE key = ?", [.text(key)])
      }
      return .allowed
    }
  }

  /// Forgets the user's failures, and takes back that this attempt was counted for the address.
  ///
  /// - Throws: `DatabaseError`.
  func succeed(_ keys: Keys, _ database: Connection) throws {
    try database.run("DELETE FROM login_attempts WHERE key = ?", [.text(keys.email)])
    try database.run("UPDATE login_attempts SET count = count - 1 WHERE key = ?", [.text(keys.address)])
  }

  /// Forgets what has ended; what another transaction holds at this moment is left to the next login.
  private func purge(now: Int64, _ database: Connection) throws {
    try database.run(
      """
      DELETE FROM login_attempts WHERE key IN
        (SELECT key FROM login_attempts WHERE ends_at <= ? FOR UPDATE SKIP LOCKED)
      """, [.integer(now)])
  }

  /// How many milliseconds a key has to wait; nil: it may try. Makes its row if there is none, and holds it until the
  /// transaction ends, so that of many attempts at a time, on whatever host, each sees those before it.
  private func wait(_ key: String, limit: Int64, now: Int64, _ database: Connection) throws -> Int64? {
    let row = try database.first(
      """
      INSERT INTO login_attempts (key, count, ends_at) VALUES ($1, 0, $2)
      ON CONFLICT (key) DO UPDATE SET
        count = CASE WHEN login_attempts.ends_at <= $3 THEN 0 ELSE login_attempts.count END,
        ends_at = CASE WHEN login_attempts.ends_at <= $3 THEN excluded.ends_at ELSE login_attempts.ends_at END
      RETURNING count, ends_at
      """, [.text(key), .integer(now + window), .integer(now)])
    guard let row, try row.integer("count") >= limit else { return nil }
    return try row.integer("ends_at") - now
  }
}

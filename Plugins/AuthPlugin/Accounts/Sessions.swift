import SQL

/// A refresh token as it is kept, and the access token that is handed out with it.
struct RefreshTokenRecord: Sendable {
  /// SHA-256: who reads the database cannot use it.
  let hash: [UInt8]
  /// Unix time in milliseconds.
  let expiresAt: Int64
  let accessTokenID: String
  /// Unix time in seconds, as in the token, and leeway added: until when it must be kept refused if it is revoked.
  let accessTokenEnd: Int64
}

/// What came of a refresh token that was handed in.
enum Rotation {
  /// It was good, is spent now, and its successor is kept.
  case rotated(User)
  /// It was spent already: somebody else has it. Its family is revoked, and with it these access tokens.
  case reused(userID: String, revoked: [Revocations.Entry])
  /// Unknown, expired or revoked.
  case refused
}

extension AccountDatabase {
  /// Begins a family of refresh tokens.
  ///
  /// - Throws: `DatabaseError`.
  static func openSession(
    of user: User, _ token: RefreshTokenRecord, now: Int64, _ database: Connection
  ) throws {
    try purge(now: now, database)
    let row = try database.first(
      "INSERT INTO sessions (user_id, created_at, expires_at) VALUES (?, ?, ?) RETURNING id",
      [.text(user.id), .integer(now), .integer(token.expiresAt)])
    guard let session = try row?.integer("id") else { return }
    try keep(token, session: session, database)
  }

  /// Spends a refresh token for its successor; or revokes the family if it was spent before (RFC 9700 section 4.14.2).
  ///
  /// - Parameters:
  ///   - hash: of the token handed in.
  ///   - successor: made for the user of the token; what it throws undoes everything.
  /// - Throws: `DatabaseError`, and what `successor` throws.
  func rotate(hash: [UInt8], now: Int64, successor: (User) throws -> RefreshTokenRecord) throws -> Rotation {
    try pool.transaction { database in
      let family = try Self.lockSession(
        "SELECT session_id FROM refresh_tokens WHERE hash = ?", .blob(hash), database)
      guard let family else { return .refused }
      let session = try family.integer("id")
      let userID = try family.text("user_id")
      guard try family.optionalInteger("revoked_at") == nil else { return .refused }
      let found = try database.first(
        "SELECT expires_at, spent_at FROM refresh_tokens WHERE hash = ?", [.blob(hash)])
      guard let found else { return .refused }
      guard try found.optionalInteger("spent_at") == nil else {
        return .reused(userID: userID, revoked: try Self.revokeSession(session, now: now, database))
      }
      guard try found.integer("expires_at") > now, let user = try Self.user(id: userID, database) else {
        return .refused
      }
      try database.run("UPDATE refresh_tokens SET spent_at = ? WHERE hash = ?", [.integer(now), .blob(hash)])
      let next = try successor(user)
      try database.run(
        "UPDATE sessions SET expires_at = ? WHERE id = ?", [.integer(next.expiresAt), .integer(session)])
      try Self.keep(next, session: session, database)
      return .rotated(user)
    }
  }

  /// Ends the session that an access token belongs to, and the token itself, also if it belongs to none.
  ///
  /// - Parameters:
  ///   - token: the access token.
  ///   - now: Unix time in milliseconds.
  /// - Returns: all access tokens that are revoked by this.
  /// - Throws: `DatabaseError`.
  func endSession(of token: Revocations.Entry, now: Int64) throws -> [Revocations.Entry] {
    try pool.transaction { database in
      let family = try Self.lockSession(
        "SELECT session_id FROM refresh_tokens WHERE access_token_id = ?", .text(token.tokenID), database)
      guard let session = try family?.integer("id") else {
        try Self.revoke([token], database)
        return [token]
      }
      let ended = try Self.revokeSession(session, now: now, database)
      guard !ended.contains(where: { $0.tokenID == token.tokenID }) else { return ended }
      try Self.revoke([token], database)
      return ended + [token]
    }
  }

  /// Finds a session, and holds it until the transaction ends: all that happens to a family happens one by one, on
  /// whatever host.
  private static func lockSession(
    _ query: String, _ value: SQLValue, _ database: Connection
  ) throws -> Row? {
    try database.first("SELECT * FROM sessions WHERE id = (\(query)) FOR UPDATE", [value])
  }

  /// Revokes a family, and those of its access tokens that have not ended yet. Its session is locked.
  private static func revokeSession(
    _ session: Int64, now: Int64, _ database: Connection
  ) throws -> [Revocations.Entry] {
    try database.run(
      "UPDATE sessions SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL",
      [.integer(now), .integer(session)])
    let rows = try database.query(
      """
      SELECT access_token_id, access_token_expires_at FROM refresh_tokens
      WHERE session_id = ? AND access_token_expires_at > ?
      """, [.integer(session), .integer(now / 1000)])
    let entries = try rows.map {
      Revocations.Entry(
        tokenID: try $0.text("access_token_id"), end: try $0.integer("access_token_expires_at"))
    }
    try revoke(entries, database)
    return entries
  }

  private static func revoke(_ tokens: [Revocations.Entry], _ database: Connection) throws {
    guard !tokens.isEmpty else { return }
    _ = try database.first("SELECT id FROM revocation_turn WHERE id = 1 FOR UPDATE")
    for token in tokens {
      try database.run(
        "INSERT INTO revoked_tokens (token_id, expires_at) VALUES (?, ?) ON CONFLICT (token_id) DO NOTHING",
        [.text(token.tokenID), .integer(token.end)])
    }
  }

  private static func keep(_ token: RefreshTokenRecord, session: Int64, _ database: Connection) throws {
    try database.run(
      """
      INSERT INTO refresh_tokens (hash, session_id, expires_at, access_token_id, access_token_expires_at)
      VALUES (?, ?, ?, ?, ?)
      """,
      [
        .blob(token.hash), .integer(session), .integer(token.expiresAt), .text(token.accessTokenID),
        .integer(token.accessTokenEnd),
      ])
  }

  /// Forgets what has ended by itself; what another transaction holds at this moment is left to the next login. Revoked
  /// tokens are kept an hour longer, for the sake of hosts whose clocks go behind.
  private static func purge(now: Int64, _ database: Connection) throws {
    try database.run(
      """
      DELETE FROM sessions WHERE id IN
        (SELECT id FROM sessions WHERE expires_at <= ? FOR UPDATE SKIP LOCKED)
      """, [.integer(now)])
    try database.run(
      """
      DELETE FROM revoked_tokens WHERE id IN
        (SELECT id FROM revoked_tokens WHERE expires_at <= ? FOR UPDATE SKIP LOCKED)
      """, [.integer(now / 1000 - 3600)])
  }
}

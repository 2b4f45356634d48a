import DatabaseSettings
import SQL

/// The plugin's database: users, sessions, revocations and failed logins. Its extensions have the queries, by subject.
/// [blocking] Any thread. Times are Unix times in milliseconds.
///
/// Several hosts may share one on PostgreSQL. What a transaction reads and then acts on it locks first; always in this
/// order, so that no two wait for each other: sessions, then the turn to revoke; e-mail addresses, then client addresses.
final class AccountDatabase: Sendable {
  let pool: ConnectionPool
  /// One connection for the list of revocations alone, so that no look-up waits for those that others hold.
  let revocationReader: ConnectionPool

  /// SQLite's file.
  static func file(in directory: String) -> String { directory + "/auth.sqlite3" }
  /// The schema on PostgreSQL.
  static let namespace = "bulkhead_auth"

  /// Opens it, and brings its schema up to date. A server that is away is no error: see `awayAtStart`.
  ///
  /// - Throws: `DatabaseError`.
  init(_ setting: DatabaseSetting, directory: String) throws {
    let file = Self.file(in: directory)
    // A program from before the second or the third script needs nothing of them.
    func open(size: Int, timeoutMilliseconds: Int32, away: DatabaseError? = nil) throws -> ConnectionPool {
      try setting.open(
        file: file, namespace: Self.namespace, size: size, timeoutMilliseconds: timeoutMilliseconds,
        migrations: Self.schema, readableFrom: 1, away: away)
    }
    pool = try open(size: 8, timeoutMilliseconds: 5000)
    // On SQLite it is read on the loops, and on PostgreSQL by a thread of its own.
    revocationReader = try open(
      size: 1, timeoutMilliseconds: setting.dialect == .sqlite ? 250 : 1000, away: pool.awayAtStart)
  }

  /// Why the database was away at the start; nil: it was there. What is asked of it meanwhile throws, and the first
  /// request that finds it migrates it.
  var awayAtStart: DatabaseError? { pool.awayAtStart }

  /// Forward only: a script that has been shipped is never changed.
  private static let schema: [Script] = [
    """
    CREATE TABLE users (
      id TEXT PRIMARY KEY,
      email TEXT NOT NULL UNIQUE,
      password TEXT NOT NULL,
      display_name TEXT,
      avatar_url TEXT,
      role TEXT NOT NULL DEFAULT 'viewer',
      created_at INTEGER NOT NULL,
      updated_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    -- A family of refresh tokens: one login, and all that has come of it.
    CREATE TABLE sessions (
      id INTEGER PRIMARY KEY,
      user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
      created_at INTEGER NOT NULL,
      expires_at INTEGER NOT NULL,
      revoked_at INTEGER
    ) STRICT;
    CREATE INDEX sessions_by_user ON sessions (user_id);
    CREATE INDEX sessions_by_end ON sessions (expires_at);

    -- Refresh tokens, by their SHA-256; each with the access token that was handed out together with it.
    CREATE TABLE refresh_tokens (
      hash BLOB PRIMARY KEY,
      session_id INTEGER NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
      expires_at INTEGER NOT NULL,
      spent_at INTEGER,
      access_token_id TEXT NOT NULL UNIQUE,
      access_token_expires_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id);

    -- Access tokens that are refused before they end. The ids only grow, so that a reader can ask for what is new.
    CREATE TABLE revoked_tokens (
      id INTEGER PRIMARY KEY AUTOINCREMENT,
      token_id TEXT NOT NULL UNIQUE,
      expires_at INTEGER NOT NULL -- in seconds, as in the token
    ) STRICT;
    CREATE INDEX revoked_tokens_by_end ON revoked_tokens (expires_at);

    -- Failed logins by e-mail address and by client address.
    CREATE TABLE login_attempts (
      key TEXT PRIMARY KEY,
      count INTEGER NOT NULL,
      ends_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX login_attempts_by_end ON login_attempts (ends_at);
    """,
    """
    -- Its one row is locked by whoever adds to revoked_tokens: so their ids come in the order of the commits, and a reader
    -- that has seen one has seen all before it.
    CREATE TABLE revocation_turn (id INTEGER NOT NULL PRIMARY KEY) STRICT;
    INSERT INTO revocation_turn (id) VALUES (1);
    """,
    """
    -- Logins under way, which may fail yet; count has those that have failed.
    ALTER TABLE login_attempts ADD COLUMN running INTEGER NOT NULL DEFAULT 0;
    """,
  ]
}

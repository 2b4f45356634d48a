import SQL

/// The database's schema, as scripts that are only ever added to, for SQLite and PostgreSQL alike.
///
/// What must hold of money is said here, so that no code can break it: see `README.md`.
enum Schema {
  static let migrations = [
    Script(credits, guards: creditGuards) + Script(projects) + Script(generations) + Script(idempotency),
    Script(purchases, guards: purchaseGuards), media,
  ]

  /// How many of the scripts a library must know to use a database that has them all: one that is rolled back goes on
  /// with what its successor has migrated. To be raised by a script that an older library could not live with.
  static let readableFrom = 1

  /// The triggers and indexes that must be there.
  static let guards =
    [
      "ledger_is_not_updated", "ledger_is_not_deleted", "ledger_agrees_with_account",
      "usage_has_open_reservation", "refund_has_refunded_reservation", "reservation_begins_open",
      "reservation_closes_once", "reservation_is_not_deleted", "one_usage_per_generation",
      "one_refund_per_generation", "one_signup_bonus_per_user", "one_redemption_per_user",
    ] + purchaseGuardNames

  /// No account holds more than a JSON number shows exactly: 2^53 - 1.
  static let largestBalance: Int64 = 9_007_199_254_740_991

  private static let credits = """
    CREATE TABLE accounts (
      user_id TEXT NOT NULL PRIMARY KEY,
      balance BIGINT NOT NULL DEFAULT 0 CHECK (balance BETWEEN 0 AND \(largestBalance)),
      reserved BIGINT NOT NULL DEFAULT 0 CHECK (reserved >= 0),
      total_earned BIGINT NOT NULL DEFAULT 0 CHECK (total_earned >= 0),
      total_spent BIGINT NOT NULL DEFAULT 0 CHECK (total_spent >= 0),
      created_at BIGINT NOT NULL,
      CHECK (balance = total_earned - total_spent - reserved)
    );

    CREATE TABLE ledger (
      sequence INTEGER PRIMARY KEY AUTOINCREMENT,
      id TEXT NOT NULL UNIQUE,
      user_id TEXT NOT NULL REFERENCES accounts (user_id),
      amount BIGINT NOT NULL CHECK (amount <> 0),
      transaction_type TEXT NOT NULL
        CHECK (transaction_type IN ('purchase', 'usage', 'refund', 'bonus', 'redeem', 'grant')),
      description TEXT NOT NULL,
      balance_after BIGINT NOT NULL CHECK (balance_after >= 0),
      generation_id TEXT,
      reference TEXT,
      created_at BIGINT NOT NULL,
      CHECK ((transaction_type = 'usage') = (amount < 0)),
      CHECK ((transaction_type IN ('usage', 'refund')) = (generation_id IS NOT NULL))
    );
    CREATE INDEX ledger_by_user ON ledger (user_id, sequence);
    CREATE UNIQUE INDEX one_signup_bonus_per_user ON ledger (user_id)
      WHERE transaction_type = 'bonus' AND reference = 'signup';
    CREATE UNIQUE INDEX one_usage_per_generation ON ledger (generation_id) WHERE transaction_type = 'usage';
    CREATE UNIQUE INDEX one_refund_per_generation ON ledger (generation_id) WHERE transaction_type = 'refund';
    CREATE UNIQUE INDEX one_redemption_per_user ON ledger (user_id, reference)
      WHERE transaction_type = 'redeem';

    CREATE TABLE reservations (
      generation_id TEXT NOT NULL PRIMARY KEY,
      user_id TEXT NOT NULL REFERENCES accounts (user_id),
      amount BIGINT NOT NULL CHECK (amount > 0),
      state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'settled', 'refunded')),
      created_at BIGINT NOT NULL,
      closed_at BIGINT,
      CHECK ((state = 'open') = (closed_at IS NULL))
    );
    CREATE INDEX reservations_by_user ON reservations (user_id, closed_at);

    CREATE TABLE redemptions (
      code TEXT NOT NULL PRIMARY KEY,
      redeemed BIGINT NOT NULL CHECK (redeemed >= 0)
    );

    """

  private static let creditGuards = [
    Guard(
      "ledger_is_not_updated", before: .update, on: "ledger", message: "the ledger is append-only"),
    Guard(
      "ledger_is_not_deleted", before: .delete, on: "ledger", message: "the ledger is append-only"),
    Guard(
      "ledger_agrees_with_account", before: .insert, on: "ledger",
      refusing: """
        NEW.balance_after <> COALESCE((SELECT balance FROM accounts WHERE user_id = NEW.user_id), -1)
          OR NEW.balance_after <> NEW.amount + COALESCE(
            (SELECT balance_after FROM ledger WHERE user_id = NEW.user_id ORDER BY sequence DESC LIMIT 1), 0)
        """, message: "balance_after is not the account's balance"),
    Guard(
      "usage_has_open_reservation", before: .insert, on: "ledger",
      refusing: """
        NEW.transaction_type = 'usage' AND NOT EXISTS (
          SELECT 1 FROM reservations WHERE generation_id = NEW.generation_id AND user_id = NEW.user_id
            AND amount = -NEW.amount AND state = 'open')
        """, message: "a usage needs its open reservation"),
    Guard(
      "refund_has_refunded_reservation", before: .insert, on: "ledger",
      refusing: """
        NEW.transaction_type = 'refund' AND NOT EXISTS (
          SELECT 1 FROM reservations WHERE generation_id = NEW.generation_id AND user_id = NEW.user_id
            AND amount = NEW.amount AND state = 'refunded')
        """, message: "a refund needs its reservation, refunded"),
    Guard(
      "reservation_begins_open", before: .insert, on: "reservations", refusing: "NEW.state <> 'open'",
      message: "a reservation begins open"),
    Guard(
      "reservation_closes_once", before: .update, on: "reservations",
      refusing: """
        OLD.state <> 'open' OR NEW.state = 'open' OR NEW.amount <> OLD.amount
          OR NEW.user_id <> OLD.user_id OR NEW.generation_id <> OLD.generation_id
        """, message: "a reservation is settled or refunded once"),
    Guard(
      "reservation_is_not_deleted", before: .delete, on: "reservations", message: "reservations are kept"),
  ]

  private static let projects = """
    CREATE TABLE projects (
      sequence INTEGER PRIMARY KEY AUTOINCREMENT,
      id TEXT NOT NULL UNIQUE,
      user_id TEXT NOT NULL,
      name TEXT NOT NULL,
      description TEXT NOT NULL,
      visibility TEXT NOT NULL CHECK (visibility IN ('private', 'team-only', 'public')),
      metadata TEXT NOT NULL,
      sort_name TEXT NOT NULL,
      search_text TEXT NOT NULL,
      version BIGINT NOT NULL DEFAULT 1,
      created_at BIGINT NOT NULL,
      updated_at BIGINT NOT NULL
    );
    CREATE INDEX projects_by_user ON projects (user_id, created_at);
    CREATE TABLE project_tags (
      project_id TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
      position BIGINT NOT NULL,
      tag TEXT NOT NULL,
      PRIMARY KEY (project_id, position)
    );
    CREATE INDEX project_tags_by_tag ON project_tags (tag, project_id);

    """

  private static let generations = """
    CREATE TABLE generations (
      sequence INTEGER PRIMARY KEY AUTOINCREMENT,
      id TEXT NOT NULL UNIQUE,
      user_id TEXT NOT NULL,
      project_id TEXT REFERENCES projects (id) ON DELETE SET NULL,
      model_id TEXT NOT NULL,
      prompt TEXT NOT NULL,
      negative_prompt TEXT NOT NULL,
      width BIGINT NOT NULL,
      height BIGINT NOT NULL,
      seed BIGINT NOT NULL,
      status TEXT NOT NULL CHECK (status IN ('pending', 'processing', 'completed', 'failed', 'cancelled')),
      cost BIGINT NOT NULL CHECK (cost >= 0),
      media_file TEXT,
      media_type TEXT,
      error_message TEXT,
      is_favorite BIGINT NOT NULL DEFAULT 0,
      attempts BIGINT NOT NULL DEFAULT 0,
      lease_owner TEXT,
      lease_until BIGINT,
      started_at BIGINT,
      version BIGINT NOT NULL DEFAULT 1,
      created_at BIGINT NOT NULL,
      updated_at BIGINT NOT NULL,
      completed_at BIGINT,
      CHECK ((status = 'processing') = (lease_owner IS NOT NULL)),
      CHECK ((lease_owner IS NULL) = (lease_until IS NULL)),
      CHECK ((status = 'completed') = (media_file IS NOT NULL))
    );
    CREATE INDEX generations_by_user ON generations (user_id, sequence);
    CREATE INDEX generations_by_project ON generations (project_id);
    CREATE UNIQUE INDEX generations_by_file ON generations (media_file);
    CREATE INDEX generations_to_run ON generations (sequence) WHERE status IN ('pending', 'processing');

    """

  private static let idempotency = """
    CREATE TABLE idempotency_keys (
      user_id TEXT NOT NULL,
      idempotency_key TEXT NOT NULL,
      request BLOB NOT NULL,
      runner TEXT NOT NULL,
      lease_until BIGINT,
      status BIGINT,
      headers TEXT,
      body BLOB,
      created_at BIGINT NOT NULL,
      PRIMARY KEY (user_id, idempotency_key),
      CHECK ((status IS NULL) = (lease_until IS NOT NULL))
    );
    CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

    """

  /// The images, where several hosts share the database. On SQLite they are files beside it.
  private static let media = Script(
    only: .postgreSQL,
    """
    CREATE TABLE media (
      name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
      bytes BYTEA NOT NULL,
      created_at BIGINT NOT NULL
    );
    -- They are compressed already; and a piece of what is not compressed is read without the rest.
    ALTER TABLE media ALTER COLUMN bytes SET STORAGE EXTERNAL;
    CREATE INDEX media_by_age ON media (created_at);
    """)
}

import SQL

/// Purchases: each is written down before the payment provider is asked, and credited once it says that it was paid.
extension Schema {
  static let purchases = """
    CREATE TABLE purchases (
      id TEXT NOT NULL PRIMARY KEY,
      user_id TEXT NOT NULL REFERENCES accounts (user_id),
      idempotency_key TEXT,
      amount BIGINT NOT NULL CHECK (amount > 0),
      payment_method_id TEXT NOT NULL,
      state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'paid', 'declined', 'void')),
      reason TEXT,
      called_at BIGINT NOT NULL,
      checks BIGINT NOT NULL DEFAULT 0,
      next_check_at BIGINT NOT NULL,
      created_at BIGINT NOT NULL,
      closed_at BIGINT,
      CHECK ((state = 'open') = (closed_at IS NULL))
    );
    CREATE UNIQUE INDEX one_open_purchase_per_key ON purchases (user_id, idempotency_key) WHERE state = 'open';
    CREATE INDEX purchases_by_key ON purchases (user_id, idempotency_key, created_at);
    CREATE INDEX purchases_to_check ON purchases (next_check_at) WHERE state = 'open';
    CREATE UNIQUE INDEX one_credit_per_purchase ON ledger (reference) WHERE transaction_type = 'purchase';

    """

  static let purchaseGuards = [
    Guard(
      "purchase_begins_open", before: .insert, on: "purchases", refusing: "NEW.state <> 'open'",
      message: "a purchase begins open"),
    Guard(
      "purchase_closes_once", before: .update, on: "purchases",
      refusing: """
        OLD.state <> 'open' OR NEW.amount <> OLD.amount OR NEW.user_id <> OLD.user_id OR NEW.id <> OLD.id
        """, message: "a purchase is closed once"),
    Guard("purchase_is_not_deleted", before: .delete, on: "purchases", message: "purchases are kept"),
    Guard(
      "credit_has_paid_purchase", before: .insert, on: "ledger",
      refusing: """
        NEW.transaction_type = 'purchase' AND NOT EXISTS (
          SELECT 1 FROM purchases WHERE id = NEW.reference AND user_id = NEW.user_id
            AND amount = NEW.amount AND state = 'paid')
        """, message: "a purchase is credited once it is paid"),
  ]

  static let purchaseGuardNames = [
    "purchase_begins_open", "purchase_closes_once", "purchase_is_not_deleted", "credit_has_paid_purchase",
    "one_credit_per_purchase", "one_open_purchase_per_key",
  ]
}

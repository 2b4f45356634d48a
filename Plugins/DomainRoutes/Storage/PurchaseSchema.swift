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

  static let purchaseGuards = """
    CREATE TRIGGER purchase_begins_open BEFORE INSERT ON purchases WHEN NEW.state <> 'open'
    BEGIN SELECT RAISE(ABORT, 'a purchase begins open'); END;
    CREATE TRIGGER purchase_closes_once BEFORE UPDATE ON purchases
    WHEN OLD.state <> 'open' OR NEW.amount <> OLD.amount OR NEW.user_id <> OLD.user_id OR NEW.id <> OLD.id
    BEGIN SELECT RAISE(ABORT, 'a purchase is closed once'); END;
    CREATE TRIGGER purchase_is_not_deleted BEFORE DELETE ON purchases
    BEGIN SELECT RAISE(ABORT, 'purchases are kept'); END;
    CREATE TRIGGER credit_has_paid_purchase BEFORE INSERT ON ledger
    WHEN NEW.transaction_type = 'purchase' AND NOT EXISTS (
      SELECT 1 FROM purchases WHERE id = NEW.reference AND user_id = NEW.user_id
        AND amount = NEW.amount AND state = 'paid')
    BEGIN SELECT RAISE(ABORT, 'a purchase is credited once it is paid'); END;

    """

  static let purchaseGuardNames = [
    "purchase_begins_open", "purchase_closes_once", "purchase_is_not_deleted", "credit_has_paid_purchase",
    "one_credit_per_purchase", "one_open_purchase_per_key",
  ]
}

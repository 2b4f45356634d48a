import SQL

/// What must hold of the credits, looked for in the tables themselves.
///
/// For each account: `balance = SUM(ledger.amount)`; `balance = total_earned - total_spent - reserved`;
/// `total_earned` is the sum of what came in; `total_spent` of the settled and `reserved` of the open reservations.
/// Each entry's `balance_after` is the sum up to it. Each reservation has one usage, and a refund only if refunded.
struct LedgerAudit {
  let session: Session

  /// Looks at everything; time grows with the ledger.
  /// - Returns: What is wrong, one line each; empty if all is well.
  func violations() throws -> [String] {
    try Self.checks.flatMap { name, sql in
      try session.query(sql).map { "\(name): \($0[0].textValue ?? "?")" }
    }
  }

  /// Looks at the accounts of the latest entries only: quick, however long the ledger.
  func recentViolations() throws -> [String] {
    try session.query(
      """
      SELECT user_id FROM accounts
      WHERE user_id IN (SELECT user_id FROM ledger ORDER BY sequence DESC LIMIT 100) AND (
        balance <> (SELECT balance_after FROM ledger WHERE ledger.user_id = accounts.user_id
          ORDER BY sequence DESC LIMIT 1)
        OR balance <> total_earned - total_spent - reserved)
      """
    ).map { "balance disagrees with the last entry: \($0[0].textValue ?? "?")" }
  }

  /// The guards of the schema that the database lacks.
  func missingGuards() throws -> [String] {
    let present = try session.schemaObjects()
    return Schema.guards.filter { !present.contains($0) }
  }

  private static let checks: [(String, String)] = [
    (
      "balance is not the ledger's sum",
      """
      SELECT user_id FROM accounts WHERE balance <>
        COALESCE((SELECT SUM(amount) FROM ledger WHERE ledger.user_id = accounts.user_id), 0)
      """
    ),
    (
      "balance is not earned less spent less reserved",
      "SELECT user_id FROM accounts WHERE balance <> total_earned - total_spent - reserved OR balance < 0"
    ),
    (
      "total_earned is not what came in",
      """
      SELECT user_id FROM accounts WHERE total_earned <> COALESCE((SELECT SUM(amount) FROM ledger
        WHERE ledger.user_id = accounts.user_id AND transaction_type NOT IN ('usage', 'refund')), 0)
      """
    ),
    ("reserved is not the open reservations", reservationCheck(column: "reserved", state: "open")),
    (
      "total_spent is not the settled reservations", reservationCheck(column: "total_spent", state: "settled")
    ),
    (
      "balance_after is not the running sum",
      """
      SELECT id FROM (SELECT id, balance_after, SUM(amount) OVER
        (PARTITION BY user_id ORDER BY sequence) AS running FROM ledger) AS sums
      WHERE balance_after <> running
      """
    ),
    (
      "a reservation and its entries disagree",
      """
      SELECT generation_id FROM reservations AS r WHERE
        (SELECT COUNT(*) FROM ledger WHERE generation_id = r.generation_id
          AND transaction_type = 'usage' AND amount = -r.amount AND user_id = r.user_id) <> 1
        OR (SELECT COUNT(*) FROM ledger WHERE generation_id = r.generation_id
          AND transaction_type = 'refund' AND amount = r.amount AND user_id = r.user_id)
          <> (CASE WHEN r.state = 'refunded' THEN 1 ELSE 0 END)
      """
    ),
    (
      "a purchase and its entry disagree",
      """
      SELECT id FROM purchases AS p WHERE (SELECT COUNT(*) FROM ledger WHERE reference = p.id
        AND transaction_type = 'purchase' AND amount = p.amount AND user_id = p.user_id)
        <> (CASE WHEN p.state = 'paid' THEN 1 ELSE 0 END)
      """
    ),
    (
      "an ended generation's reservation is in the wrong state",
      """
      SELECT g.id FROM generations AS g JOIN reservations AS r ON r.generation_id = g.id
      WHERE r.state <> CASE WHEN g.status = 'completed' THEN 'settled'
        WHEN g.status IN ('failed', 'cancelled') THEN 'refunded' ELSE 'open' END
      """
    ),
  ]

  private static func reservationCheck(column: String, state: String) -> String {
    """
    SELECT user_id FROM accounts WHERE \(column) <> COALESCE((SELECT SUM(amount) FROM reservations
      WHERE reservations.user_id = accounts.user_id AND state = '\(state)'), 0)
    """
  }
}

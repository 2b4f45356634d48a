import JSONBodies
import SQL

/// One purchase of credits: a payment that is asked for under this id, however often.
struct Purchase: Sendable, Equatable {
  enum State: String, Sendable {
    /// Nobody knows yet whether it was paid.
    case open
    /// Paid, and credited.
    case paid
    case declined
    /// Never paid: the provider did not hear of it.
    case void
  }

  let id: String
  let userID: String
  let amount: Int64
  let paymentMethodID: String
  let state: State
  /// Why it was declined.
  let reason: String?
  /// How often it was looked for since.
  let checks: Int64
  /// In milliseconds since 1970.
  let createdAt: Int64
}

struct UnknownPurchaseState: Error { let word: String }

/// The purchases in the database. Each function is part of the session's transaction.
struct PurchaseTable {
  let session: Session

  private static let columns = "id, user_id, amount, payment_method_id, state, reason, checks, created_at"

  func find(_ id: String) throws -> Purchase? {
    try session.first("SELECT \(Self.columns) FROM purchases WHERE id = $1", [.text(id)]).map(purchase)
  }

  /// The latest purchase under a key that is still open, or not older than the window, in milliseconds.
  func find(key: String, of user: String, window: Int64) throws -> Purchase? {
    try session.first(
      """
      SELECT \(Self.columns) FROM purchases WHERE user_id = $1 AND idempotency_key = $2
        AND (state = 'open' OR created_at > $3) ORDER BY created_at DESC, id LIMIT 1 FOR UPDATE
      """, [.text(user), .text(key), .integer(session.now - window)]
    ).map(purchase)
  }

  /// Writes down that the provider is about to be asked.
  /// - Parameter checkAfter: When to look for the purchase, should this process die; in milliseconds.
  /// - Throws: `Problem` 409 if another run has just opened one under this key.
  func open(
    _ amount: Int64, paymentMethodID: String, key: String?, by user: String, checkAfter: Int64
  ) throws -> Purchase {
    let id = Identifier.make()
    let opened = try session.run(
      """
      INSERT INTO purchases (id, user_id, idempotency_key, amount, payment_method_id, called_at, next_check_at,
        created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $6)
      ON CONFLICT (user_id, idempotency_key) WHERE state = 'open' DO NOTHING
      """,
      [
        .text(id), .text(user), SQLValue(key), .integer(amount), .text(paymentMethodID),
        .integer(session.now), .integer(session.now + checkAfter),
      ])
    guard opened == 1 else { throw IdempotencyKeys.stillRunning }
    return Purchase(
      id: id, userID: user, amount: amount, paymentMethodID: paymentMethodID, state: .open, reason: nil,
      checks: 0, createdAt: session.now)
  }

  /// Writes down that the provider is about to be asked again.
  func call(_ id: String, checkAfter: Int64) throws {
    try session.run(
      "UPDATE purchases SET called_at = $2, next_check_at = $3 WHERE id = $1 AND state = 'open'",
      [.text(id), .integer(session.now), .integer(session.now + checkAfter)])
  }

  /// Closes a purchase, and credits it. One that was credited already stays as it is.
  /// - Returns: The entry of the ledger; nil if the purchase was closed without a payment.
  /// - Throws: `Ledger.Refusal.balanceLimit`.
  func pay(_ purchase: Purchase) throws -> String? {
    guard try close(purchase.id, as: .paid) else { return try transactionID(of: purchase.id) }
    return try Ledger(session: session).receive(
      purchase.amount, as: .purchase, by: purchase.userID, description: "Purchase", reference: purchase.id
    ).id
  }

  /// The entry by which a purchase was credited; nil if it was not.
  func transactionID(of id: String) throws -> String? {
    try session.first(
      "SELECT id FROM ledger WHERE reference = $1 AND transaction_type = 'purchase'", [.text(id)]
    )?.text("id")
  }

  /// - Returns: False if it was closed already: nothing has changed then.
  func decline(_ id: String, reason: String?) throws -> Bool {
    try close(id, as: .declined, reason: reason)
  }

  /// Closes a purchase of which the provider has not heard.
  /// - Parameter calledBefore: Leaves one open that was asked for later; in milliseconds since 1970.
  func void(_ id: String, calledBefore: Int64 = .max) throws -> Bool {
    try close(id, as: .void, calledBefore: calledBefore)
  }

  /// Takes the purchase that has waited longest to be looked for, and puts its next turn off.
  func takeDue(backOff: (Int64) -> Int64) throws -> Purchase? {
    let due = try session.first(
      """
      SELECT \(Self.columns) FROM purchases WHERE state = 'open' AND next_check_at <= $1
      ORDER BY next_check_at LIMIT 1 FOR UPDATE SKIP LOCKED
      """, [.integer(session.now)]
    ).map(purchase)
    guard let due else { return nil }
    try session.run(
      "UPDATE purchases SET checks = checks + 1, next_check_at = $2 WHERE id = $1 AND state = 'open'",
      [.text(due.id), .integer(session.now + backOff(due.checks))])
    return due
  }

  private func close(
    _ id: String, as state: Purchase.State, reason: String? = nil, calledBefore: Int64 = .max
  ) throws -> Bool {
    try session.run(
      """
      UPDATE purchases SET state = $2, reason = $3, closed_at = $4
      WHERE id = $1 AND state = 'open' AND called_at <= $5
      """,
      [
        .text(id), .text(state.rawValue), SQLValue(reason), .integer(session.now), .integer(calledBefore),
      ]) == 1
  }

  private func purchase(_ row: Row) throws -> Purchase {
    let word = try row.text("state")
    guard let state = Purchase.State(rawValue: word) else { throw UnknownPurchaseState(word: word) }
    return Purchase(
      id: try row.text("id"), userID: try row.text("user_id"), amount: try row.integer("amount"),
      paymentMethodID: try row.text("payment_method_id"), state: state,
      reason: try row.optionalText("reason"), checks: try row.integer("checks"),
      createdAt: try row.integer("created_at"))
  }
}

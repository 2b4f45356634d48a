import JSONBodies
import SQL

/// The credits of all users: an append-only ledger, and the accounts that sum it up.
///
/// Each function is part of the session's transaction. The rules are in `README.md`, and the database enforces them.
struct Ledger {
  let session: Session

  /// What an account holds.
  struct Balance: Equatable {
    /// What can be spent.
    let current: Int64
    /// What was ever bought, given and redeemed.
    let totalEarned: Int64
    /// What was ever spent on completed generations.
    let totalSpent: Int64
    /// What is set aside for generations under way; no longer part of `current`.
    let reserved: Int64
  }

  /// How credits come in.
  enum Income: String { case purchase, bonus, redeem, grant }

  enum Refusal: Error, Equatable {
    case insufficientCredits(required: Int64, available: Int64)
    case balanceLimit
  }

  /// True if the user has been seen before.
  func hasAccount(_ user: String) throws -> Bool {
    try session.first("SELECT 1 FROM accounts WHERE user_id = $1", [.text(user)]) != nil
  }

  /// Opens an account with its bonus, unless there is one: once, whoever else does so at the same time.
  func openAccount(_ user: String, bonus: Int64) throws {
    let opened = try session.run(
      "INSERT INTO accounts (user_id, created_at) VALUES ($1, $2) ON CONFLICT (user_id) DO NOTHING",
      [.text(user), .integer(session.now)])
    guard opened == 1, bonus > 0 else { return }
    _ = try receive(bonus, as: .bonus, by: user, description: "Welcome bonus", reference: "signup")
  }

  /// The account's balance; nil if there is no account.
  func balance(of user: String) throws -> Balance? {
    try session.first(
      "SELECT balance, total_earned, total_spent, reserved FROM accounts WHERE user_id = $1", [.text(user)]
    ).map {
      Balance(
        current: try $0.integer("balance"), totalEarned: try $0.integer("total_earned"),
        totalSpent: try $0.integer("total_spent"), reserved: try $0.integer("reserved"))
    }
  }

  /// Adds credits to an account that is open.
  /// - Throws: `Refusal.balanceLimit` if the account cannot hold so much.
  func receive(
    _ amount: Int64, as income: Income, by user: String, description: String, reference: String? = nil
  ) throws -> CreditTransaction {
    let balance = try session.first(
      """
      UPDATE accounts SET balance = balance + $2, total_earned = total_earned + $2
      WHERE user_id = $1 AND balance <= \(Schema.largestBalance) - $2 RETURNING balance
      """, [.text(user), .integer(amount)])
    guard let balance else { throw Refusal.balanceLimit }
    return try append(
      amount, type: income.rawValue, user: user, description: description,
      balanceAfter: try balance.integer("balance"), reference: reference)
  }

  /// Sets aside the cost of a generation: it leaves the balance, and is not spent yet.
  /// - Throws: `Refusal.insufficientCredits`; nothing has changed then.
  func reserve(_ amount: Int64, for generation: String, by user: String, description: String) throws {
    let balance = try session.first(
      """
      UPDATE accounts SET balance = balance - $2, reserved = reserved + $2
      WHERE user_id = $1 AND balance >= $2 RETURNING balance
      """, [.text(user), .integer(amount)])
    guard let balance else {
      throw Refusal.insufficientCredits(
        required: amount, available: try self.balance(of: user)?.current ?? 0)
    }
    try session.run(
      "INSERT INTO reservations (generation_id, user_id, amount, created_at) VALUES ($1, $2, $3, $4)",
      [.text(generation), .text(user), .integer(amount), .integer(session.now)])
    _ = try append(
      -amount, type: "usage", user: user, description: description,
      balanceAfter: try balance.integer("balance"), generation: generation)
  }

  /// Spends what was reserved for a generation.
  /// - Returns: False if there is no open reservation: nothing has changed then.
  func settle(_ generation: String) throws -> Bool {
    guard let closed = try close(generation, as: "settled") else { return false }
    try session.run(
      """
      UPDATE accounts SET reserved = reserved - $2, total_spent = total_spent + $2 WHERE user_id = $1
      """, [.text(closed.user), .integer(closed.amount)])
    return true
  }

  /// Gives back what was reserved for a generation.
  /// - Returns: False if there is no open reservation: nothing has changed then.
  func refund(_ generation: String, description: String) throws -> Bool {
    guard let closed = try close(generation, as: "refunded") else { return false }
    let balance = try session.first(
      """
      UPDATE accounts SET reserved = reserved - $2, balance = balance + $2 WHERE user_id = $1 RETURNING balance
      """, [.text(closed.user), .integer(closed.amount)])
    guard let balance else { return false }
    _ = try append(
      closed.amount, type: "refund", user: closed.user, description: description,
      balanceAfter: try balance.integer("balance"), generation: generation)
    return true
  }

  /// An open reservation, made a closed one.
  private func close(_ generation: String, as state: String) throws -> (user: String, amount: Int64)? {
    try session.first(
      """
      UPDATE reservations SET state = $2, closed_at = $3
      WHERE generation_id = $1 AND state = 'open' RETURNING user_id, amount
      """, [.text(generation), .text(state), .integer(session.now)]
    ).map { (try $0.text("user_id"), try $0.integer("amount")) }
  }

  private func append(
    _ amount: Int64, type: String, user: String, description: String, balanceAfter: Int64,
    generation: String? = nil, reference: String? = nil
  ) throws -> CreditTransaction {
    let entry = CreditTransaction(
      id: Identifier.make(), userID: user, amount: amount, transactionType: type, description: description,
      balanceAfter: balanceAfter, generationID: generation, createdAt: session.now)
    try session.run(
      """
      INSERT INTO ledger (id, user_id, amount, transaction_type, description, balance_after, generation_id,
        reference, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
      """,
      [
        .text(entry.id), .text(user), .integer(amount), .text(type), .text(description),
        .integer(balanceAfter), SQLValue(generation), SQLValue(reference), .integer(session.now),
      ])
    return entry
  }
}

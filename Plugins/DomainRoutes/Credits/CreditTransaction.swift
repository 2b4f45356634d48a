import JSONBodies
import SQL

/// One entry of the ledger, as clients see it.
struct CreditTransaction: Encodable, Sendable, Equatable {
  static let types = ["purchase", "usage", "refund", "bonus", "redeem", "grant"]

  let id: String
  let userID: String
  /// Negative for what was used.
  let amount: Int64
  let transactionType: String
  let description: String
  let balanceAfter: Int64
  @ExplicitNull var generationID: String?
  let createdAt: String

  init(
    id: String, userID: String, amount: Int64, transactionType: String, description: String,
    balanceAfter: Int64, generationID: String?, createdAt: Int64
  ) {
    self.id = id
    self.userID = userID
    self.amount = amount
    self.transactionType = transactionType
    self.description = description
    self.balanceAfter = balanceAfter
    self.generationID = generationID
    self.createdAt = Timestamp.rfc3339(milliseconds: createdAt)
  }

  init(_ row: Row) throws {
    self.init(
      id: try row.text("id"), userID: try row.text("user_id"), amount: try row.integer("amount"),
      transactionType: try row.text("transaction_type"), description: try row.text("description"),
      balanceAfter: try row.integer("balance_after"), generationID: try row.optionalText("generation_id"),
      createdAt: try row.integer("created_at"))
  }

  private enum CodingKeys: String, CodingKey {
    case id, amount, description
    case userID = "user_id"
    case transactionType = "transaction_type"
    case balanceAfter = "balance_after"
    case generationID = "generation_id"
    case createdAt = "created_at"
  }
}

extension Ledger {
  /// One page of a user's entries, newest first, and how many there are.
  func entries(
    of user: String, type: String?, page: PageRequest
  ) throws -> (items: [CreditTransaction], total: Int) {
    let condition = type == nil ? "user_id = $1" : "user_id = $1 AND transaction_type = $2"
    let values: [SQLValue] = [.text(user)] + (type.map { [.text($0)] } ?? [])
    let total = try session.number("SELECT COUNT(*) FROM ledger WHERE \(condition)", values)
    let rows = try session.query(
      """
      SELECT id, user_id, amount, transaction_type, description, balance_after, generation_id, created_at
      FROM ledger WHERE \(condition) ORDER BY sequence DESC
      LIMIT $\(values.count + 1) OFFSET $\(values.count + 2)
      """, values + [SQLValue(page.perPage), SQLValue(page.offset)])
    return (try rows.map { try CreditTransaction($0) }, Int(total))
  }
}

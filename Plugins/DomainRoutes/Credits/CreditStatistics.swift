import JSONBodies

/// What a user did with credits over some days, as clients see it.
struct CreditStatistics: Encodable, Sendable {
  struct Day: Encodable, Sendable, Equatable {
    /// UTC.
    let date: String
    let spent: Int64
  }

  let currentBalance: Int64
  let periodDays: Int
  /// On generations that completed in the period.
  let totalSpent: Int64
  let totalPurchased: Int64
  /// Begun in the period, and paid for.
  let generationCount: Int64
  let transactionCount: Int64
  /// Every day of the period, oldest first; days without spending too.
  let daily: [Day]

  private enum CodingKeys: String, CodingKey {
    case daily
    case currentBalance = "current_balance"
    case periodDays = "period_days"
    case totalSpent = "total_spent"
    case totalPurchased = "total_purchased"
    case generationCount = "generation_count"
    case transactionCount = "transaction_count"
  }
}

extension Ledger {
  private static let dayLength: Int64 = 86_400_000

  /// Sums up the last `days` UTC days, today included.
  func statistics(of user: String, days: Int) throws -> CreditStatistics {
    let today = session.now / Self.dayLength
    let start = (today - Int64(days) + 1) * Self.dayLength
    var spent: [Int64: Int64] = [:]
    let spending = try session.query(
      """
      SELECT closed_at / \(Self.dayLength) AS day, SUM(amount) AS spent FROM reservations
      WHERE user_id = $1 AND state = 'settled' AND closed_at >= $2 GROUP BY closed_at / \(Self.dayLength)
      """, [.text(user), .integer(start)])
    for row in spending { spent[try row.integer("day")] = try row.integer("spent") }
    let counts = try session.first(
      """
      SELECT COUNT(*) AS transactions,
        COUNT(CASE WHEN transaction_type = 'usage' THEN 1 END) AS generations,
        COALESCE(SUM(CASE WHEN transaction_type = 'purchase' THEN amount ELSE 0 END), 0) AS purchased
      FROM ledger WHERE user_id = $1 AND created_at >= $2
      """, [.text(user), .integer(start)])
    return CreditStatistics(
      currentBalance: try balance(of: user)?.current ?? 0, periodDays: days,
      totalSpent: spent.values.reduce(0, +), totalPurchased: try counts?.integer("purchased") ?? 0,
      generationCount: try counts?.integer("generations") ?? 0,
      transactionCount: try counts?.integer("transactions") ?? 0,
      daily: (today - Int64(days) + 1...today).map {
        .init(date: Timestamp.date(milliseconds: $0 * Self.dayLength), spent: spent[$0] ?? 0)
      })
  }
}

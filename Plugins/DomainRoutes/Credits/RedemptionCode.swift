import PluginAPI
import SQL

/// A code that gives credits, as the settings state it: `WELCOME 50 limit 100 expires 2027-01-01`.
struct RedemptionCode: Sendable, Equatable {
  /// In upper case: codes are compared without case.
  let code: String
  let amount: Int64
  /// How many users can redeem it; nil: all.
  let limit: Int64?
  /// The end of its validity, in milliseconds since 1970; nil: none.
  let expiresAt: Int64?

  /// - Throws: `SettingsError` that says what is wrong with the line.
  init(parsing line: String) throws {
    var words = SettingWords(line, key: "redeem-code")
    code = try words.next("the code").uppercased()
    amount = Int64(try words.nextNumber("the amount", in: 1...1_000_000))
    var limit: Int64?
    var expiresAt: Int64?
    while let option = words.nextOption() {
      switch option {
      case "limit": limit = Int64(try words.nextNumber("the limit", in: 1...1_000_000_000))
      case "expires":
        let date = try words.next("the date")
        guard let milliseconds = CalendarDate.milliseconds(date) else {
          throw words.error("'\(date)' is not a date like 2027-01-31")
        }
        expiresAt = milliseconds
      default: throw words.error("'\(option)' is neither 'limit' nor 'expires'")
      }
    }
    self.limit = limit
    self.expiresAt = expiresAt
  }

  /// The codes of all lines, by code.
  /// - Throws: `SettingsError`, also if a code stands there twice.
  static func table(_ lines: [String]) throws -> [String: RedemptionCode] {
    var table: [String: RedemptionCode] = [:]
    for code in try lines.map({ try RedemptionCode(parsing: $0) }) {
      guard table.updateValue(code, forKey: code.code) == nil else {
        throw SettingsError(key: "redeem-code", reason: "the code \(code.code) is stated twice")
      }
    }
    return table
  }
}

extension Ledger {
  enum RedemptionRefusal: Error, Equatable { case alreadyRedeemed, expired, exhausted }

  /// Gives the user a code's credits.
  /// - Throws: `RedemptionRefusal`, `Refusal.balanceLimit`; the transaction must then be rolled back.
  func redeem(_ code: RedemptionCode, by user: String) throws -> CreditTransaction {
    // One at a time for a user: what is found here stays true.
    _ = try session.first("SELECT 1 FROM accounts WHERE user_id = $1 FOR UPDATE", [.text(user)])
    let earlier = try session.first(
      "SELECT 1 FROM ledger WHERE user_id = $1 AND reference = $2 AND transaction_type = 'redeem'",
      [.text(user), .text(code.code)])
    guard earlier == nil else { throw RedemptionRefusal.alreadyRedeemed }
    if let end = code.expiresAt, session.now >= end { throw RedemptionRefusal.expired }
    // The row counts for all users, and locks the code against a second redeemer at the same time.
    try session.run(
      "INSERT INTO redemptions (code, redeemed) VALUES ($1, 0) ON CONFLICT (code) DO NOTHING",
      [.text(code.code)])
    let counted = try session.run(
      "UPDATE redemptions SET redeemed = redeemed + 1 WHERE code = $1 AND redeemed < $2",
      [.text(code.code), .integer(code.limit ?? .max)])
    guard counted == 1 else { throw RedemptionRefusal.exhausted }
    return try receive(
      code.amount, as: .redeem, by: user, description: "Code \(code.code)", reference: code.code)
  }
}

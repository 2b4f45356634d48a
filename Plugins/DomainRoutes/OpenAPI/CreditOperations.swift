import JSONBodies

/// `/credits` for the API's description.
enum CreditOperations {
  static let all: [APIOperation] = [
    .ping("credits"),
    APIOperation(
      method: "GET", path: "credits/balance", id: "getBalance", summary: "What the user has.",
      answers: [.json(200, .named("Balance"), "The balance.")]),
    APIOperation(
      method: "GET", path: "credits/transactions", id: "listTransactions",
      summary: "The user's entries of the ledger, newest first.",
      parameters: APIOperation.Parameter.page + [
        .query("type", .string(of: CreditTransaction.types), "Only entries of this type.")
      ],
      answers: [.json(200, .named("TransactionPage"), "One page.")]),
    APIOperation(
      method: "GET", path: "credits/stats", id: "getCreditStatistics",
      summary: "What the user did with credits over the last days, by UTC day.",
      parameters: [
        .query(
          "days", JSONSchema.integer(1...365).defaulting(to: .integer(30)), "How many days, today included.")
      ],
      answers: [.json(200, .named("CreditStatistics"), "The statistics.")]),
    APIOperation(
      method: "POST", path: "credits/purchase", id: "purchaseCredits",
      summary: "Buys credits: 201 only once the payment provider says that they are paid for.",
      body: .named("PurchaseRequest"), isKeyed: true,
      answers: [.json(201, .named("Receipt"), "Paid, and credited.")],
      refusals: [
        402: ["payment-declined"], 409: ["balance-limit"], 501: ["payments-not-configured"],
      ]),
    APIOperation(
      method: "POST", path: "credits/redeem", id: "redeemCode",
      summary: "Gives the credits of a code, once a user.",
      body: .object(["code": .string(length: 1...100).described("Without regard to case.")]), isKeyed: true,
      answers: [.json(201, .named("Transaction"), "The entry by which the credits came in.")],
      refusals: [
        404: ["unknown-code"], 409: ["code-used", "code-exhausted", "balance-limit"], 410: ["code-expired"],
      ]),
    APIOperation(
      method: "POST", path: "credits/grant", id: "grantCredits", summary: "Gives credits to a user.",
      access: .role("admin"), body: .named("GrantRequest"), isKeyed: true,
      answers: [.json(201, .named("Transaction"), "The entry by which the credits came in.")],
      refusals: [409: ["balance-limit"]]),
  ]

  static let schemas: [String: JSONSchema] = [
    "Balance": .object([
      "current_balance": .count.described("What can be spent."), "total_earned": .count,
      "total_spent": .count,
      "reserved": .count.described("Set aside for generations under way."),
    ]),
    "Transaction": .object([
      "id": .uuid, "user_id": .userID,
      "amount": .integer(-9_007_199_254_740_991...9_007_199_254_740_991).described(
        "Below 0 for what was used."),
      "transaction_type": .string(of: CreditTransaction.types), "description": .string(),
      "balance_after": .count,
      "generation_id": .uuid.orNull, "created_at": .timestamp,
    ]),
    "TransactionPage": APIDocument.page(of: "Transaction"),
    "CreditStatistics": .object([
      "current_balance": .count, "period_days": .integer(1...365), "total_spent": .count,
      "total_purchased": .count, "generation_count": .count, "transaction_count": .count,
      "daily": .array(of: .object(["date": .date, "spent": .count]), count: 1...365)
        .described("Every day of the period, oldest first."),
    ]),
    "PurchaseRequest": .object([
      "credit_amount": .integer(1...1_000_000), "payment_method_id": .string(length: 1...255),
    ]),
    "Receipt": .object([
      "transaction_id": .uuid, "amount_purchased": .integer(1...1_000_000),
      "status": .string(of: ["completed"]),
    ]),
    "GrantRequest": .object([
      "user_id": .userID, "amount": .integer(1...1_000_000_000), "description": .string(length: 1...500),
    ]),
  ]
}

import JSONBodies
import PluginAPI

/// `POST credits/purchase` with a payment provider.
struct PurchaseRoute {
  let domain: Domain
  let payments: Payments

  private struct Input: Sendable {
    let amount: Int64
    let paymentMethodID: String

    init(_ request: borrowing Request) throws {
      var body = try FieldReader(request)
      let amount = body.integer("credit_amount", required: true, range: 1...1_000_000)
      let method = body.string("payment_method_id", required: true, length: 1...255)
      let (checkedAmount, checkedMethod) = try body.require(amount, method)
      self.amount = Int64(checkedAmount)
      paymentMethodID = checkedMethod
    }
  }

  private struct Receipt: Encodable {
    let transactionID: String
    let amountPurchased: Int64
    let status = "completed"

    private enum CodingKeys: String, CodingKey {
      case status
      case transactionID = "transaction_id"
      case amountPurchased = "amount_purchased"
    }
  }

  /// What is known of a purchase before the provider is asked.
  private enum Beginning {
    case ask(Purchase, isNew: Bool)
    case answer(Response)
  }

  func handler() -> Routes.Handler {
    domain.handler { request, user in
      let input = try Input(request)
      let key = try domain.idempotencyKey(of: request)
      var token: String?
      if let key {
        switch try domain.claim(key, of: user, for: request) {
        case .replay(let response): return response
        case .run(let claimed): token = claimed
        }
      }
      let refusals = ProblemWriter(request)
      do {
        return try purchase(
          input, user, key: key, token: token, within: request.remaining, refusals,
          log: { request.log(.warning, $0) })
      } catch {
        if let key, let token { try domain.release(key, of: user, token: token) }
        throw error
      }
    }
  }

  private func purchase(
    _ input: Input, _ user: String, key: String?, token: String?, within limit: Duration,
    _ refusals: ProblemWriter, log: (String) -> Void
  ) throws -> Response {
    let beginning = try domain.store.write { session in
      try begin(input, user, key: key, token: token, refusals, session)
    }
    let (purchase, isNew): (Purchase, Bool)
    switch beginning {
    case .answer(let response): return response
    case .ask(let asked, let isFirst): (purchase, isNew) = (asked, isFirst)
    }
    let outcome = try payments.charge(purchase, within: limit)
    // The answer is kept in the transaction that has the effect: what was credited was answered, and the reverse.
    let response = try domain.store.write { session -> Response? in
      let table = PurchaseTable(session: session)
      var response: Response?
      switch outcome {
      case .paid:
        guard let transaction = try table.pay(purchase) else {
          log("purchase \(purchase.id) was paid, but had been closed: see to it by hand")
          return nil
        }
        response = try receipt(transaction, purchase)
      case .declined(let reason):
        _ = try table.decline(purchase.id, reason: reason)
        response = try refusals.response(Self.declined(reason))
      case .notSent where isNew:
        _ = try table.void(purchase.id)
      case .notSent, .unknown, .notFound, .notOffered:
        try table.call(purchase.id, checkAfter: 2000)
      }
      if let response { try finish(key, user, token, with: response, session) }
      return response
    }
    if let response { return response }
    switch outcome {
    case .notSent(let why, let wait) where isNew:
      log("purchase \(purchase.id) was not asked for: \(why)")
      throw Problem.unavailable(
        "The payment provider cannot be asked now. Nothing was charged.",
        code: "payment-provider-unavailable",
        retryAfter: wait ?? .seconds(5))
    case .notSent(let why, _), .unknown(let why):
      log("purchase \(purchase.id) is not confirmed: \(why)")
    default: break
    }
    throw Self.unconfirmed
  }

  /// Writes the purchase down, or takes it up: under one key there is one purchase, whatever became of the first try.
  private func begin(
    _ input: Input, _ user: String, key: String?, token: String?, _ refusals: ProblemWriter,
    _ session: Session
  ) throws -> Beginning {
    let table = PurchaseTable(session: session)
    let earlier = try key.flatMap { try table.find(key: $0, of: user, window: domain.idempotencyWindow) }
    if let earlier, earlier.state != .void {
      guard earlier.amount == input.amount, earlier.paymentMethodID == input.paymentMethodID else {
        throw Problem.unprocessable(
          "This Idempotency-Key was used for another request.", code: "idempotency-key-reused")
      }
      switch earlier.state {
      case .open, .void:
        try table.call(earlier.id, checkAfter: payments.checkAfter)
        return .ask(earlier, isNew: false)
      case .paid:
        guard let transaction = try table.transactionID(of: earlier.id) else { throw Self.unconfirmed }
        let response = try receipt(transaction, earlier)
        try finish(key, user, token, with: response, session)
        return .answer(response)
      case .declined:
        let response = try refusals.response(Self.declined(earlier.reason))
        try finish(key, user, token, with: response, session)
        return .answer(response)
      }
    }
    // Before anybody pays for what the account cannot hold.
    let balance = try Ledger(session: session).balance(of: user)?.current ?? 0
    guard balance <= Schema.largestBalance - input.amount else { throw CreditRoutes.balanceLimit }
    let purchase = try table.open(
      input.amount, paymentMethodID: input.paymentMethodID, key: key, by: user,
      checkAfter: payments.checkAfter)
    return .ask(purchase, isNew: true)
  }

  private func finish(
    _ key: String?, _ user: String, _ token: String?, with response: Response, _ session: Session
  ) throws {
    guard let key, let token else { return }
    try IdempotencyKeys(session: session).finish(key, of: user, token: token, with: response)
  }

  private func receipt(_ transaction: String, _ purchase: Purchase) throws -> Response {
    try .json(Receipt(transactionID: transaction, amountPurchased: purchase.amount), status: 201)
  }

  private static func declined(_ reason: String?) -> Problem {
    let reason = reason.flatMap { $0.isEmpty ? nil : $0 }
    return Problem(
      status: 402, code: "payment-declined",
      detail: "The payment was declined" + (reason.map { ": \($0)" } ?? "."))
  }

  private static let unconfirmed = Problem.unavailable(
    "The payment is not confirmed, and nothing is credited yet. Ask again with the same Idempotency-Key: "
      + "there will be one payment at most, and its credits.",
    code: "payment-unconfirmed", retryAfter: .seconds(5))
}

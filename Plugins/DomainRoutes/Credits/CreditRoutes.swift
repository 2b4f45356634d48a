import JSONBodies
import PluginAPI

/// `/credits`.
struct CreditRoutes {
  let domain: Domain

  func add(to routes: inout Routes) {
    routes.get("credits/_ping", access: .public, execution: .onLoop) { _ in
      .json("{\"status\":\"ok\",\"service\":\"credits\"}")
    }
    routes.get(
      "credits/balance", access: .authenticated, execution: .blocking,
      domain.handler { [domain] _, user in
        try .json(BalanceBody(try domain.store.read { try Ledger(session: $0).balance(of: user) }))
      })
    routes.get(
      "credits/transactions", access: .authenticated, execution: .blocking,
      domain.handler { [domain] request, user in
        var query = QueryReader(request)
        let page = query.page()
        let type = query.choice("type", of: CreditTransaction.types)
        try query.check()
        let entries = try domain.store.read {
          try Ledger(session: $0).entries(of: user, type: type, page: page)
        }
        return try .json(Page(entries.items, total: entries.total, of: page))
      })
    routes.get(
      "credits/stats", access: .authenticated, execution: .blocking,
      domain.handler { [domain] request, user in
        var query = QueryReader(request)
        let days = query.integer("days", default: 30, range: 1...365)
        try query.check()
        return try .json(try domain.store.read { try Ledger(session: $0).statistics(of: user, days: days) })
      })
    routes.post(
      "credits/purchase", access: .authenticated, execution: .blocking,
      domain.payments.map { PurchaseRoute(domain: domain, payments: $0).handler() } ?? purchase())
    routes.post("credits/redeem", access: .authenticated, execution: .blocking, redeem())
    routes.post("credits/grant", access: .role("admin"), execution: .blocking, grant())
  }

  private func purchase() -> Routes.Handler {
    domain.postHandler(
      reading: { request in
        var body = try FieldReader(request)
        _ = body.integer("credit_amount", required: true, range: 1...1_000_000)
        _ = body.string("payment_method_id", required: true, length: 1...255)
        try body.check()
      },
      performing: { _, _, _ in
        throw Problem(
          status: 501, code: "payments-not-configured",
          detail: "This server takes no payments: its payment-provider is 'none'.")
      })
  }

  private func redeem() -> Routes.Handler {
    domain.postHandler(
      reading: { request in
        var body = try FieldReader(request)
        return try body.require(body.string("code", required: true, length: 1...100)).uppercased()
      },
      performing: { [codes = domain.redemptionCodes] code, user, session in
        guard let code = codes[code] else {
          throw Problem.notFound("There is no such code.", code: "unknown-code")
        }
        do {
          return try .json(try Ledger(session: session).redeem(code, by: user), status: 201)
        } catch Ledger.RedemptionRefusal.alreadyRedeemed {
          throw Problem.conflict("You have redeemed this code already.", code: "code-used")
        } catch Ledger.RedemptionRefusal.exhausted {
          throw Problem.conflict("This code has been redeemed as often as it can be.", code: "code-exhausted")
        } catch Ledger.RedemptionRefusal.expired {
          throw Problem(status: 410, code: "code-expired", detail: "This code has expired.")
        } catch Ledger.Refusal.balanceLimit {
          throw Self.balanceLimit
        }
      })
  }

  private func grant() -> Routes.Handler {
    domain.postHandler(
      reading: { request in
        var body = try FieldReader(request)
        let user = body.string("user_id", required: true, length: 1...255)
        let amount = body.integer("amount", required: true, range: 1...1_000_000_000)
        let description = body.string("description", required: true, length: 1...500)
        return try body.require(user, amount, description)
      },
      performing: { [bonus = domain.signupCredits] grant, _, session in
        let (user, amount, description) = grant
        let ledger = Ledger(session: session)
        // The receiver may not have been here yet, and gets the bonus all the same, once.
        try ledger.openAccount(user, bonus: bonus)
        do {
          return try .json(
            try ledger.receive(Int64(amount), as: .grant, by: user, description: description), status: 201)
        } catch Ledger.Refusal.balanceLimit {
          throw Self.balanceLimit
        }
      })
  }

  static let balanceLimit = Problem.conflict(
    "The account cannot hold so many credits.", code: "balance-limit")
}

private struct BalanceBody: Encodable {
  let currentBalance, totalEarned, totalSpent, reserved: Int64

  init(_ balance: Ledger.Balance?) {
    currentBalance = balance?.current ?? 0
    totalEarned = balance?.totalEarned ?? 0
    totalSpent = balance?.totalSpent ?? 0
    reserved = balance?.reserved ?? 0
  }

  private enum CodingKeys: String, CodingKey {
    case reserved
    case currentBalance = "current_balance"
    case totalEarned = "total_earned"
    case totalSpent = "total_spent"
  }
}

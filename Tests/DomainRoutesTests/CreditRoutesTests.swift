import DatabaseTesting
import PluginAPI
import PluginTesting
import Testing

@testable import DomainRoutes

@Suite struct CreditRoutesTests {
  @Test("pings are public, run on the loop and answer exact JSON", arguments: Backend.allCases)
  func pings(on backend: Backend) throws {
    let shop = try Shop(on: backend)
    for service in ["credits", "projects", "generations"] {
      let answer = try shop.send("GET", "\(service)/_ping", as: nil)
      #expect(answer.status == 200)
      #expect(answer.text == "{\"status\":\"ok\",\"service\":\"\(service)\"}")
    }
  }

  @Test(
    "every route but the pings, the models and the description needs an identity", arguments: Backend.allCases
  )
  func protectedRoutes(on backend: Backend) throws {
    let shop = try Shop(on: backend)
    let open = shop.host.routes.filter { route in
      route.hasSuffix("/_ping") || route.hasSuffix("/models/supported") || route.hasSuffix("/openapi.json")
    }
    #expect(open.count == 5)
    for route in shop.host.routes where !open.contains(route) {
      let parts = route.split(separator: " ").map(String.init)
      let path = parts[1].replacing("{id}", with: "6c1f7a0e-0000-4000-8000-000000000000")
      #expect(try shop.host.send(parts[0], path).status == 401, "\(route)")
    }
  }

  @Test("a new user has the signup credits as a bonus in the ledger", arguments: Backend.allCases)
  func signup(on backend: Backend) throws {
    let shop = try Shop(on: backend, [("signup-credits", "40")])
    let balance = try shop.get("credits/balance")
    #expect(balance["current_balance"].int == 40)
    #expect(balance["total_earned"].int == 40)
    #expect(balance["total_spent"].int == 0)
    #expect(balance["reserved"].int == 0)
    let entry = try shop.get("credits/transactions")["items"][0]
    #expect(entry["transaction_type"].string == "bonus")
    #expect(entry["balance_after"].int == 40)
    #expect(entry["generation_id"] == .null)
    #expect(entry["user_id"].string == "alice")
  }

  @Test(
    "the signup bonus is given once to a user who arrives on 32 threads at once",
    arguments: Backend.allCases)
  func signupOnce(on backend: Backend) throws {
    let shop = try Shop(on: backend)
    let balances = try onThreads(32) { _ in try shop.balance() }
    #expect(balances.allSatisfy { $0 == 100 })
    #expect(try shop.get("credits/transactions")["total"].int == 1)
    #expect(try shop.violations() == [])
  }

  @Test("signup credits of 0 open an account without an entry", arguments: Backend.allCases)
  func noSignupCredits(on backend: Backend) throws {
    let shop = try Shop(on: backend, [("signup-credits", "0")])
    #expect(try shop.balance() == 0)
    #expect(try shop.get("credits/transactions")["total"].int == 0)
  }

  @Test("transactions are paged, newest first, and filtered by type", arguments: Backend.allCases)
  func transactions(on backend: Backend) throws {
    let shop = try Shop(on: backend)
    for amount in 1...5 {
      let body = "{\"user_id\":\"alice\",\"amount\":\(amount),\"description\":\"gift \(amount)\"}"
      #expect(try shop.send("POST", "credits/grant", body, as: admin).status == 201)
    }
    let page = try shop.get("credits/transactions?page=2&per_page=2")
    #expect(page["items"].array.map { $0["amount"].int } == [3, 2])
    #expect(page["total"].int == 6)
    #expect(page["pages"].int == 3)
    #expect(try shop.get("credits/transactions?type=bonus")["total"].int == 1)
    #expect(try shop.send("GET", "credits/transactions?type=gift&page=0&per_page=101").errorFields.count == 3)
  }

  @Test("statistics show every day of the period, and what was spent", arguments: Backend.allCases)
  func statistics(on backend: Backend) throws {
    let shop = try Shop(on: backend, workers: "1")
    let id = try shop.generate()
    try wait("the generation completes") { try shop.get("generations/\(id)")["status"].string == "completed" }
    let stats = try shop.get("credits/stats?days=7")
    #expect(stats["current_balance"].int == 95)
    #expect(stats["period_days"].int == 7)
    #expect(stats["total_spent"].int == 5)
    #expect(stats["total_purchased"].int == 0)
    #expect(stats["generation_count"].int == 1)
    #expect(stats["transaction_count"].int == 2)
    #expect(stats["daily"].array.count == 7)
    #expect(stats["daily"].array.compactMap { $0["spent"].int }.reduce(0, +) == 5)
    #expect(try shop.get("credits/stats")["daily"].array.count == 30)
    #expect(try shop.send("GET", "credits/stats?days=366").status == 422)
  }

  @Test(
    "a purchase without a payment provider is refused in so many words, after its fields are checked",
    arguments: Backend.allCases)
  func purchase(on backend: Backend) throws {
    let shop = try Shop(on: backend)
    let answer = try shop.send(
      "POST", "credits/purchase", "{\"credit_amount\":100,\"payment_method_id\":\"pm_1\"}")
    #expect(answer.status == 501)
    #expect(try answer.json["code"].string == "payments-not-configured")
    let wrong = try shop.send("POST", "credits/purchase", "{\"credit_amount\":0}")
    #expect(try wrong.errorFields == ["credit_amount", "payment_method_id"])
  }

  @Test(
    "a grant needs the role admin, and reaches a user who has not been here yet",
    arguments: Backend.allCases)
  func grant(on backend: Backend) throws {
    let shop = try Shop(on: backend)
    let body = "{\"user_id\":\"bob\",\"amount\":25,\"description\":\"sorry\"}"
    #expect(try shop.send("POST", "credits/grant", body).status == 403)
    let answer = try shop.send("POST", "credits/grant", body, as: admin)
    #expect(answer.status == 201)
    #expect(try answer.json["transaction_type"].string == "grant")
    #expect(try answer.json["balance_after"].int == 125)
    #expect(try shop.balance(of: bob) == 125)
  }

  @Test("malformed bodies are told apart: 415, 400, 422", arguments: Backend.allCases)
  func malformedBodies(on backend: Backend) throws {
    let shop = try Shop(on: backend)
    #expect(try shop.host.send("POST", "/api/v1/credits/redeem", body: "{}", identity: alice).status == 415)
    #expect(try shop.send("POST", "credits/redeem", "{\"code\":").status == 400)
    #expect(try shop.send("POST", "credits/redeem", "{\"code\":5}").errorFields == ["code"])
    #expect(try shop.send("POST", "credits/redeem", "{}").errorFields == ["code"])
    let generation = try shop.generate()
    for body in ["{}", "{\"is_favorite\":\"x\"}", "{\"is_favorite\":null}"] {
      #expect(try shop.send("PATCH", "generations/\(generation)", body).errorFields == ["is_favorite"])
    }
    for body in [
      "{\"code\":\"a\",}", "{\"code\":01}", "{\"code\":\"\\x\"}", "{\"code\":\"\t\"}", "\u{FEFF}{}",
    ] {
      #expect(
        try shop.host.send(
          "POST", "/api/v1/credits/redeem", headers: ["Content-Type": "application/json"], body: body,
          identity: alice
        ).status == 400, "\(body)")
    }
  }

  @Test(
    "a user is who the database says: one that differs only in its normal form has an account of its own",
    arguments: Backend.allCases)
  func normalForms(on backend: Backend) throws {
    let shop = try Shop(on: backend)
    let users = ["ext|\u{E9}", "ext|e\u{301}"].map { Identity(subject: $0, email: "", role: "viewer") }
    for user in users { #expect(try shop.balance(of: user) == 100) }
    for user in users { #expect(try shop.get("credits/transactions", as: user)["total"].int == 1) }
  }

  @Test("a value that the database cannot keep is refused, and is no fault")
  func unkeepable() throws {
    let shop = try Shop(on: .postgreSQL)
    // Of random letters: what an index compresses may be longer.
    let long = String((0..<4000).map { _ in Character(Unicode.Scalar(UInt8.random(in: 97...122))) })
    let answer = try shop.host.send(
      "GET", "/api/v1/credits/balance", identity: Identity(subject: long, email: "", role: "viewer"))
    #expect(answer.status == 422)
    #expect(try answer.json["code"].string == "validation-failed")
  }

  @Test("what is not built in is a start error that says so", arguments: Backend.allCases)
  func startErrors(on backend: Backend) throws {
    for (key, value) in [
      ("payment-provider", "http"), ("generation-provider", "http"), ("database", "mysql://x/y"),
      ("database", "postgres://h:port/y"),
      ("workers", "17"), ("redeem-code", "WELCOME"), ("redeem-code", "A 5 expires 2027-02-30"),
      ("model", "a price x"), ("model", "a price 5 max 10x10"), ("model", "a price 5 style cubist"),
    ] {
      #expect(throws: (any Error).self, "\(key) = \(value)") {
        try Shop(on: backend, [(key, value)], workers: "1")
      }
    }
  }
}

@Suite struct RedemptionTests {
  private let codes = [
    ("redeem-code", "WELCOME 50"), ("redeem-code", "FIRST10 5 limit 10"),
    ("redeem-code", "OLD 5 expires 2020-01-01"), ("redeem-code", "SOON 5 limit 2 expires 2999-12-31"),
  ]

  private func redeem(_ code: String, _ shop: Shop, as identity: Identity = alice) throws -> Answer {
    try shop.send("POST", "credits/redeem", "{\"code\":\"\(code)\"}", as: identity)
  }

  @Test("a code gives its credits once per user, whatever its case", arguments: Backend.allCases)
  func once(on backend: Backend) throws {
    let shop = try Shop(on: backend, codes)
    let first = try redeem("welcome", shop)
    #expect(first.status == 201)
    #expect(try first.json["amount"].int == 50)
    #expect(try first.json["transaction_type"].string == "redeem")
    let second = try redeem("WELCOME", shop)
    #expect(second.status == 409)
    #expect(try second.json["code"].string == "code-used")
    #expect(try redeem("WELCOME", shop, as: bob).status == 201)
    #expect(try shop.balance() == 150)
  }

  @Test("unknown codes are 404, expired ones 410, those that run later are good", arguments: Backend.allCases)
  func refusals(on backend: Backend) throws {
    let shop = try Shop(on: backend, codes)
    #expect(try redeem("NOPE", shop).status == 404)
    #expect(try redeem("OLD", shop).status == 410)
    #expect(try redeem("SOON", shop).status == 201)
  }

  @Test("a code for ten is redeemed by ten of 64 who try at once", arguments: Backend.allCases)
  func limited(on backend: Backend) throws {
    let shop = try Shop(on: backend, codes)
    let statuses = try onThreads(64) { index in
      try redeem("FIRST10", shop, as: Identity(subject: "user-\(index)")).status
    }
    #expect(statuses.filter { $0 == 201 }.count == 10)
    #expect(statuses.filter { $0 == 409 }.count == 54)
    #expect(try shop.violations() == [])
  }

  @Test("a user who tries one code on 16 threads gets it once", arguments: Backend.allCases)
  func oneUserAtOnce(on backend: Backend) throws {
    let shop = try Shop(on: backend, codes)
    let statuses = try onThreads(16) { _ in try redeem("WELCOME", shop).status }
    #expect(statuses.filter { $0 == 201 }.count == 1)
    #expect(try shop.balance() == 150)
  }
}

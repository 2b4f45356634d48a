import DatabaseTesting
import LocalServer
import PluginTesting
import Synchronization
import Testing

@testable import DomainRoutes

/// A payment provider as its contract has it: one payment for each Idempotency-Key, whatever happens on the way.
final class Bank: Sendable {
  enum Mood: Sendable {
    case well
    /// Takes the payment, and then answers like this.
    case charging(LocalServer.Reply)
    /// Answers like this, and takes nothing.
    case refusing(LocalServer.Reply)
  }

  private struct State {
    var mood = Mood.well
    var paid: [String: Int] = [:]
    var declined: Set<String> = []
    var offersLookUps = true
  }
  private let state = Mutex(State())

  var payments: [String: Int] { state.withLock { $0.paid } }
  func feel(_ mood: Mood) { state.withLock { $0.mood = mood } }
  func offerNoLookUps() { state.withLock { $0.offersLookUps = false } }

  func server() throws -> LocalServer { try LocalServer { self.answer($0) } }

  func answer(_ request: LocalServer.Request) -> LocalServer.Reply {
    state.withLock { state in
      if request.method == "GET" {
        let id = request.target.split(separator: "/").last.map(String.init) ?? ""
        if !state.offersLookUps { return .answer(405) }
        if state.paid[id] != nil { return .json("{\"status\":\"paid\",\"id\":\"\(id)\"}") }
        return state.declined.contains(id) ? .json("{\"status\":\"declined\"}") : .answer(404)
      }
      guard let order = try? JSONValue(parsing: request.body),  // lint: allow, 400 says so
        let id = order["id"].string, let amount = order["credit_amount"].int,
        id == request.headers["idempotency-key"]
      else { return .answer(400) }
      if case .refusing(let reply) = state.mood { return reply }
      if order["payment_method_id"].string == "declined" {
        state.declined.insert(id)
        return .json("{\"status\":\"declined\",\"reason\":\"Insufficient funds\"}", status: 402)
      }
      state.paid[id] = amount
      if case .charging(let reply) = state.mood { return reply }
      return .json("{\"status\":\"paid\",\"id\":\"\(id)\",\"credit_amount\":\(amount)}", status: 201)
    }
  }
}

/// A shop with a bank of its own.
private struct PurchaseBench {
  let bank = Bank()
  let server: LocalServer
  let shop: Shop
  static let body = "{\"credit_amount\":50,\"payment_method_id\":\"pm_1\"}"

  init(_ backend: Backend) throws {
    server = try bank.server()
    shop = try Self.shop(on: backend, server.url)
  }

  static func shop(
    on backend: Backend, _ url: String, _ settings: (String, String)...
  ) throws -> Shop {
    try Shop(
      on: backend,
      [
        ("payment-provider", "http"), ("payment-endpoint", url + "/payments"), ("payment-token", "s3cret"),
        ("payment-timeout", "1s"), ("payment-retries", "0"),
      ] + settings)
  }

  func buy(_ key: String? = nil, _ body: String = PurchaseBench.body) throws -> Answer {
    try shop.send("POST", "credits/purchase", body, headers: key.map { [("Idempotency-Key", $0)] } ?? [])
  }

  func purchases() throws -> Int? { try shop.get("credits/transactions?type=purchase")["total"].int }
}

@Suite struct PurchaseTests {
  @Test("a payment that is made is credited, and told", arguments: Backend.allCases)
  func paid(on backend: Backend) throws {
    let bench = try PurchaseBench(backend)
    let answer = try bench.buy()
    #expect(answer.status == 201)
    let receipt = try answer.json
    #expect(receipt["amount_purchased"].int == 50)
    #expect(receipt["status"].string == "completed")
    let entry = try bench.shop.get("credits/transactions?type=purchase")["items"][0]
    #expect(entry["id"] == receipt["transaction_id"])
    #expect(entry["amount"].int == 50)
    #expect(try bench.shop.balance() == 150)
    #expect(try bench.shop.get("credits/stats")["total_purchased"].int == 50)
    let request = bench.server.requests[0]
    #expect(request.target == "/payments")
    #expect(request.headers["authorization"] == "Bearer s3cret")
    let order = try JSONValue(parsing: request.body)
    #expect(order["user_id"].string == "alice")
    #expect(order["payment_method_id"].string == "pm_1")
    #expect(order["id"].string == request.headers["idempotency-key"])
    #expect(try bench.shop.violations() == [])
  }

  @Test(
    "under one key there is one payment and one credit, and the same answer byte for byte",
    arguments: Backend.allCases)
  func repeated(on backend: Backend) throws {
    let bench = try PurchaseBench(backend)
    let first = try bench.buy("k")
    let second = try bench.buy("k")
    #expect(first.status == 201)
    #expect(second.body == first.body)
    #expect(second.header("idempotency-replayed") == "true")
    #expect(bench.server.requests.count == 1)
    #expect(try bench.shop.balance() == 150)
    let other = try bench.buy("k", "{\"credit_amount\":51,\"payment_method_id\":\"pm_1\"}")
    #expect(other.status == 422)
    #expect(try bench.buy().status == 201)
    #expect(bench.bank.payments.count == 2)
  }

  @Test(
    "a payment that is declined answers 402 and its reason, and credits nothing", arguments: Backend.allCases)
  func declined(on backend: Backend) throws {
    let bench = try PurchaseBench(backend)
    let body = "{\"credit_amount\":50,\"payment_method_id\":\"declined\"}"
    let answer = try bench.buy("k", body)
    #expect(answer.status == 402)
    #expect(answer.header("content-type") == "application/problem+json")
    #expect(try answer.json["code"].string == "payment-declined")
    #expect(try answer.json["detail"].string == "The payment was declined: Insufficient funds")
    #expect(try bench.buy("k", body).body == answer.body)
    #expect(try bench.shop.balance() == 100)
    #expect(try bench.purchases() == 0)
    #expect(try bench.shop.violations() == [])
  }

  @Test(
    "a provider that is away answers 503, and nothing was charged; the same key buys when it is back",
    arguments: Backend.allCases)
  func unreachable(on backend: Backend) throws {
    let bench = try PurchaseBench(backend)
    bench.server.close()
    let answer = try bench.buy("k")
    #expect(answer.status == 503)
    #expect(try answer.json["code"].string == "payment-provider-unavailable")
    #expect(answer.header("retry-after") != nil)
    #expect(try bench.shop.balance() == 100)
    let back = try LocalServer(port: bench.server.port) { [bench] in bench.bank.answer($0) }
    #expect(try bench.buy("k").status == 201)
    #expect(back.requests.count == 1)
    #expect(try bench.shop.balance() == 150)
    #expect(try bench.shop.violations() == [])
  }

  @Test(
    "without a clear answer nothing is credited, and the same key finds the payment that was made",
    arguments: Backend.allCases,
    [
      LocalServer.Reply.silence, .hangUp, .answer(500), .answer(204), .answer(401), .json("{}"), .json("["),
      .json("{\"status\":\"pending\"}"), .json("{\"status\":\"paid\"}", status: 202),
      .json("{\"status\":\"paid\",\"id\":\"another\"}"), .json("{\"status\":\"paid\",\"credit_amount\":9}"),
      .answer(302, headers: [("Location", "/paid")]),
      .answer(
        200, headers: [("Content-Type", "application/json")], body: [UInt8](repeating: 0x20, count: 100_000)),
      .drip(Array("HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n".utf8), pause: .milliseconds(60)),
    ])
  func unclear(on backend: Backend, reply: LocalServer.Reply) throws {
    let bench = try PurchaseBench(backend)
    bench.bank.feel(.charging(reply))
    let answer = try bench.buy("k")
    #expect(answer.status == 503)
    #expect(try answer.json["code"].string == "payment-unconfirmed")
    #expect(try bench.shop.balance() == 100)
    bench.bank.feel(.well)
    let second = try bench.buy("k")
    #expect(second.status == 201)
    #expect(try bench.shop.balance() == 150)
    #expect(bench.bank.payments.count == 1)
    #expect(try bench.buy("k").body == second.body)
    #expect(try bench.shop.violations() == [])
  }

  @Test(
    "a payment whose answer was lost is found, and credited once, without the client's doing",
    arguments: Backend.allCases, [true, false])
  func reconciled(on backend: Backend, offersLookUps: Bool) throws {
    let bench = try PurchaseBench(backend)
    if !offersLookUps { bench.bank.offerNoLookUps() }
    bench.bank.feel(.charging(.hangUp))
    #expect(try bench.buy("k").status == 503)
    bench.bank.feel(.well)
    try wait("the credits are there", within: .seconds(30)) { try bench.shop.balance() == 150 }
    #expect(bench.bank.payments.count == 1)
    // The key that got no answer gets it now.
    let answer = try bench.buy("k")
    #expect(answer.status == 201)
    #expect(try bench.purchases() == 1)
    #expect(bench.server.requests.last?.method == (offersLookUps ? "GET" : "POST"))
    #expect(try bench.shop.violations() == [])
  }

  @Test("an error of the provider that passes is tried again with the same key", arguments: Backend.allCases)
  func retried(on backend: Backend) throws {
    let bench = try PurchaseBench(backend)
    let failures = Mutex(2)
    let flaky = try LocalServer { [bench] request in
      let fails = failures.withLock { left in
        left -= 1
        return left >= 0
      }
      return fails ? .answer(503) : bench.bank.answer(request)
    }
    let shop = try Shop(
      on: backend,
      [
        ("payment-provider", "http"), ("payment-endpoint", flaky.url), ("payment-timeout", "20s"),
      ])
    #expect(try shop.send("POST", "credits/purchase", PurchaseBench.body).status == 201)
    #expect(Set(flaky.requests.map { $0.headers["idempotency-key"] }).count == 1)
    #expect(flaky.requests.count == 3)
    #expect(try shop.balance() == 150)
  }

  @Test("a breaker that is open refuses at once, and charges nothing", arguments: Backend.allCases)
  func breaker(on backend: Backend) throws {
    let bench = try PurchaseBench(backend)
    bench.bank.feel(.refusing(.answer(500)))
    for number in 0..<5 { #expect(try bench.buy("k\(number)").status == 503) }
    let asked = bench.server.requests.filter { $0.method == "POST" }.count
    let answer = try bench.buy("k9")
    #expect(try answer.json["code"].string == "payment-provider-unavailable")
    #expect(bench.server.requests.filter { $0.method == "POST" }.count == asked)
    #expect(bench.shop.host.metric("payment_provider_breaker")?.value == 2)
  }

  @Test(
    "32 requests at once under one key make one payment; those that come too early are told so",
    arguments: Backend.allCases)
  func concurrent(on backend: Backend) throws {
    let bench = try PurchaseBench(backend)
    let answers = try onThreads(32) { [bench] _ in
      try bench.shop.send("POST", "credits/purchase", PurchaseBench.body, headers: [("Idempotency-Key", "k")])
    }
    let statuses = Set(answers.map(\.status))
    #expect(statuses.contains(201))
    #expect(statuses.isSubset(of: [201, 409]))
    #expect(bench.bank.payments.count == 1)
    #expect(try bench.shop.balance() == 150)
    #expect(try bench.shop.violations() == [])
  }

  @Test("a provider that is slow does not take more threads than its share", arguments: Backend.allCases)
  func bounded(on backend: Backend) throws {
    let bench = try PurchaseBench(backend)
    bench.bank.feel(.refusing(.silence))
    let answers = try onThreads(20) { [bench] _ in
      try bench.shop.send("POST", "credits/purchase", PurchaseBench.body)
    }
    #expect(answers.allSatisfy { $0.status == 503 })
    #expect(bench.server.requests.filter { $0.method == "POST" }.count <= Payments.concurrency)
  }

  @Test("what an account could not hold is not paid for", arguments: Backend.allCases)
  func limit(on backend: Backend) throws {
    let bench = try PurchaseBench(backend)
    let store = try bench.shop.store()
    try store.write { session in
      _ = try Ledger(session: session).openAccount("alice", bonus: 0)
      _ = try Ledger(session: session).receive(
        Schema.largestBalance - 20, as: .grant, by: "alice", description: "much")
    }
    let answer = try bench.buy()
    #expect(answer.status == 409)
    #expect(try answer.json["code"].string == "balance-limit")
    #expect(bench.server.requests.count == 0)
  }

  @Test("wrong fields are named before anybody is asked", arguments: Backend.allCases)
  func validation(on backend: Backend) throws {
    let bench = try PurchaseBench(backend)
    #expect(
      try bench.buy(nil, "{\"credit_amount\":0}").errorFields == ["credit_amount", "payment_method_id"])
    #expect(bench.server.requests.count == 0)
  }
}

/// Purchases step by step, each left out as by a crash.
private struct CrashBench {
  let clock = TestClock()
  let database: PluginDatabase
  let store: Store
  let provider = ModelProvider()
  let payments: Payments

  init(_ backend: Backend) throws {
    database = try PluginDatabase(backend)
    store = try database.store { [clock] in clock.now }
    payments = Payments(provider, store: store, timeout: .seconds(10), log: { _, _ in })
    try store.write { try Ledger(session: $0).openAccount("u", bonus: 0) }
  }

  /// Does what its contract says, and counts what it was asked.
  final class ModelProvider: PaymentProvider {
    let paid = Mutex<Set<String>>([])
    let isAway = Mutex(false)

    func charge(
      _ purchase: Purchase, within limit: Duration, checkpoint: () throws -> Void
    ) throws -> PaymentOutcome {
      if isAway.withLock({ $0 }) { return .notSent("away", retryAfter: nil) }
      paid.withLock { _ = $0.insert(purchase.id) }
      return .paid
    }

    func lookUp(
      _ purchase: Purchase, within limit: Duration, checkpoint: () throws -> Void
    ) throws -> PaymentOutcome {
      if isAway.withLock({ $0 }) { return .notSent("away", retryAfter: nil) }
      return paid.withLock { $0.contains(purchase.id) } ? .paid : .notFound
    }
  }

  func open(_ key: String? = nil) throws -> Purchase {
    try store.write {
      try PurchaseTable(session: $0).open(
        10, paymentMethodID: "pm", key: key, by: "u", checkAfter: payments.checkAfter)
    }
  }

  func balance() throws -> Int64? {
    try store.read { try Ledger(session: $0).balance(of: "u")?.current }
  }
  func state(_ purchase: Purchase) throws -> Purchase.State? {
    try store.read { try PurchaseTable(session: $0).find(purchase.id)?.state }
  }
  func violations() throws -> [String] {
    try store.read { try LedgerAudit(session: $0).violations() }
  }
}

@Suite struct PurchaseCrashTests {
  @Test(
    "a process that died after the charge leaves a purchase that is found and credited once",
    arguments: Backend.allCases)
  func diedAfterCharge(on backend: Backend) throws {
    let bench = try CrashBench(backend)
    let purchase = try bench.open()
    #expect(try bench.payments.charge(purchase, within: .seconds(30)) == .paid)
    #expect(try !bench.payments.reconcileNext())
    bench.clock.advance(milliseconds: bench.payments.checkAfter)
    #expect(try bench.payments.reconcileNext())
    #expect(try bench.balance() == 10)
    bench.clock.advance(milliseconds: 3_600_000)
    #expect(try !bench.payments.reconcileNext())
    #expect(try bench.balance() == 10)
    #expect(try bench.violations() == [])
  }

  @Test(
    "a process that died before the charge leaves a purchase that is closed after a while, and not charged",
    arguments: Backend.allCases)
  func diedBeforeCharge(on backend: Backend) throws {
    let bench = try CrashBench(backend)
    let purchase = try bench.open()
    for _ in 0..<30 where try bench.state(purchase) == .open {
      bench.clock.advance(milliseconds: 60_000)
      _ = try bench.payments.reconcileNext()
    }
    #expect(try bench.state(purchase) == .void)
    #expect(bench.clock.now - purchase.createdAt >= Payments.grace)
    #expect(try bench.balance() == 0)
    #expect(bench.provider.paid.withLock { $0.isEmpty })
    #expect(try bench.violations() == [])
  }

  @Test(
    "while the provider is away a purchase stays open, and is looked for less and less often",
    arguments: Backend.allCases)
  func away(on backend: Backend) throws {
    let bench = try CrashBench(backend)
    let purchase = try bench.open()
    _ = try bench.payments.charge(purchase, within: .seconds(30))
    bench.provider.isAway.withLock { $0 = true }
    var looks = 0
    for _ in 0..<(48 * 60) {
      bench.clock.advance(milliseconds: 60_000)
      if try bench.payments.reconcileNext() { looks += 1 }
    }
    #expect(try bench.state(purchase) == .open)
    #expect(40...70 ~= looks)
    bench.provider.isAway.withLock { $0 = false }
    bench.clock.advance(milliseconds: 3_600_000)
    #expect(try bench.payments.reconcileNext())
    #expect(try bench.balance() == 10)
  }

  @Test(
    "the database refuses a credit without its paid purchase, a second one, and to open a closed purchase",
    arguments: Backend.allCases)
  func guards(on backend: Backend) throws {
    let bench = try CrashBench(backend)
    #expect(throws: (any Error).self) {
      try bench.store.write {
        try Ledger(session: $0).receive(10, as: .purchase, by: "u", description: "x", reference: "none")
      }
    }
    let purchase = try bench.open()
    #expect(try bench.store.write { try PurchaseTable(session: $0).pay(purchase) } != nil)
    for statement in [
      "UPDATE purchases SET state = 'open', closed_at = NULL", "UPDATE purchases SET amount = 1000",
      "DELETE FROM purchases",
    ] {
      #expect(throws: (any Error).self, "\(statement)") { try bench.store.write { try $0.run(statement) } }
    }
    #expect(throws: (any Error).self) {
      try bench.store.write {
        try Ledger(session: $0).receive(10, as: .purchase, by: "u", description: "x", reference: purchase.id)
      }
    }
    #expect(try bench.balance() == 10)
    #expect(try bench.violations() == [])
  }

  @Test(
    "over random crashes, retries and look-ups every payment is credited once, and nothing else is",
    arguments: Backend.allCases, [UInt64(1), 20_250_815, UInt64.random(in: 0...UInt64.max)])
  func property(on backend: Backend, seed: UInt64) throws {
    let bench = try CrashBench(backend)
    print("seed \(seed)")
    var random = SplitMix64(seed: seed)
    var purchases: [Purchase] = []
    for _ in 0..<300 {
      switch Int.random(in: 0..<7, using: &random) {
      case 0: purchases.append(try bench.open())
      case 1:
        guard let purchase = purchases.randomElement(using: &random), try bench.state(purchase) == .open
        else {
          continue
        }
        try bench.store.write {
          try PurchaseTable(session: $0).call(purchase.id, checkAfter: bench.payments.checkAfter)
        }
        _ = try bench.payments.charge(purchase, within: .seconds(30))
      case 2:
        // Whoever asked hears the answer, perhaps late.
        guard let purchase = purchases.randomElement(using: &random),
          bench.provider.paid.withLock({ $0.contains(purchase.id) })
        else { continue }
        #expect(try bench.store.write { try PurchaseTable(session: $0).pay(purchase) } != nil)
      case 3: bench.clock.advance(milliseconds: Int64.random(in: 0...600_000, using: &random))
      case 4: bench.provider.isAway.withLock { $0 = Bool.random(using: &random) }
      default: _ = try bench.payments.reconcileNext()
      }
      #expect(try bench.violations() == [])
    }
    bench.provider.isAway.withLock { $0 = false }
    for _ in 0..<50 {
      bench.clock.advance(milliseconds: 3_600_000)
      while try bench.payments.reconcileNext() {}
    }
    #expect(try bench.balance() == Int64(bench.provider.paid.withLock { $0.count }) * 10)
    for purchase in purchases { #expect(try bench.state(purchase) != .open) }
    #expect(try bench.violations() == [])
  }
}

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

@Suite struct PurchaseTests {
  private let bank = Bank()
  private let server: LocalServer
  private let shop: Shop
  private static let body = "{\"credit_amount\":50,\"payment_method_id\":\"pm_1\"}"

  init() throws {
    server = try bank.server()
    shop = try Self.shop(server.url)
  }

  private static func shop(
    _ url: String, _ settings: (String, String)...
  ) throws -> Shop {
    try Shop(
      on: .sqlite,
      [
        ("payment-provider", "http"), ("payment-endpoint", url + "/payments"), ("payment-token", "s3cret"),
        ("payment-timeout", "1s"), ("payment-retries", "0"),
      ] + settings)
  }

  private func buy(_ key: String? = nil, _ body: String = PurchaseTests.body) throws -> Answer {
    try shop.send("POST", "credits/purchase", body, headers: key.map { [("Idempotency-Key", $0)] } ?? [])
  }

  private func purchases() throws -> Int? { try shop.get("credits/transactions?type=purchase")["total"].int }

  @Test("a payment that is made is credited, and told")
  func paid() throws {
    let answer = try buy()
    #expect(answer.status == 201)
    let receipt = try answer.json
    #expect(receipt["amount_purchased"].int == 50)
    #expect(receipt["status"].string == "completed")
    let entry = try shop.get("credits/transactions?type=purchase")["items"][0]
    #expect(entry["id"] == receipt["transaction_id"])
    #expect(entry["amount"].int == 50)
    #expect(try shop.balance() == 150)
    #expect(try shop.get("credits/stats")["total_purchased"].int == 50)
    let request = server.requests[0]
    #expect(request.target == "/payments")
    #expect(request.headers["authorization"] == "Bearer s3cret")
    let order = try JSONValue(parsing: request.body)
    #expect(order["user_id"].string == "alice")
    #expect(order["payment_method_id"].string == "pm_1")
    #expect(order["id"].string == request.headers["idempotency-key"])
    #expect(try shop.violations() == [])
  }

  @Test("under one key there is one payment and one credit, and the same answer byte for byte")
  func repeated() throws {
    let first = try buy("k")
    let second = try buy("k")
    #expect(first.status == 201)
    #expect(second.body == first.body)
    #expect(second.header("idempotency-replayed") == "true")
    #expect(server.requests.count == 1)
    #expect(try shop.balance() == 150)
    let other = try buy("k", "{\"credit_amount\":51,\"payment_method_id\":\"pm_1\"}")
    #expect(other.status == 422)
    #expect(try buy().status == 201)
    #expect(bank.payments.count == 2)
  }

  @Test("a payment that is declined answers 402 and its reason, and credits nothing")
  func declined() throws {
    let body = "{\"credit_amount\":50,\"payment_method_id\":\"declined\"}"
    let answer = try buy("k", body)
    #expect(answer.status == 402)
    #expect(answer.header("content-type") == "application/problem+json")
    #expect(try answer.json["code"].string == "payment-declined")
    #expect(try answer.json["detail"].string == "The payment was declined: Insufficient funds")
    #expect(try buy("k", body).body == answer.body)
    #expect(try shop.balance() == 100)
    #expect(try purchases() == 0)
    #expect(try shop.violations() == [])
  }

  @Test("a provider that is away answers 503, and nothing was charged; the same key buys when it is back")
  func unreachable() throws {
    server.close()
    let answer = try buy("k")
    #expect(answer.status == 503)
    #expect(try answer.json["code"].string == "payment-provider-unavailable")
    #expect(answer.header("retry-after") != nil)
    #expect(try shop.balance() == 100)
    let back = try LocalServer(port: server.port) { [bank] in bank.answer($0) }
    #expect(try buy("k").status == 201)
    #expect(back.requests.count == 1)
    #expect(try shop.balance() == 150)
    #expect(try shop.violations() == [])
  }

  @Test(
    "without a clear answer nothing is credited, and the same key finds the payment that was made",
    arguments: [
      LocalServer.Reply.silence, .hangUp, .answer(500), .answer(204), .answer(401), .json("{}"), .json("["),
      .json("{\"status\":\"pending\"}"), .json("{\"status\":\"paid\"}", status: 202),
      .json("{\"status\":\"paid\",\"id\":\"another\"}"), .json("{\"status\":\"paid\",\"credit_amount\":9}"),
      .answer(302, headers: [("Location", "/paid")]),
      .answer(
        200, headers: [("Content-Type", "application/json")], body: [UInt8](repeating: 0x20, count: 100_000)),
      .drip(Array("HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n".utf8), pause: .milliseconds(60)),
    ])
  func unclear(reply: LocalServer.Reply) throws {
    bank.feel(.charging(reply))
    let answer = try buy("k")
    #expect(answer.status == 503)
    #expect(try answer.json["code"].string == "payment-unconfirmed")
    #expect(try shop.balance() == 100)
    bank.feel(.well)
    let second = try buy("k")
    #expect(second.status == 201)
    #expect(try shop.balance() == 150)
    #expect(bank.payments.count == 1)
    #expect(try buy("k").body == second.body)
    #expect(try shop.violations() == [])
  }

  @Test(
    "a payment whose answer was lost is found, and credited once, without the client's doing",
    arguments: [true, false])
  func reconciled(offersLookUps: Bool) throws {
    if !offersLookUps { bank.offerNoLookUps() }
    bank.feel(.charging(.hangUp))
    #expect(try buy("k").status == 503)
    bank.feel(.well)
    try wait("the credits are there", within: .seconds(30)) { try shop.balance() == 150 }
    #expect(bank.payments.count == 1)
    // The key that got no answer gets it now.
    let answer = try buy("k")
    #expect(answer.status == 201)
    #expect(try purchases() == 1)
    #expect(server.requests.last?.method == (offersLookUps ? "GET" : "POST"))
    #expect(try shop.violations() == [])
  }

  @Test("an error of the provider that passes is tried again with the same key")
  func retried() throws {
    let failures = Mutex(2)
    let flaky = try LocalServer { [bank] request in
      let fails = failures.withLock { left in
        left -= 1
        return left >= 0
      }
      return fails ? .answer(503) : bank.answer(request)
    }
    let shop = try Shop(
      on: .sqlite,
      [
        ("payment-provider", "http"), ("payment-endpoint", flaky.url), ("payment-timeout", "20s"),
      ])
    #expect(try shop.send("POST", "credits/purchase", Self.body).status == 201)
    #expect(Set(flaky.requests.map { $0.headers["idempotency-key"] }).count == 1)
    #expect(flaky.requests.count == 3)
    #expect(try shop.balance() == 150)
  }

  @Test("a breaker that is open refuses at once, and charges nothing")
  func breaker() throws {
    bank.feel(.refusing(.answer(500)))
    for number in 0..<5 { #expect(try buy("k\(number)").status == 503) }
    let asked = server.requests.filter { $0.method == "POST" }.count
    let answer = try buy("k9")
    #expect(try answer.json["code"].string == "payment-provider-unavailable")
    #expect(server.requests.filter { $0.method == "POST" }.count == asked)
    #expect(shop.host.metric("payment_provider_breaker")?.value == 2)
  }

  @Test("32 requests at once under one key make one payment; those that come too early are told so")
  func concurrent() throws {
    let answers = try onThreads(32) { [shop] _ in
      try shop.send("POST", "credits/purchase", Self.body, headers: [("Idempotency-Key", "k")])
    }
    let statuses = Set(answers.map(\.status))
    #expect(statuses.contains(201))
    #expect(statuses.isSubset(of: [201, 409]))
    #expect(bank.payments.count == 1)
    #expect(try shop.balance() == 150)
    #expect(try shop.violations() == [])
  }

  @Test("a provider that is slow does not take more threads than its share")
  func bounded() throws {
    bank.feel(.refusing(.silence))
    let answers = try onThreads(20) { [shop] _ in try shop.send("POST", "credits/purchase", Self.body) }
    #expect(answers.allSatisfy { $0.status == 503 })
    #expect(server.requests.filter { $0.method == "POST" }.count <= Payments.concurrency)
  }

  @Test("what an account could not hold is not paid for")
  func limit() throws {
    let store = try shop.store()
    try store.write { session in
      _ = try Ledger(session: session).openAccount("alice", bonus: 0)
      _ = try Ledger(session: session).receive(
        Schema.largestBalance - 20, as: .grant, by: "alice", description: "much")
    }
    let answer = try buy()
    #expect(answer.status == 409)
    #expect(try answer.json["code"].string == "balance-limit")
    #expect(server.requests.count == 0)
  }

  @Test("wrong fields are named before anybody is asked")
  func validation() throws {
    #expect(try buy(nil, "{\"credit_amount\":0}").errorFields == ["credit_amount", "payment_method_id"])
    #expect(server.requests.count == 0)
  }
}

/// Purchases step by step, each left out as by a crash.
@Suite struct PurchaseCrashTests {
  private let clock = TestClock()
  private let database: PluginDatabase
  private let store: Store
  private let provider = ModelProvider()
  private let payments: Payments

  init() throws {
    database = try PluginDatabase(.sqlite)
    store = try database.store { [clock] in clock.now }
    payments = Payments(provider, store: store, timeout: .seconds(10), log: { _, _ in })
    try store.write { try Ledger(session: $0).openAccount("u", bonus: 0) }
  }

  /// Does what its contract says, and counts what it was asked.
  private final class ModelProvider: PaymentProvider {
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

  private func open(_ key: String? = nil) throws -> Purchase {
    try store.write {
      try PurchaseTable(session: $0).open(
        10, paymentMethodID: "pm", key: key, by: "u", checkAfter: payments.checkAfter)
    }
  }

  private func balance() throws -> Int64? {
    try store.read { try Ledger(session: $0).balance(of: "u")?.current }
  }
  private func state(_ purchase: Purchase) throws -> Purchase.State? {
    try store.read { try PurchaseTable(session: $0).find(purchase.id)?.state }
  }
  private func violations() throws -> [String] {
    try store.read { try LedgerAudit(session: $0).violations() }
  }

  @Test("a process that died after the charge leaves a purchase that is found and credited once")
  func diedAfterCharge() throws {
    let purchase = try open()
    #expect(try payments.charge(purchase, within: .seconds(30)) == .paid)
    #expect(try !payments.reconcileNext())
    clock.advance(milliseconds: payments.checkAfter)
    #expect(try payments.reconcileNext())
    #expect(try balance() == 10)
    clock.advance(milliseconds: 3_600_000)
    #expect(try !payments.reconcileNext())
    #expect(try balance() == 10)
    #expect(try violations() == [])
  }

  @Test(
    "a process that died before the charge leaves a purchase that is closed after a while, and not charged")
  func diedBeforeCharge() throws {
    let purchase = try open()
    for _ in 0..<30 where try state(purchase) == .open {
      clock.advance(milliseconds: 60_000)
      _ = try payments.reconcileNext()
    }
    #expect(try state(purchase) == .void)
    #expect(clock.now - purchase.createdAt >= Payments.grace)
    #expect(try balance() == 0)
    #expect(provider.paid.withLock { $0.isEmpty })
    #expect(try violations() == [])
  }

  @Test("while the provider is away a purchase stays open, and is looked for less and less often")
  func away() throws {
    let purchase = try open()
    _ = try payments.charge(purchase, within: .seconds(30))
    provider.isAway.withLock { $0 = true }
    var looks = 0
    for _ in 0..<(48 * 60) {
      clock.advance(milliseconds: 60_000)
      if try payments.reconcileNext() { looks += 1 }
    }
    #expect(try state(purchase) == .open)
    #expect(40...70 ~= looks)
    provider.isAway.withLock { $0 = false }
    clock.advance(milliseconds: 3_600_000)
    #expect(try payments.reconcileNext())
    #expect(try balance() == 10)
  }

  @Test(
    "the database refuses a credit without its paid purchase, a second one, and to open a closed purchase")
  func guards() throws {
    #expect(throws: (any Error).self) {
      try store.write {
        try Ledger(session: $0).receive(10, as: .purchase, by: "u", description: "x", reference: "none")
      }
    }
    let purchase = try open()
    #expect(try store.write { try PurchaseTable(session: $0).pay(purchase) } != nil)
    for statement in [
      "UPDATE purchases SET state = 'open', closed_at = NULL", "UPDATE purchases SET amount = 1000",
      "DELETE FROM purchases",
    ] {
      #expect(throws: (any Error).self, "\(statement)") { try store.write { try $0.run(statement) } }
    }
    #expect(throws: (any Error).self) {
      try store.write {
        try Ledger(session: $0).receive(10, as: .purchase, by: "u", description: "x", reference: purchase.id)
      }
    }
    #expect(try balance() == 10)
    #expect(try violations() == [])
  }

  @Test(
    "over random crashes, retries and look-ups every payment is credited once, and nothing else is",
    arguments: [UInt64(1), 20_250_815, UInt64.random(in: 0...UInt64.max)])
  func property(seed: UInt64) throws {
    print("seed \(seed)")
    var random = SplitMix64(seed: seed)
    var purchases: [Purchase] = []
    for _ in 0..<300 {
      switch Int.random(in: 0..<7, using: &random) {
      case 0: purchases.append(try open())
      case 1:
        guard let purchase = purchases.randomElement(using: &random), try state(purchase) == .open else {
          continue
        }
        try store.write { try PurchaseTable(session: $0).call(purchase.id, checkAfter: payments.checkAfter) }
        _ = try payments.charge(purchase, within: .seconds(30))
      case 2:
        // Whoever asked hears the answer, perhaps late.
        guard let purchase = purchases.randomElement(using: &random),
          provider.paid.withLock({ $0.contains(purchase.id) })
        else { continue }
        #expect(try store.write { try PurchaseTable(session: $0).pay(purchase) } != nil)
      case 3: clock.advance(milliseconds: Int64.random(in: 0...600_000, using: &random))
      case 4: provider.isAway.withLock { $0 = Bool.random(using: &random) }
      default: _ = try payments.reconcileNext()
      }
      #expect(try violations() == [])
    }
    provider.isAway.withLock { $0 = false }
    for _ in 0..<50 {
      clock.advance(milliseconds: 3_600_000)
      while try payments.reconcileNext() {}
    }
    #expect(try balance() == Int64(provider.paid.withLock { $0.count }) * 10)
    for purchase in purchases { #expect(try state(purchase) != .open) }
    #expect(try violations() == [])
  }
}

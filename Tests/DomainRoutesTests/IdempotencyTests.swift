import DatabaseTesting
import PluginAPI
import PluginTesting
import Testing

@testable import DomainRoutes

@Suite struct IdempotencyTests {
  private let body =
    "{\"model_id\":\"sketch-1\",\"prompt\":\"a red forest\",\"parameters\":{\"width\":64,\"height\":64}}"

  private func post(
    _ shop: Shop, key: String, _ body: String? = nil, path: String = "generations",
    as identity: Identity = alice
  ) throws -> Answer {
    try shop.send("POST", path, body ?? self.body, as: identity, headers: [("Idempotency-Key", key)])
  }

  @Test(
    "the same key and body gives the first answer again, byte for byte, and is charged once",
    arguments: Backend.allCases)
  func replay(on backend: Backend) throws {
    let shop = try Shop(on: backend)
    let first = try post(shop, key: "k1")
    let second = try post(shop, key: "k1")
    #expect(first.status == 202)
    #expect(first.header("idempotency-replayed") == nil)
    #expect(second.status == 202)
    #expect(second.header("idempotency-replayed") == "true")
    #expect(second.body == first.body)
    #expect(second.header("location") == first.header("location"))
    #expect(second.header("content-type") == "application/json")
    #expect(try shop.balance() == 95)
  }

  @Test("another body, or another path, under the same key is refused", arguments: Backend.allCases)
  func otherRequest(on backend: Backend) throws {
    let shop = try Shop(on: backend)
    #expect(try post(shop, key: "k").status == 202)
    let other = try post(shop, key: "k", body.replacing("red", with: "blue"))
    #expect(other.status == 422)
    #expect(try other.json["code"].string == "idempotency-key-reused")
    #expect(try post(shop, key: "k", "{\"name\":\"p\"}", path: "projects").status == 422)
    #expect(try shop.balance() == 95)
  }

  @Test("keys are each user's own", arguments: Backend.allCases)
  func perUser(on backend: Backend) throws {
    let shop = try Shop(on: backend)
    let first = try post(shop, key: "k")
    let second = try post(shop, key: "k", as: bob)
    #expect(second.header("idempotency-replayed") == nil)
    #expect(second.body != first.body)
  }

  @Test("a refusal is kept too, byte for byte", arguments: Backend.allCases)
  func refusal(on backend: Backend) throws {
    let shop = try Shop(on: backend, [("signup-credits", "1")])
    let first = try post(shop, key: "k")
    #expect(first.status == 402)
    #expect(first.header("content-type") == "application/problem+json")
    #expect(try first.json["required"].int == 5)
    #expect(try first.json["available"].int == 1)
    let second = try post(shop, key: "k")
    #expect(second.body == first.body)
    #expect(second.header("idempotency-replayed") == "true")
  }

  @Test("a refusal that is kept keeps none of what was done before it", arguments: Backend.allCases)
  func refusalWithoutEffects(on backend: Backend) throws {
    let shop = try Shop(on: backend, [("redeem-code", "GIFT 10 limit 1")])
    #expect(try shop.balance() == 100)
    let limit = Schema.largestBalance
    _ = try shop.store().write {
      try $0.run("UPDATE accounts SET balance = $1, total_earned = $1", [.integer(limit)])
    }
    let full = try post(shop, key: "k", "{\"code\":\"GIFT\"}", path: "credits/redeem")
    #expect(full.status == 409)
    #expect(try full.json["code"].string == "balance-limit")
    // The code counts one redemption at most: had alice's been counted, none were left.
    let answer = try post(shop, key: "k", "{\"code\":\"GIFT\"}", path: "credits/redeem", as: bob)
    #expect(answer.status == 201)
  }

  @Test("two keys are none", arguments: Backend.allCases)
  func twoKeys(on backend: Backend) throws {
    let shop = try Shop(on: backend)
    let answer = try shop.send(
      "POST", "projects", "{\"name\":\"a\"}", headers: [("Idempotency-Key", "k"), ("Idempotency-Key", "l")])
    #expect(answer.status == 400)
    #expect(try answer.json["code"].string == "invalid-idempotency-key")
    #expect(try shop.get("projects")["total"].int == 0)
  }

  @Test("a request that is malformed does not use up its key", arguments: Backend.allCases)
  func malformed(on backend: Backend) throws {
    let shop = try Shop(on: backend)
    #expect(try post(shop, key: "k", "{}").status == 422)
    #expect(try post(shop, key: "k").status == 202)
  }

  @Test(
    "32 threads with one key make one generation, and get its answer or a 409",
    arguments: Backend.allCases)
  func concurrent(on backend: Backend) throws {
    let shop = try Shop(on: backend)
    let answers = try onThreads(32) { _ in try post(shop, key: "k") }
    let good = answers.filter { $0.status == 202 }
    #expect(good.count + answers.filter { $0.status == 409 }.count == 32)
    #expect(!good.isEmpty)
    #expect(good.allSatisfy { $0.body == good[0].body })
    #expect(try shop.balance() == 95)
    #expect(try shop.get("generations")["total"].int == 1)
  }

  @Test(
    "while the first runs it is 409; a run that died frees its key with its lease",
    arguments: Backend.allCases)
  func lease(on backend: Backend) throws {
    let shop = try Shop(on: backend)
    #expect(try shop.balance() == 100)
    let path = "generations"
    let request = [UInt8]("POST /api/v1/\(path)\n\(body)".utf8)
    let clock = TestClock(Int64(1000))
    // As a run at another time would have claimed it, and died.
    clock.advance(milliseconds: try shop.store().now - 1000 - IdempotencyKeys.lease / 2)
    let claim = try shop.store(clock).write {
      try IdempotencyKeys(session: $0).claim("k", of: "alice", request: request, window: 86_400_000)
    }
    guard case .run(let token) = claim else {
      Issue.record("the key was not free")
      return
    }
    #expect(try post(shop, key: "k").status == 409)
    clock.advance(milliseconds: -IdempotencyKeys.lease)
    try shop.store(clock).write {
      try IdempotencyKeys(session: $0).release("k", of: "alice", token: token)
      _ = try IdempotencyKeys(session: $0).claim("k", of: "alice", request: request, window: 86_400_000)
    }
    #expect(try post(shop, key: "k").status == 202)
    // The run that was taken for dead comes back, and can no longer answer.
    #expect(throws: Problem.self) {
      try shop.store().write {
        try IdempotencyKeys(session: $0).finish("k", of: "alice", token: token, with: .noContent())
      }
    }
  }

  @Test("answers are forgotten after the window", arguments: Backend.allCases)
  func window(on backend: Backend) throws {
    let clock = TestClock()
    let database = try PluginDatabase(backend)
    let store = try database.store { clock.now }
    func claim() throws -> IdempotencyKeys.Claim {
      try store.write { try IdempotencyKeys(session: $0).claim("k", of: "u", request: [1], window: 1000) }
    }
    guard case .run(let token) = try claim() else {
      Issue.record("the key was not free")
      return
    }
    try store.write {
      try IdempotencyKeys(session: $0).finish("k", of: "u", token: token, with: .json("{}", status: 201))
    }
    guard case .replay(let response) = try claim() else {
      Issue.record("the answer was not kept")
      return
    }
    #expect(response.status == 201)
    clock.advance(milliseconds: 1000)
    #expect(try store.write { try IdempotencyKeys(session: $0).purge(window: 1000) } == 1)
    guard case .run = try claim() else {
      Issue.record("the key is not free again")
      return
    }
  }

  @Test("a key must be visible ASCII of at most 255 characters", arguments: Backend.allCases)
  func keys(on backend: Backend) throws {
    let shop = try Shop(on: backend)
    #expect(try post(shop, key: String(repeating: "k", count: 256)).status == 400)
    #expect(try post(shop, key: "ключ").status == 400)
    #expect(try post(shop, key: String(repeating: "k", count: 255)).status == 202)
  }

  @Test("redeem, grant, projects and cancel keep their answers as well", arguments: Backend.allCases)
  func everyPost(on backend: Backend) throws {
    let shop = try Shop(on: backend, [("redeem-code", "GIFT 10")])
    let id = try shop.generate()
    for (path, body, identity) in [
      ("credits/redeem", "{\"code\":\"GIFT\"}", alice),
      ("credits/grant", "{\"user_id\":\"alice\",\"amount\":1,\"description\":\"x\"}", admin),
      ("projects", "{\"name\":\"p\"}", alice), ("generations/\(id)/cancel", "", alice),
      ("credits/purchase", "{\"credit_amount\":1,\"payment_method_id\":\"x\"}", alice),
    ] {
      let first = try post(shop, key: path, body, path: path, as: identity)
      let second = try post(shop, key: path, body, path: path, as: identity)
      #expect(second.status == first.status)
      let isKept = first.status < 500
      #expect(second.header("idempotency-replayed") == (isKept ? "true" : nil), "\(path)")
      if isKept { #expect(second.body == first.body) }
    }
    #expect(try shop.balance() == 111)
  }
}

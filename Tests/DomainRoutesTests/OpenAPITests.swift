import JSONBodies
import OpenAPITesting
import PluginTesting
import Testing

@testable import DomainRoutes

/// The description by which every answer in this suite is judged: see `Shop.send`.
enum ShopContract {
  static let contract: Contract? = {
    do {
      let text = try JSONText.encode(APIDocument.json(mount: "/api/v1"))
      return Contract(try PluginTesting.JSONValue(parsing: text.utf8))
    } catch {
      Issue.record("the description cannot be read: \(error)")
      return nil
    }
  }()

  /// Records what is wrong with an answer by the description.
  static func check(_ method: String, _ target: String, _ body: String?, _ answer: Answer) {
    let violations = contract?.violations(
      Contract.Exchange(
        method: method, target: target, requestBody: [UInt8]((body ?? "").utf8), status: answer.status,
        headers: answer.headers, body: answer.body))
    for violation in violations ?? [] { Issue.record("\(violation)") }
  }
}

@Suite struct OpenAPITests {
  private let contract: Contract

  init() throws { contract = try #require(ShopContract.contract) }

  @Test("the description is served to anybody, and not again to whoever has it")
  func served() throws {
    let shop = try Shop(on: .sqlite)
    let answer = try shop.send("GET", "openapi.json", as: nil)
    #expect(answer.status == 200)
    #expect(answer.header("content-type") == "application/json")
    #expect(try answer.json == contract.document)
    let tag = try #require(answer.header("etag"))
    let again = try shop.send("GET", "openapi.json", as: nil, headers: [("If-None-Match", tag)])
    #expect(again.status == 304)
  }

  @Test("the description is valid OpenAPI 3.1")
  func valid() {
    #expect(contract.documentErrors() == [])
  }

  @Test("the description has every route of this plugin, and no other but those under /auth")
  func complete() throws {
    let described = Set(contract.operations.filter { !$0.contains("/api/v1/auth/") })
    let routes = Set(try Shop(on: .sqlite).host.routes)
    #expect(described.subtracting(routes) == [])
    #expect(routes.subtracting(described) == [])
  }

  @Test("an answer that lacks a field, has one more, or another type, is not as described")
  func judges() throws {
    let shop = try Shop(on: .sqlite)
    let answer = try shop.send("GET", "credits/balance")
    func violations(_ change: (String) -> String) -> [String] {
      contract.violations(
        Contract.Exchange(
          method: "GET", target: "/api/v1/credits/balance", requestBody: [], status: 200,
          headers: answer.headers, body: [UInt8](change(answer.text).utf8)))
    }
    #expect(violations { $0 } == [])
    #expect(violations { $0.replacing("\"reserved\":0,", with: "") } != [])
    #expect(violations { $0.replacing("\"reserved\"", with: "\"more\":1,\"reserved\"") } != [])
    #expect(violations { $0.replacing("\"reserved\":0", with: "\"reserved\":\"0\"") } != [])
    #expect(violations { $0.replacing("\"reserved\":0", with: "\"reserved\":-1") } != [])
  }

  @Test("the description says of each route who may call it")
  func access() throws {
    let shop = try Shop(on: .sqlite)
    for operation in APIDocument.operations where operation.tag != "auth" {
      let path = operation.path.replacing("{id}", with: "6c1f7a0e-0000-4000-8000-000000000000")
      let status = try shop.send(operation.method, path, as: nil).status
      #expect((status == 401) == (operation.access != .anybody), "\(operation.method) \(path): \(status)")
      if case .role = operation.access {
        #expect(try shop.send(operation.method, path, as: alice).status == 403)
      }
    }
  }

  @Test("every code that a refusal is thrown with in this plugin is described, or is any plugin's")
  func codes() {
    let codes = Set(APIDocument.operations.flatMap { $0.allRefusals.values.joined() })
    let own = [
      "balance-limit", "code-exhausted", "code-expired", "code-used", "generation-ended",
      "generation-not-found",
      "idempotency-key-in-use", "idempotency-key-reused", "insufficient-credits", "invalid-idempotency-key",
      "media-not-available", "payment-declined", "payments-not-configured", "precondition-failed",
      "project-not-found", "unknown-code", "validation-failed",
    ]
    #expect(Set(own).subtracting(codes) == [])
  }
}

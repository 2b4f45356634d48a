import Foundation
import LocalServer
import PluginTesting
import Synchronization
import Testing

/// Providers that are asked by a process which dies meanwhile.
@Suite("A worker that dies while a provider is at work")
struct ProviderCrashTests {
  private static let png: [UInt8] = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 1, 2, 3]

  /// Kills a process once.
  private final class Killer: Sendable {
    private let target = Mutex<pid_t?>(nil)

    func aim(at process: pid_t) { target.withLock { $0 = process } }

    func strike() {
      let process = target.withLock { target in
        defer { target = nil }
        return target
      }
      if let process { kill(process, SIGKILL) }
    }
  }

  private func start(_ lines: String) throws -> HostProcess {
    try ShippedConfiguration.start(edit: {
      ShippedConfiguration.unlimited($0).replacing(
        "signup-credits = 100", with: "signup-credits = 100\n\(lines)")
    })
  }

  @Test("a payment that was made when the worker died is credited once, by the next worker")
  func payment() throws {
    let killer = Killer()
    let paid = Mutex<Set<String>>([])
    let bank = try LocalServer { request in
      if request.method == "GET" {
        let id = request.target.split(separator: "/").last.map(String.init) ?? ""
        return paid.withLock { $0.contains(id) } ? .json("{\"status\":\"paid\"}") : .answer(404)
      }
      paid.withLock { _ = $0.insert(request.headers["idempotency-key"] ?? "") }
      killer.strike()
      return .json("{\"status\":\"paid\"}")
    }
    let host = try start(
      "payment-provider = http\npayment-endpoint = \(bank.url)/payments\npayment-timeout = 1s")
    let shop = Shop(host: host)
    let user = try shop.register()
    #expect(try shop.balance(of: user) == 100)
    let worker = try host.worker().pid
    killer.aim(at: worker)
    let body = #"{"credit_amount":50,"payment_method_id":"pm_1"}"#
    let key = ("Idempotency-Key", "the-one")
    #expect(throws: (any Error).self) {
      try host.send("POST", "/api/v1/credits/purchase", json: body, headers: [user.bearer, key])
    }
    try wait("the next worker") { try host.worker().pid != worker }
    try wait("the credits") { try shop.balance(of: user) == 150 }
    // The key of a run that died is held for a while, and gives the answer then.
    let again = try host.send("POST", "/api/v1/credits/purchase", json: body, headers: [user.bearer, key])
    #expect([201, 409].contains(again.status))
    let purchases = try host.get("/api/v1/credits/transactions?type=purchase", headers: [user.bearer])
    #expect(purchases.json["total"].int == 1)
    #expect(paid.withLock { $0.count } == 1)
    #expect(try shop.balance(of: user) == 150)
  }

  @Test("a generation whose worker died is asked for again under the same key, and spent once")
  func generation() throws {
    let killer = Killer()
    let provider = try LocalServer { _ in
      killer.strike()
      return .answer(200, headers: [("Content-Type", "image/png")], body: Self.png)
    }
    let host = try start(
      "generation-provider = http\ngeneration-endpoint = \(provider.url)/jobs\njob-lease = 1s")
    let shop = Shop(host: host)
    let user = try shop.register()
    let worker = try host.worker().pid
    killer.aim(at: worker)
    let order = #"{"model_id":"sketch-1","prompt":"a ship"}"#
    let id = try #require(
      try host.send("POST", "/api/v1/generations", json: order, headers: [user.bearer]).json["id"].string)
    try wait("the next worker", within: .seconds(30)) {
      (try? host.worker().pid).map { $0 != worker } ?? false  // lint: allow, it may be dying
    }
    try wait("the generation completes", within: .seconds(30)) {
      try host.get("/api/v1/generations/\(id)", headers: [user.bearer]).json["status"].string == "completed"
    }
    #expect(try host.get("/api/v1/generations/\(id)/media", headers: [user.bearer]).body == Self.png)
    #expect(Set(provider.requests.map { $0.headers["idempotency-key"] }) == [id])
    #expect(provider.requests.count == 2)
    let balance = try host.get("/api/v1/credits/balance", headers: [user.bearer]).json
    #expect(balance["current_balance"].int == 95)
    #expect(balance["total_spent"].int == 5)
    #expect(balance["reserved"].int == 0)
  }

  @Test("libcurl is loaded only if a setting names a provider over HTTP")
  func onDemand() throws {
    func maps(_ host: HostProcess) throws -> String {
      let file = try FileHandle(
        forReadingFrom: URL(fileURLWithPath: "/proc/\(try host.worker().pid)/maps"))
      return String(decoding: try file.readToEnd() ?? Data(), as: UTF8.self)
    }
    let without = try maps(try start(""))
    #expect(without.contains("libDomainRoutes"))
    #expect(!without.contains("libcurl"))
    let with = try start("payment-provider = http\npayment-endpoint = http://127.0.0.1:1/")
    #expect(try maps(with).contains("libcurl"))
  }
}

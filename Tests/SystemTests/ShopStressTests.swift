import Foundation
import PluginTesting
import Testing

/// The shop's promises under concurrency and sudden death.
@Suite("The shop under stress")
struct ShopStressTests {
  /// The shipped configuration, without its limits on how fast one may order.
  private func start() throws -> HostProcess {
    try ShippedConfiguration.start(edit: {
      $0.replacing("limit = 600/1m burst 120", with: "limit = 60000/1m")
        .replacing(
          "limit = POST =/api/v1/generations 10/1m", with: "limit = POST =/api/v1/generations 6000/1m")
    })
  }

  private static let order =
    #"{"model_id":"mosaic-1","prompt":"a ship","parameters":{"width":64,"height":64}}"#

  @Test("twenty orders at once never spend more than there is")
  func overspending() throws {
    let host = try start()
    let user = try Shop(host: host).register()
    #expect(try Shop(host: host).balance(of: user) == 100)
    let endpoint = host.endpoints[0]
    let statuses = try onThreads(20) { index in
      try HTTPConnection(endpoint).request(
        "POST", "/api/v1/generations",
        headers: [user.bearer, ("Content-Type", "application/json"), ("Idempotency-Key", "k-\(index)")],
        body: Array(ShopStressTests.order.utf8)
      ).status
    }
    #expect(statuses.count { $0 == 202 } == 10, "\(statuses)")
    #expect(statuses.count { $0 == 402 } == 10, "\(statuses)")
    #expect(try Shop(host: host).balance(of: user) == 0)
  }

  @Test("the same order sent many times at once is taken once")
  func idempotency() throws {
    let host = try start()
    let user = try Shop(host: host).register()
    let endpoint = host.endpoints[0]
    let answers = try onThreads(12) { _ in
      try HTTPConnection(endpoint).request(
        "POST", "/api/v1/generations",
        headers: [user.bearer, ("Content-Type", "application/json"), ("Idempotency-Key", "the-one")],
        body: Array(ShopStressTests.order.utf8))
    }
    for answer in answers { #expect([202, 409].contains(answer.status), "\(answer.status) \(answer.text)") }
    #expect(Set(answers.filter { $0.status == 202 }.map { $0.json["id"].string }).count == 1)
    #expect(try Shop(host: host).balance(of: user) == 90)
  }

  @Test("workers killed while jobs run: each job is completed or refunded, and the ledger agrees")
  func killedWhileRendering() throws {
    let host = try ShippedConfiguration.start(edit: {
      $0.replacing("limit = 600/1m burst 120", with: "limit = 60000/1m")
        .replacing("signup-credits = 100", with: "signup-credits = 100\njob-lease = 2s")
    })
    let user = try Shop(host: host).register()
    let big = #"{"model_id":"sketch-1","prompt":"a storm","parameters":{"width":1024,"height":1024}}"#
    for index in 0..<8 {
      let answer = try host.send(
        "POST", "/api/v1/generations", json: big, headers: [user.bearer, ("Idempotency-Key", "job-\(index)")])
      #expect(answer.status == 202, "\(answer.text)")
    }
    let worker = try host.worker().pid
    kill(worker, SIGKILL)
    try wait("the next worker") { try host.worker().pid != worker }
    var items: [JSONValue] = []
    try wait("every job to end", within: .seconds(90), every: .milliseconds(200)) {
      items = try host.get("/api/v1/generations?per_page=100", headers: [user.bearer]).json["items"].array
      return items.count == 8 && items.allSatisfy { ["completed", "failed"].contains($0["status"].string) }
    }
    let completed = items.count { $0["status"].string == "completed" }
    #expect(completed == 8, "\(items)")
    let balance = try host.get("/api/v1/credits/balance", headers: [user.bearer]).json
    #expect(balance["current_balance"].int == 100 - 5 * completed)
    #expect(balance["reserved"].int == 0)
    #expect(balance["total_spent"].int == 5 * completed)
  }

  @Test("a token is refused at once after logout, on every loop and in the next generation")
  func logout() throws {
    let host = try start()
    let user = try Shop(host: host).register()
    // Warm every loop's cache.
    for _ in 0..<20 { #expect(try host.get("/api/v1/auth/me", headers: [user.bearer]).status == 200) }
    #expect(try host.send("POST", "/api/v1/auth/logout", headers: [user.bearer]).status == 204)
    for _ in 0..<20 { #expect(try host.get("/api/v1/auth/me", headers: [user.bearer]).status == 401) }
    let generation = try host.worker().generation
    host.process.send(signal: SIGHUP)
    try wait("the next generation") { try host.worker().generation > generation }
    #expect(try host.get("/api/v1/auth/me", headers: [user.bearer]).status == 401)
  }

  @Test("the events of a generation are streamed until it ends")
  func events() throws {
    let host = try start()
    let user = try Shop(host: host).register()
    let order = try host.send(
      "POST", "/api/v1/generations", json: ShopStressTests.order, headers: [user.bearer])
    let id = try #require(order.json["id"].string)
    let stream = try host.get("/api/v1/generations/\(id)/events", headers: [user.bearer])
    #expect(stream.status == 200)
    #expect(stream.header("Content-Type")?.hasPrefix("text/event-stream") == true)
    #expect(stream.text.contains("data:"))
    #expect(stream.text.contains("completed"), "\(stream.text)")
  }

  @Test("only an admin grants credits")
  func grants() throws {
    let host = try ShippedConfiguration.start(edit: {
      $0.replacing("# admin-emails = ada@velro.ai", with: "admin-emails = ada@velro.ai")
    })
    let admin = try Shop(host: host).register("ada@velro.ai")
    let user = try Shop(host: host).register()
    #expect(try Shop(host: host).balance(of: user) == 100)
    let grant = #"{"user_id":"\#(user.id)","amount":7,"description":"thanks"}"#
    let refused = try host.send("POST", "/api/v1/credits/grant", json: grant, headers: [user.bearer])
    #expect(refused.status == 403)
    #expect(refused.isProblem)
    #expect(
      try host.send("POST", "/api/v1/credits/grant", json: grant, headers: [admin.bearer]).status == 201)
    #expect(try Shop(host: host).balance(of: user) == 107)
  }
}

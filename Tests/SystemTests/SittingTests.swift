import Foundation
import PluginTesting
import Testing

/// One sitting of a customer: everything that the shop is for, over the wire.
@Suite("A sitting")
struct SittingTests {
  @Test("register, create a project, generate, fetch the image, and pay for it once")
  func wholeSitting() throws {
    let host = try ShippedConfiguration.start()
    let shop = Shop(host: host)
    let user = try shop.register()
    #expect(try shop.balance(of: user) == 100)

    let created = try host.send(
      "POST", "/api/v1/projects", json: #"{"name":"Autumn","description":"A campaign"}"#,
      headers: [user.bearer])
    #expect(created.status == 201, "\(created.text)")
    let project = try #require(created.json["id"].string)

    let models = try host.get("/api/v1/generations/models/supported").json
    let model = try #require(firstModel(in: models), "\(models)")
    let ordered = try host.send(
      "POST", "/api/v1/generations",
      json: """
        {"model_id":"\(model)","prompt":"a ship with bulkheads","project_id":"\(project)",
         "parameters":{"width":128,"height":64,"seed":7}}
        """,
      headers: [user.bearer, ("Idempotency-Key", "order-1")])
    #expect(ordered.status == 202, "\(ordered.text)")
    let id = try #require(ordered.json["id"].string)
    let cost = try #require(ordered.json["cost"].int)
    #expect(cost > 0)

    let again = try host.send(
      "POST", "/api/v1/generations",
      json: """
        {"model_id":"\(model)","prompt":"a ship with bulkheads","project_id":"\(project)",
         "parameters":{"width":128,"height":64,"seed":7}}
        """,
      headers: [user.bearer, ("Idempotency-Key", "order-1")])
    #expect(again.body == ordered.body)
    #expect(again.header("Idempotency-Replayed") == "true")

    var generation = JSONValue.null
    try wait("the generation to complete", within: .seconds(30)) {
      generation = try host.get("/api/v1/generations/\(id)", headers: [user.bearer]).json
      return generation["status"].string == "completed" || generation["status"].string == "failed"
    }
    #expect(generation["status"].string == "completed", "\(generation)")
    #expect(generation["media_type"].string == "image/png")

    let media = try host.get("/api/v1/generations/\(id)/media", headers: [user.bearer])
    #expect(media.status == 200)
    #expect(media.header("Content-Type") == "image/png")
    #expect(media.body.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]))
    #expect(pngSize(media.body) == [128, 64])

    #expect(try shop.balance(of: user) == 100 - cost)
    let transactions = try host.get("/api/v1/credits/transactions", headers: [user.bearer]).json
    let usage = transactions["items"].array.filter { $0["transaction_type"].string == "usage" }
    #expect(usage.count == 1, "\(transactions)")
    #expect(usage.first?["amount"].int == -cost)
    #expect(usage.first?["generation_id"].string == id)
    #expect(usage.first?["balance_after"].int == 100 - cost)
    let stats = try host.get("/api/v1/projects/\(project)/stats", headers: [user.bearer]).json
    #expect(stats["completed"].int == 1)
    #expect(stats["credits_used"].int == cost)
  }

  @Test("another user's project and image do not exist")
  func othersDoNotExist() throws {
    let host = try ShippedConfiguration.start()
    let shop = Shop(host: host)
    let owner = try shop.register()
    let other = try shop.register()
    let project = try host.send(
      "POST", "/api/v1/projects", json: #"{"name":"Mine"}"#, headers: [owner.bearer])
    let id = try #require(project.json["id"].string)
    #expect(try host.get("/api/v1/projects/\(id)", headers: [owner.bearer]).status == 200)
    for method in ["GET", "DELETE"] {
      let answer = try host.send(method, "/api/v1/projects/\(id)", headers: [other.bearer])
      #expect(answer.status == 404, "\(method)")
      #expect(answer.isProblem)
    }
    #expect(try host.get("/api/v1/projects/\(id)", headers: [owner.bearer]).status == 200)
  }

  @Test("a spent refresh token revokes its family")
  func refreshReuse() throws {
    let host = try ShippedConfiguration.start()
    let user = try Shop(host: host).register()
    func refresh(_ token: String) throws -> HTTPResponse {
      try host.send("POST", "/api/v1/auth/refresh", json: #"{"refresh_token":"\#(token)"}"#)
    }
    let fresh = try refresh(user.refreshToken)
    #expect(fresh.status == 200, "\(fresh.text)")
    let next = try #require(fresh.json["refresh_token"].string)
    #expect(try refresh(user.refreshToken).status == 401)
    #expect(try refresh(next).status == 401)
  }

  @Test("accounts, balances and tokens outlive the host")
  func restart() throws {
    let first = try ShippedConfiguration.start()
    let user = try Shop(host: first).register()
    #expect(try Shop(host: first).balance(of: user) == 100)
    #expect(try first.stop() == .exited(0))
    let second = try HostProcess(
      configuration: ShippedConfiguration.adapted(to: first.directory), listeners: 1, in: first.directory)
    #expect(try Shop(host: second).balance(of: user) == 100)
  }

  @Test("login attempts are limited")
  func loginLimit() throws {
    let host = try ShippedConfiguration.start()
    let user = try Shop(host: host).register()
    var statuses: [Int] = []
    for _ in 0..<40 where statuses.last != 429 {
      let answer = try host.send(
        "POST", "/api/v1/auth/login", json: #"{"email":"\#(user.email)","password":"a wrong password"}"#)
      statuses.append(answer.status)
      if answer.status == 429 { #expect(answer.header("Retry-After") != nil) }
    }
    #expect(statuses.first == 401)
    #expect(statuses.last == 429, "\(statuses)")
  }

  /// The list may be bare, or under `models` or `items`.
  private func firstModel(in json: JSONValue) -> String? {
    for list in [json, json["models"], json["items"]] {
      if let first = list.array.first { return first["id"].string ?? first["model_id"].string }
    }
    return nil
  }

  /// Width and height in a PNG's first chunk.
  private func pngSize(_ bytes: [UInt8]) -> [Int] {
    guard bytes.count > 24 else { return [] }
    return [16, 20].map { at in bytes[at..<(at + 4)].reduce(0) { $0 << 8 | Int($1) } }
  }
}

import DatabaseTesting
import Foundation
import LocalServer
import PluginTesting
import Testing

@testable import DomainRoutes

/// Generations that a server of the test's own makes, well or badly.
@Suite struct HTTPGenerationTests {
  private static let png: [UInt8] = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 1, 2, 3]
  private static let jpeg: [UInt8] = [0xff, 0xd8, 0xff, 0xe0, 1]
  private static let webp = Array("RIFF".utf8) + [1, 0, 0, 0] + Array("WEBPVP8 ".utf8)

  private func shop(on backend: Backend, _ server: LocalServer, _ settings: (String, String)...) throws
    -> Shop
  {
    try Shop(
      on: backend,
      [
        ("generation-provider", "http"), ("generation-endpoint", server.url + "/v1/jobs"),
        ("generation-token", "s3cret"), ("model", "flux price 5 max 1024x1024"),
      ] + settings, workers: "1")
  }

  /// Makes a generation, and answers it once it has ended.
  private func run(_ shop: Shop) throws -> JSONValue {
    let id = try shop.generate(model: "flux")
    var generation = JSONValue.null
    try wait("the generation ends", within: .seconds(30)) {
      generation = try shop.get("generations/\(id)")
      return ["completed", "failed"].contains(generation["status"].string)
    }
    return generation
  }

  private func expectRefunded(_ generation: JSONValue, _ shop: Shop) throws {
    #expect(generation["status"].string == "failed")
    #expect(generation["error_message"].string?.contains("refunded") == true)
    #expect(try shop.balance() == 100)
    #expect(try shop.get("credits/transactions?type=refund")["total"].int == 1)
    #expect(try shop.violations() == [])
  }

  private static func image(_ bytes: [UInt8], _ type: String = "image/png") -> LocalServer.Reply {
    .answer(200, headers: [("Content-Type", type)], body: bytes)
  }

  @Test(
    "a job is posted with all that it is, the token and its id as Idempotency-Key, and its image kept",
    arguments: Backend.allCases)
  func posted(on backend: Backend) throws {
    let server = try LocalServer { _ in Self.image(Self.png) }
    let shop = try shop(on: backend, server)
    let generation = try run(shop)
    #expect(generation["status"].string == "completed")
    let id = try #require(generation["id"].string)
    let media = try shop.send("GET", "generations/\(id)/media")
    #expect(media.body == Self.png)
    #expect(media.header("content-type") == "image/png")
    #expect(server.requests.count == 1)
    let request = server.requests[0]
    #expect(request.method == "POST")
    #expect(request.target == "/v1/jobs")
    #expect(request.headers["authorization"] == "Bearer s3cret")
    #expect(request.headers["idempotency-key"] == id)
    #expect(request.headers["content-type"] == "application/json")
    let order = try JSONValue(parsing: request.body)
    #expect(order["id"].string == id)
    #expect(order["model"].string == "flux")
    #expect(order["prompt"].string == "a blue sea")
    #expect(order.object["negative_prompt"] == .null)
    #expect(order["parameters"]["width"].int == 64)
    #expect(order["parameters"]["seed"].int == 7)
    #expect(try shop.balance() == 95)
    #expect(try shop.violations() == [])
  }

  @Test(
    "an image may come as its bytes, in base64, or from a URL of the same origin",
    arguments: [
      ("bytes", png, "image/png"), ("bytes", jpeg, "image/jpeg"), ("bytes", webp, "image/webp"),
      ("data", jpeg, "image/jpeg"), ("url", webp, "image/webp"), ("relative", png, "image/png"),
    ])
  func forms(form: String, bytes: [UInt8], type: String) throws {
    let server = try LocalServer { request in
      if request.method == "GET" { return Self.image(bytes, "application/octet-stream") }
      switch form {
      case "bytes": return Self.image(bytes, type)
      case "data": return .json("{\"data\":\"\(Data(bytes).base64EncodedString())\"}")
      case "url":
        return .json("{\"media_url\":\"http://\(request.headers["host"] ?? "")/files/1?a=b\"}", status: 201)
      default: return .json("{\"status\":\"completed\",\"media_url\":\"../files/1\"}")
      }
    }
    let shop = try shop(on: .sqlite, server)
    let generation = try run(shop)
    #expect(generation["status"].string == "completed", "\(generation)")
    #expect(generation["media_type"].string == type)
    let id = try #require(generation["id"].string)
    let media = try shop.send("GET", "generations/\(id)/media")
    #expect(media.body == bytes)
    #expect(
      media.header("content-disposition") == "inline; filename=\"\(id).\(type.dropFirst("image/".count))\"")
    if server.requests.count == 2 {
      #expect(server.requests[1].headers["authorization"] == "Bearer s3cret")
    }
  }

  @Test("a job that takes its time is looked at until it is done, where the provider says")
  func polled() throws {
    let server = try LocalServer { request in
      switch request.number {
      case 1: .json("{\"status\":\"pending\",\"status_url\":\"/status/9\"}", status: 202)
      case 2: .json("{\"status\":\"processing\"}")
      case 3: .answer(202)
      case 4: .json("{\"status\":\"completed\",\"media_url\":\"/files/9\"}")
      default: Self.image(Self.png)
      }
    }
    let generation = try run(try shop(on: .sqlite, server))
    #expect(generation["status"].string == "completed", "\(generation)")
    #expect(server.requests.map(\.target) == ["/v1/jobs", "/status/9", "/status/9", "/status/9", "/files/9"])
  }

  @Test("errors that pass are tried again with the same key, and paid once", arguments: Backend.allCases)
  func retried(on backend: Backend) throws {
    let server = try LocalServer { request in
      switch request.number {
      case 1: .answer(500)
      case 2: .answer(503)
      case 3: .answer(429, headers: [("Retry-After", "1")])
      default: Self.image(Self.png)
      }
    }
    let shop = try shop(on: backend, server)
    let generation = try run(shop)
    #expect(generation["status"].string == "completed")
    #expect(server.requests.count == 4)
    #expect(Set(server.requests.map { $0.headers["idempotency-key"] }).count == 1)
    #expect(try shop.get("credits/balance")["total_spent"].int == 5)
    #expect(shop.host.metric("generation_provider_retries_total")?.value == 3)
  }

  @Test(
    "what is no image fails the generation, which is refunded once",
    arguments: [
      LocalServer.Reply.answer(200, headers: [("Content-Type", "text/html")], body: Array("<p>".utf8)),
      .answer(200, headers: [("Content-Type", "image/png")], body: Array("<script>".utf8)),
      .answer(200, headers: [("Content-Type", "image/png")], body: jpeg),
      .answer(200, headers: [("Content-Type", "image/svg+xml")], body: Array("<svg/>".utf8)),
      .answer(200, headers: [("Content-Type", "image/png")], body: png + [UInt8](repeating: 0, count: 5000)),
      .answer(200, body: png + [UInt8](repeating: 0, count: 200_000)),
      .answer(204), .answer(400), .answer(401), .answer(302, headers: [("Location", "/x")]), .answer(202),
      .raw(Array("garbage\n\n".utf8)),
      .json("{"), .json("[]"), .json("{}"), .json("{\"data\":\"%%%\"}"), .json("{\"data\":\"aGVsbG8=\"}"),
      .json("{\"data\":7}"), .json("{\"status\":\"pending\"}"),
      .json("{\"media_url\":\"file:///etc/passwd\"}"),
      .json("{\"media_url\":\"http://127.0.0.1:1/x.png\"}"),
      .json("{\"status\":\"pending\",\"status_url\":\"http://169.254.169.254/\"}"),
    ])
  func bad(reply: LocalServer.Reply) throws {
    let server = try LocalServer { _ in reply }
    let shop = try shop(on: .sqlite, server, ("generation-max-image", "4k"))
    try expectRefunded(try run(shop), shop)
    #expect(server.requests.count == 1)
  }

  @Test("why the provider would not do it is told to the user, without control characters")
  func refused() throws {
    let server = try LocalServer { _ in
      .json("{\"status\":\"failed\",\"error\":\"The prompt is\\u0000 not\\n allowed\"}")
    }
    let shop = try shop(on: .sqlite, server)
    let generation = try run(shop)
    try expectRefunded(generation, shop)
    #expect(
      generation["error_message"].string
        == "The image could not be made: The prompt is not allowed; the credits are refunded.")
  }

  @Test(
    "a provider that is silent, or slow, is given up when the time is up",
    arguments: ["silent", "slow", "never"])
  func timesOut(how: String) throws {
    let server = try LocalServer { request in
      switch how {
      case "silent": .silence
      case "slow":
        .drip(Array("HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n".utf8), pause: .milliseconds(60))
      default: .json("{\"status\":\"processing\",\"status_url\":\"/s\"}")
      }
    }
    let shop = try shop(on: .sqlite, server, ("generation-timeout", "1s"))
    try expectRefunded(try run(shop), shop)
  }

  @Test("a provider that is away fails generations at once when the breaker is open, and is found again")
  func breaker() throws {
    let server = try LocalServer { _ in .answer(500) }
    let shop = try shop(on: .sqlite, server, ("generation-retries", "0"))
    for _ in 0..<5 { #expect(try run(shop)["status"].string == "failed") }
    #expect(server.requests.count == 5)
    #expect(try run(shop)["status"].string == "failed")
    #expect(server.requests.count == 5)
    #expect(shop.host.logLines.contains { $0.message.contains("breaker open") })
    server.handle { _ in Self.image(Self.png) }
    try wait("the breaker lets a probe through") { try run(shop)["status"].string == "completed" }
    #expect(shop.host.logLines.contains { $0.message.contains("breaker half-open") })
    #expect(shop.host.logLines.contains { $0.message.contains("breaker closed") })
    #expect(try shop.balance() == 95)
    #expect(try shop.violations() == [])
  }

  @Test(
    "a plugin that stops gives the job back, and its successor asks with the same key",
    arguments: Backend.allCases)
  func stopped(on backend: Backend) throws {
    let database = try PluginDatabase(backend)
    let server = try LocalServer { $0.number == 1 ? .silence : Self.image(Self.png) }
    let settings = [
      ("generation-provider", "http"), ("generation-endpoint", server.url), ("model", "flux price 5"),
    ]
    let first = try Shop(on: database, settings, workers: "1")
    let id = try first.generate(model: "flux")
    try wait("the job is posted") { server.requests.count == 1 }
    first.host.stop()
    let second = try Shop(on: database, settings, workers: "1")
    try wait("the job completes") { try second.get("generations/\(id)")["status"].string == "completed" }
    #expect(server.requests.map { $0.headers["idempotency-key"] } == [id, id])
    #expect(try second.balance() == 95)
    #expect(try second.violations() == [])
  }

  @Test(
    "a job that is cancelled while the provider is at it is refunded, and what comes is dropped",
    arguments: Backend.allCases)
  func cancelled(on backend: Backend) throws {
    let server = try LocalServer { request in
      if request.method == "GET" { return .json("{\"status\":\"processing\"}") }
      return .json("{\"status_url\":\"/s\"}", status: 202)
    }
    let shop = try shop(on: backend, server, ("job-lease", "200ms"))
    let id = try shop.generate(model: "flux")
    try wait("the job is looked at") { server.requests.count > 1 }
    #expect(try shop.send("POST", "generations/\(id)/cancel").status == 200)
    try wait("the run ends") {
      shop.host.logLines.contains { $0.message.contains("cancelled or taken over") }
    }
    #expect(try shop.balance() == 100)
    #expect(try shop.violations() == [])
  }

  @Test("a job that takes longer than its lease keeps it, and is posted once", arguments: Backend.allCases)
  func longJob(on backend: Backend) throws {
    let server = try LocalServer { request in
      request.number < 8
        ? .json("{\"status\":\"processing\",\"status_url\":\"/s\"}", status: request.number == 1 ? 202 : 200)
        : Self.image(Self.png)
    }
    let shop = try shop(on: backend, server, ("job-lease", "300ms"))
    #expect(try run(shop)["status"].string == "completed")
    #expect(server.requests.filter { $0.method == "POST" }.count == 1)
  }

  @Test(
    "settings that no provider could work with are refused at the start, by name",
    arguments: [
      ([("generation-provider", "http")], "generation-endpoint"),
      ([("generation-provider", "http"), ("generation-endpoint", "http://a/")], "model"),
      (
        [("generation-endpoint", "ftp://a/"), ("generation-provider", "http"), ("model", "m price 1")],
        "generation-endpoint"
      ),
      (
        [("generation-endpoint", "http://u:p@a/"), ("generation-provider", "http"), ("model", "m price 1")],
        "generation-endpoint"
      ),
      (
        [
          ("generation-endpoint", "http://a/"), ("generation-token", "a b"), ("generation-provider", "http"),
          ("model", "m price 1"),
        ], "generation-token"
      ),
      ([("generation-timeout", "10ms")], "generation-timeout"),
      ([("generation-retries", "11")], "generation-retries"),
      ([("generation-max-image", "1g")], "generation-max-image"),
      ([("payment-provider", "http")], "payment-endpoint"),
      ([("payment-timeout", "26s")], "payment-timeout"), ([("payment-retries", "-1")], "payment-retries"),
      ([("provider-authorities", "/no/such/file")], "provider-authorities"),
    ])
  func settings(settings: [(String, String)], key: String) throws {
    let failure = try #require(throws: StartFailure.self) { try Shop(on: .sqlite, settings) }
    #expect("\(failure)".contains("'\(key)'"), "\(failure)")
  }

  @Test("the models say that the provider chooses the format")
  func models() throws {
    let server = try LocalServer { _ in .answer(500) }
    let models = try shop(on: .sqlite, server).get("generations/models/supported")["models"]
    #expect(models[0]["media_type"].string == "image/*")
  }
}

import DatabaseTesting
import Foundation
import PluginAPI
import PluginTesting
import Testing

@testable import DomainRoutes

@Suite struct GenerationRoutesTests {
  private func completed(_ shop: Shop, _ id: String) throws -> JSONValue {
    try wait("the generation completes") { try shop.get("generations/\(id)")["status"].string == "completed" }
    return try shop.get("generations/\(id)")
  }

  @Test("a generation is accepted, its cost reserved, and every field there", arguments: Backend.allCases)
  func accepted(on backend: Backend) throws {
    let shop = try Shop(on: backend)
    let answer = try shop.send("POST", "generations", "{\"model_id\":\"sketch-1\",\"prompt\":\"a\"}")
    #expect(answer.status == 202)
    let generation = try answer.json
    #expect(generation["status"].string == "pending")
    #expect(generation["cost"].int == 5)
    #expect(generation["parameters"]["width"].int == 512)
    #expect(generation["parameters"]["seed"].int != nil)
    let nulls = [
      "project_id", "negative_prompt", "media_url", "media_type", "error_message", "processing_time",
      "completed_at",
    ]
    for name in nulls { #expect(generation.object[name] == .null, "\(name)") }
    #expect(generation.object.count == 17)
    let balance = try shop.get("credits/balance")
    #expect(balance["current_balance"].int == 95)
    #expect(balance["reserved"].int == 5)
    #expect(balance["total_spent"].int == 0)
    let usage = try shop.get("credits/transactions?type=usage")["items"][0]
    #expect(usage["amount"].int == -5)
    #expect(usage["generation_id"] == generation["id"])
  }

  @Test("a completed generation has an image, and its cost is spent", arguments: Backend.allCases)
  func completes(on backend: Backend) throws {
    let shop = try Shop(on: backend, workers: "2")
    let id = try shop.generate()
    let generation = try completed(shop, id)
    #expect(generation["media_url"].string == "/api/v1/generations/\(id)/media")
    #expect(generation["media_type"].string == "image/png")
    #expect(generation["processing_time"].number ?? -1 >= 0)
    #expect(generation["completed_at"].string != nil)
    let image = try shop.send("GET", "generations/\(id)/media")
    #expect(image.status == 200)
    #expect(image.header("content-type") == "image/png")
    #expect(image.body.starts(with: [0x89, 0x50, 0x4e, 0x47]))
    let tag = try #require(image.header("etag"))
    #expect(try shop.send("GET", "generations/\(id)/media", headers: [("If-None-Match", tag)]).status == 304)
    let balance = try shop.get("credits/balance")
    #expect(balance["total_spent"].int == 5)
    #expect(balance["reserved"].int == 0)
    #expect(try shop.violations() == [])
  }

  @Test("a large image is streamed, and arrives whole", arguments: Backend.allCases)
  func largeMedia(on backend: Backend) throws {
    let shop = try Shop(on: backend, [("model", "m price 1 max 2048x2048")], workers: "1")
    let id = try shop.generate(model: "m")
    let generation = try completed(shop, id)
    let path = MediaFiles.name(generation: id, attempt: 1, extension: "png")
    let large = (0..<2_500_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
    try shop.media().write(large, to: path)
    let answer = try shop.send("GET", "generations/\(id)/media")
    #expect(answer.status == 200)
    #expect(answer.header("content-type") == "image/png")
    #expect(answer.body == large)
    #expect(generation["status"].string == "completed")
  }

  @Test("an image that is lost is 503, and takes nothing else out", arguments: Backend.allCases)
  func lostMedia(on backend: Backend) throws {
    let shop = try Shop(on: backend, workers: "1")
    let id = try shop.generate()
    _ = try completed(shop, id)
    try shop.media().remove(MediaFiles.name(generation: id, attempt: 1, extension: "png"))
    let answer = try shop.send("GET", "generations/\(id)/media")
    #expect(answer.status == 503)
    #expect(try answer.json["code"].string == "media-unavailable")
    #expect(try shop.send("GET", "generations/\(id)").status == 200)
  }

  @Test("a generation whose image cannot be written fails, and is refunded")
  func unwritableMedia() throws {
    let shop = try Shop(on: .sqlite, workers: "1")
    let media = shop.host.stateDirectory + "/media"
    try FileManager.default.removeItem(atPath: media)
    try Data([1]).write(to: URL(fileURLWithPath: media))
    let id = try shop.generate()
    try wait("it fails") { try shop.get("generations/\(id)")["status"].string == "failed" }
    #expect(try shop.get("generations/\(id)")["error_message"].string != nil)
    #expect(try shop.balance() == 100)
    #expect(shop.host.metric("generations_failed_total") != nil)
    #expect(try shop.violations() == [])
  }

  @Test("the same prompt, seed and parameters give the same image", arguments: Backend.allCases)
  func deterministic(on backend: Backend) throws {
    let shop = try Shop(on: backend, workers: "2")
    let images = try (0..<2).map { _ in
      let id = try shop.generate()
      _ = try completed(shop, id)
      return try shop.send("GET", "generations/\(id)/media").body
    }
    #expect(images[0] == images[1])
  }

  @Test("an image that is not there yet is 404", arguments: Backend.allCases)
  func noMedia(on backend: Backend) throws {
    let shop = try Shop(on: backend)
    let answer = try shop.send("GET", "generations/\(try shop.generate())/media")
    #expect(answer.status == 404)
    #expect(try answer.json["code"].string == "media-not-available")
  }

  @Test("too few credits answer 402 with what is needed and what there is", arguments: Backend.allCases)
  func insufficient(on backend: Backend) throws {
    let shop = try Shop(on: backend, [("signup-credits", "7")])
    _ = try shop.generate()
    let answer = try shop.send("POST", "generations", "{\"model_id\":\"sketch-1\",\"prompt\":\"a\"}")
    #expect(answer.status == 402)
    #expect(try answer.json["code"].string == "insufficient-credits")
    #expect(try answer.json["required"].int == 5)
    #expect(try answer.json["available"].int == 2)
    #expect(try shop.get("generations")["total"].int == 1)
  }

  @Test(
    "64 threads that spend one account get as many generations as it pays for",
    arguments: Backend.allCases)
  func concurrent(on backend: Backend) throws {
    let shop = try Shop(on: backend, [("model", "m price 7 max 64x64")])
    let body = "{\"model_id\":\"m\",\"prompt\":\"a\"}"
    let statuses = try onThreads(64) { _ in try shop.send("POST", "generations", body).status }
    #expect(statuses.filter { $0 == 202 }.count == 14)
    #expect(statuses.filter { $0 == 402 }.count == 50)
    #expect(try shop.balance() == 2)
    #expect(try shop.violations() == [])
  }

  @Test("every unacceptable field is named at once, the model's own limits too", arguments: Backend.allCases)
  func validation(on backend: Backend) throws {
    let shop = try Shop(on: backend)
    let answer = try shop.send(
      "POST", "generations",
      "{\"model_id\":\"nope\",\"prompt\":\"\",\"project_id\":\"x\",\"parameters\":{\"width\":63,\"seed\":-1,\"height\":\"a\"}}"
    )
    #expect(answer.status == 422)
    #expect(
      Set(try answer.errorFields) == [
        "model_id", "prompt", "project_id", "parameters.width", "parameters.height", "parameters.seed",
      ])
    let wide = try shop.send(
      "POST", "generations", "{\"model_id\":\"sketch-1\",\"prompt\":\"a\",\"parameters\":{\"width\":1025}}")
    #expect(try wide.errorFields == ["parameters.width"])
    let huge = "{\"model_id\":\"sketch-1\",\"prompt\":\"a\",\"parameters\":{\"width\":9223372036854775807}}"
    #expect(try shop.send("POST", "generations", huge).status == 422)
    #expect(try shop.balance() == 100)
  }

  @Test("a generation goes into the user's own project only", arguments: Backend.allCases)
  func project(on backend: Backend) throws {
    let shop = try Shop(on: backend)
    let body = "{\"name\":\"p\",\"visibility\":\"public\"}"
    let project = try #require(try shop.send("POST", "projects", body, as: bob).json["id"].string)
    let answer = try shop.send(
      "POST", "generations", "{\"model_id\":\"sketch-1\",\"prompt\":\"a\",\"project_id\":\"\(project)\"}")
    #expect(answer.status == 404)
    #expect(try shop.balance() == 100)
  }

  @Test("a pending generation is cancelled and refunded once", arguments: Backend.allCases)
  func cancel(on backend: Backend) throws {
    let shop = try Shop(on: backend)
    let id = try shop.generate()
    let answer = try shop.send("POST", "generations/\(id)/cancel")
    #expect(answer.status == 200)
    #expect(try answer.json["status"].string == "cancelled")
    #expect(try shop.send("POST", "generations/\(id)/cancel").status == 409)
    #expect(try shop.balance() == 100)
    #expect(try shop.get("credits/transactions?type=refund")["total"].int == 1)
    #expect(try shop.violations() == [])
  }

  @Test(
    "a deleted generation is gone with its image; one that was pending is refunded",
    arguments: Backend.allCases)
  func delete(on backend: Backend) throws {
    let shop = try Shop(on: backend, workers: "1")
    let id = try shop.generate()
    _ = try completed(shop, id)
    let file = MediaFiles.name(generation: id, attempt: 1, extension: "png")
    #expect(try shop.media().open(file).size > 0)
    #expect(try shop.send("DELETE", "generations/\(id)").status == 204)
    #expect(throws: MediaError.self) { try shop.media().open(file) }
    for path in ["generations/\(id)", "generations/\(id)/media", "generations/\(id)/events"] {
      #expect(try shop.send("GET", path).status == 404)
    }
    #expect(try shop.balance() == 95)
    let pending = try Shop(on: backend)
    #expect(try pending.send("DELETE", "generations/\(try pending.generate())").status == 204)
    #expect(try pending.balance() == 100)
    #expect(try pending.violations() == [])
  }

  @Test("favourites, lists and statistics", arguments: Backend.allCases)
  func lists(on backend: Backend) throws {
    let shop = try Shop(on: backend)
    let project = try #require(try shop.send("POST", "projects", "{\"name\":\"p\"}").json["id"].string)
    let first = try shop.generate(",\"project_id\":\"\(project)\"")
    let second = try shop.generate()
    let answer = try shop.send("PATCH", "generations/\(first)", "{\"is_favorite\":true}")
    #expect(try answer.json["is_favorite"].bool == true)
    _ = try shop.send("POST", "generations/\(second)/cancel")
    func ids(_ query: String) throws -> [String] {
      try shop.get("generations?\(query)")["items"].array.compactMap { $0["id"].string }
    }
    #expect(try ids("") == [second, first])
    #expect(try ids("favorite=true") == [first])
    #expect(try ids("favorite=false") == [second])
    #expect(try ids("status=cancelled") == [second])
    #expect(try ids("project_id=\(project)") == [first])
    #expect(try shop.send("GET", "generations?status=x&favorite=1&project_id=y").errorFields.count == 3)
    let stats = try shop.get("generations/stats")
    #expect(stats["total"].int == 2)
    #expect(stats["pending"].int == 1)
    #expect(stats["cancelled"].int == 1)
    #expect(stats["favorites"].int == 1)
    #expect(stats["credits_spent"].int == 0)
    #expect(stats["average_processing_time"] == .null)
    #expect(try shop.send("PATCH", "generations/\(first)", "{\"is_favorite\":1}").status == 422)
    let stale = try shop.send(
      "PATCH", "generations/\(first)", "{\"is_favorite\":false}", headers: [("If-Match", "\"1\"")])
    #expect(stale.status == 412)
  }

  @Test("somebody else's generation is 404 on every route", arguments: Backend.allCases)
  func others(on backend: Backend) throws {
    let shop = try Shop(on: backend)
    let id = try shop.generate()
    for (method, path, body) in [
      ("GET", "", nil), ("GET", "/media", nil), ("GET", "/events", nil), ("DELETE", "", nil),
      ("POST", "/cancel", nil), ("PATCH", "", "{\"is_favorite\":true}"),
    ] as [(String, String, String?)] {
      #expect(
        try shop.send(method, "generations/\(id)\(path)", body, as: bob).status == 404, "\(method) \(path)")
    }
    #expect(try shop.get("generations", as: bob)["total"].int == 0)
    #expect(try shop.get("generations/\(id)")["status"].string == "pending")
  }

  @Test(
    "the models are public, with price and parameters, as the settings state them",
    arguments: Backend.allCases)
  func models(on backend: Backend) throws {
    let shipped = try Shop(on: backend).get("generations/models/supported", as: nil)["models"]
    #expect(shipped.array.map { $0["id"].string } == ["sketch-1", "mosaic-1"])
    #expect(shipped[0]["price"].int == 5)
    #expect(shipped[0]["parameters"]["width"]["maximum"].int == 1024)
    let shop = try Shop(
      on: backend, [("model", "a price 0 max 64x128 style cells name A Model"), ("model", "b price 2")])
    let models = try shop.get("generations/models/supported", as: nil)["models"]
    #expect(models.array.map { $0["name"].string } == ["A Model", "b"])
    #expect(models[0]["parameters"]["height"]["maximum"].int == 128)
  }

  @Test("a free model leaves the ledger alone", arguments: Backend.allCases)
  func freeModel(on backend: Backend) throws {
    let shop = try Shop(on: backend, [("model", "free price 0 max 64x64")], workers: "1")
    let answer = try shop.send("POST", "generations", "{\"model_id\":\"free\",\"prompt\":\"a\"}")
    let id = try #require(try answer.json["id"].string)
    _ = try completed(shop, id)
    #expect(try shop.balance() == 100)
    #expect(try shop.violations() == [])
  }

  @Test("events tell of every state until the end", arguments: Backend.allCases)
  func events(on backend: Backend) throws {
    let shop = try Shop(on: backend, workers: "1")
    let id = try shop.generate()
    let answer = try shop.send("GET", "generations/\(id)/events")
    #expect(answer.status == 200)
    #expect(answer.header("content-type") == "text/event-stream")
    let data = answer.text.split(separator: "\n").filter { $0.hasPrefix("data: ") }
    #expect(!data.isEmpty)
    let last = try JSONValue(parsing: [UInt8]((data.last ?? "").dropFirst(6).utf8))
    #expect(last["status"].string == "completed")
    #expect(last["id"].string == id)
    #expect(answer.text.contains("event: status\n"))
    #expect(answer.text.hasSuffix("\n\n"))
  }

  @Test(
    "the event stream of a cancelled generation is one event, and a client that has it gets 204",
    arguments: Backend.allCases)
  func endedEvents(on backend: Backend) throws {
    let shop = try Shop(on: backend)
    let id = try shop.generate()
    _ = try shop.send("POST", "generations/\(id)/cancel")
    let answer = try shop.send("GET", "generations/\(id)/events")
    #expect(answer.text.split(separator: "\n").filter { $0.hasPrefix("event: ") } == ["event: status"])
    let event = try #require(answer.text.split(separator: "\n").first { $0.hasPrefix("id: ") }).dropFirst(4)
    let again = try shop.send(
      "GET", "generations/\(id)/events", headers: [("Last-Event-ID", String(event))])
    #expect(again.status == 204)
  }

  @Test("jobs wait through a restart, and the next process runs them", arguments: Backend.allCases)
  func restart(on backend: Backend) throws {
    let database = try PluginDatabase(backend)
    let before = try Shop(on: database)
    let id = try before.generate()
    before.host.stop()
    let after = try Shop(on: database, workers: "1")
    #expect(try completed(after, id)["id"].string == id)
    after.host.stop()
    #expect(try after.violations() == [])
  }

  @Test("two processes at once, as in a hand-over, run each job once", arguments: Backend.allCases)
  func handOver(on backend: Backend) throws {
    let database = try PluginDatabase(backend)
    let old = try Shop(on: database, workers: "2")
    let new = try Shop(on: database, workers: "2")
    let ids = try (0..<12).map { index in try (index % 2 == 0 ? old : new).generate() }
    old.host.stop()
    for id in ids { _ = try completed(new, id) }
    #expect(try new.get("credits/balance")["total_spent"].int == 60)
    #expect(try new.violations() == [])
    new.host.stop()
  }
}

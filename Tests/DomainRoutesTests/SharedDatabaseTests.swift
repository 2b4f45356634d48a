import DatabaseTesting
import Foundation
import PluginAPI
import PluginTesting
import Synchronization
import Testing

@testable import DomainRoutes

/// Hosts that share a PostgreSQL database, and what they do while it is away.
@Suite struct SharedDatabaseTests {
  @Test("what one host makes another serves, images too; and each job is run once")
  func hosts() throws {
    let database = try PluginDatabase(.postgreSQL)
    let (first, second) = (try TemporaryDirectory(), try TemporaryDirectory())
    let shops = [
      try Shop(on: database, workers: "2", stateDirectory: first.path),
      try Shop(on: database, workers: "2", stateDirectory: second.path),
    ]
    let ids = try (0..<12).map { try shops[$0 % 2].generate() }
    for (index, id) in ids.enumerated() {
      let other = shops[(index + 1) % 2]
      try wait("it completes", within: .seconds(60)) {
        try other.get("generations/\(id)")["status"].string == "completed"
      }
      let images = try shops.map { try $0.send("GET", "generations/\(id)/media").body }
      #expect(images[0] == images[1])
      #expect(images[0].starts(with: [0x89, 0x50, 0x4e, 0x47]))
    }
    let balance = try shops[0].get("credits/balance")
    #expect(balance["total_spent"].int == 60)
    #expect(balance["reserved"].int == 0)
    #expect(try shops[0].violations() == [])
    for shop in shops { shop.host.stop() }
  }

  @Test("a server that is killed and comes back under load: 503s meanwhile, then all is as it should be")
  func serverKilled() throws {
    let server = try PostgreSQLServer()
    let database = try PluginDatabase(on: server)
    let shop = try Shop(on: database, [("signup-credits", "1000"), ("job-lease", "1s")], workers: "2")
    #expect(try shop.balance() == 1000)
    let seen = Mutex<[Int: Int]>([:])
    let isOver = Mutex(false)
    func has(_ status: Int) -> Bool { seen.withLock { $0[status, default: 0] > 0 } }
    let body = "{\"model_id\":\"sketch-1\",\"prompt\":\"x\",\"parameters\":{\"width\":64,\"height\":64}}"

    /// Sends until the answer is not a 503, as a client does.
    @Sendable func order(_ key: String) throws {
      while true {
        let answer = try shop.send("POST", "generations", body, headers: [("Idempotency-Key", key)])
        seen.withLock { $0[answer.status, default: 0] += 1 }
        switch answer.status {
        case 202: return
        // Its first run lost its connection, and has its lease still.
        case 409: #expect(try answer.json["code"].string == "idempotency-key-in-use")
        default:
          #expect(answer.status == 503, "\(answer.text)")
          #expect(answer.header("retry-after") != nil)
          #expect(["database-unavailable", "database-busy"].contains(try answer.json["code"].string))
        }
        usleep(20_000)
      }
    }

    let orders = Mutex(0)
    let load = Thread {
      do {
        try onThreads(6) { thread in
          for index in 0... {
            if isOver.withLock({ $0 }) { return }
            try order("\(thread)-\(index)")
            orders.withLock { $0 += 1 }
            #expect([200, 503].contains(try shop.send("GET", "credits/balance").status))
          }
        }
      } catch {
        Issue.record(error)
      }
      orders.withLock { $0 += 1_000_000 }
    }
    load.start()
    for _ in 0..<2 {
      let before = orders.withLock { $0 }
      try wait("orders are taken", within: .seconds(30)) { orders.withLock { $0 } > before + 5 }
      seen.withLock { $0[503] = 0 }
      try server.stop()
      try wait("requests are refused", within: .seconds(30)) { has(503) }
      try server.start()
    }
    let before = orders.withLock { $0 }
    try wait("orders are taken again", within: .seconds(90)) { orders.withLock { $0 } > before + 10 }
    isOver.withLock { $0 = true }
    try wait("the load ends", within: .seconds(90)) { orders.withLock { $0 } >= 1_000_000 }
    let count = orders.withLock { $0 } - 1_000_000
    try wait("every job ends", within: .seconds(60)) {
      try shop.get("generations/stats")["completed"].int == count
    }
    let balance = try shop.get("credits/balance")
    #expect(balance["total_spent"].int == 5 * count)
    #expect(balance["current_balance"].int == 1000 - 5 * count)
    #expect(try shop.violations() == [])
    shop.host.stop()
  }

  @Test("plugins that start while their server is away answer 503, and serve once it is there")
  func awayAtStart() throws {
    let server = try PostgreSQLServer()
    let database = try PluginDatabase(on: server)
    try server.stop()
    let directories = [try TemporaryDirectory(), try TemporaryDirectory()]
    let shops = try directories.map { try Shop(on: database, workers: "1", stateDirectory: $0.path) }
    for shop in shops {
      #expect(try shop.send("GET", "credits/_ping", as: nil).status == 200)
      let body = "{\"model_id\":\"sketch-1\",\"prompt\":\"x\"}"
      for refusal in [try shop.send("GET", "credits/balance"), try shop.send("POST", "generations", body)] {
        #expect(refusal.status == 503)
        #expect(try refusal.json["code"].string == "database-unavailable")
        #expect(refusal.header("content-type")?.hasPrefix("application/problem+json") == true)
        #expect(refusal.header("retry-after") != nil)
      }
      #expect(shop.host.logLines.contains { $0.message.hasPrefix("the database cannot be used: ") })
    }
    try server.start()
    // All at once: whoever is first migrates, and a new user's credits are given once.
    let balances = try onThreads(8) { try shops[$0 % 2].balance() }
    #expect(balances == Array(repeating: 100, count: 8))
    for shop in shops {
      let id = try shop.generate()
      try wait("it completes", within: .seconds(30)) {
        try shop.get("generations/\(id)")["status"].string == "completed"
      }
    }
    #expect(try shops[0].violations() == [])
    for shop in shops { shop.host.stop() }
  }

  @Test("a server that is there and lets nobody in is a start error, which shows no password")
  func refusedAtStart() throws {
    let url = try PostgreSQLServer.shared().url("postgres", password: "hunter2")
    let failure = #expect(throws: (any Error).self) { try Shop(on: .sqlite, [("database", url)]) }
    let text = "\(failure.map { "\($0)" } ?? "")"
    #expect(text.contains("authentication failed"))
    #expect(!text.contains("hunter2"))
  }
}

/// A directory that is removed with this value's owner.
final class TemporaryDirectory: Sendable {
  let path: String

  init() throws {
    path = FileManager.default.temporaryDirectory.appendingPathComponent("domain-\(UUID())").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit {
    do {
      try FileManager.default.removeItem(atPath: path)
    } catch {
      print("cannot remove \(path): \(error)")
    }
  }
}

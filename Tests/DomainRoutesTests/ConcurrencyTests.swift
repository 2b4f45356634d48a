import DatabaseTesting
import PluginAPI
import PluginTesting
import SQL
import Testing

@testable import DomainRoutes

/// What many writers at a time must not break. Each has a connection of its own, as hosts that share a database have.
@Suite struct ConcurrencyTests {
  @Test(
    "64 writers spend one account through 8 hosts, and it is never below nothing", arguments: Backend.allCases
  )
  func spending(on backend: Backend) throws {
    let bench = try Bench(backend)
    let hosts = try (0..<8).map { _ in try bench.database.store { [clock = bench.clock] in clock.now } }
    let reserved = try onThreads(64) { index in
      var reserved = 0
      for attempt in 0..<3 {
        do {
          try hosts[index % 8].write {
            try Ledger(session: $0).reserve(7, for: "g\(index)-\(attempt)", by: "u", description: "x")
          }
          reserved += 1
        } catch Ledger.Refusal.insufficientCredits(_, let available) {
          #expect(0..<7 ~= available)
        }
        let balance = try hosts[(index + 1) % 8].read { try Ledger(session: $0).balance(of: "u")?.current }
        #expect(balance ?? -1 >= 0)
      }
      return reserved
    }
    #expect(reserved.reduce(0, +) == 14)
    #expect(try bench.balance() == .init(current: 2, totalEarned: 100, totalSpent: 0, reserved: 98))
    #expect(try bench.violations() == [])
  }

  @Test(
    "generations that are made, cancelled, deleted and completed at once are paid once or not at all",
    arguments: Backend.allCases)
  func endings(on backend: Backend) throws {
    let bench = try Bench(backend)
    let ids = try (0..<16).map { _ in try bench.create() }
    try onThreads(12) { thread in
      switch thread % 3 {
      case 0: while try bench.runner.runNext(isStopping: { false }) {}
      case 1:
        for id in ids { _ = try bench.store.write { try GenerationTable(session: $0, mount: "").cancel(id) } }
      default:
        for id in ids.reversed() {
          try bench.store.write { session in
            let table = GenerationTable(session: session, mount: "")
            guard try table.find(id, of: "u", lock: .update) != nil else { return }
            try table.delete(id)
          }
        }
      }
    }
    let balance = try #require(try bench.balance())
    #expect(balance.reserved == 0)
    #expect(balance.current + balance.totalSpent == 100)
    #expect(try bench.violations() == [])
  }

  @Test("of edits of one project with one ETag at once, one is made", arguments: Backend.allCases)
  func lostUpdate(on backend: Backend) throws {
    let shop = try Shop(on: backend)
    let id = try #require(try shop.send("POST", "projects", "{\"name\":\"a\"}").json["id"].string)
    let tag = try #require(try shop.send("GET", "projects/\(id)").header("etag"))
    let statuses = try onThreads(16) { index in
      try shop.send(
        "PUT", "projects/\(id)", "{\"name\":\"b\(index)\",\"tags\":[\"t\(index)\"]}",
        headers: [("If-Match", tag)]
      ).status
    }
    #expect(statuses.filter { $0 == 200 }.count == 1)
    #expect(statuses.filter { $0 == 412 }.count == 15)
  }

  @Test(
    "generations that are made in a project while it is deleted are refused, or stay without one",
    arguments: Backend.allCases)
  func deletedProject(on backend: Backend) throws {
    let shop = try Shop(on: backend)
    let project = try #require(try shop.send("POST", "projects", "{\"name\":\"a\"}").json["id"].string)
    let body = "{\"model_id\":\"sketch-1\",\"prompt\":\"x\",\"project_id\":\"\(project)\"}"
    let statuses = try onThreads(12) { index in
      index == 6
        ? try shop.send("DELETE", "projects/\(project)").status
        : try shop.send("POST", "generations", body).status
    }
    #expect(statuses[6] == 204)
    #expect(statuses.allSatisfy { [202, 204, 404].contains($0) })
    let made = statuses.filter { $0 == 202 }.count
    let generations = try shop.get("generations")
    #expect(generations["total"].int == made)
    #expect(generations["items"].array.allSatisfy { $0["project_id"] == .null })
    #expect(try shop.violations() == [])
  }

  @Test("text with a NUL is refused, alike on both", arguments: Backend.allCases)
  func nul(on backend: Backend) throws {
    let shop = try Shop(on: backend)
    let answer = try shop.send("POST", "projects", "{\"name\":\"a\\u0000b\"}")
    #expect(answer.status == 422)
    #expect(try shop.send("GET", "projects?search=%00").status == 422)
    #expect(try shop.balance() == 100)
  }
}

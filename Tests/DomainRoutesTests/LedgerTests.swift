import DatabaseTesting
import JSONBodies
import PluginTesting
import SQL
import Testing

@testable import DomainRoutes

@Suite struct LedgerTests {
  @Test("entries of the ledger can be neither changed, deleted nor replaced", arguments: Backend.allCases)
  func appendOnly(on backend: Backend) throws {
    let bench = try Bench(backend)
    let replacement =
      backend == .sqlite
      ? "INSERT OR REPLACE INTO ledger SELECT * FROM ledger"
      : "INSERT INTO ledger SELECT * FROM ledger ON CONFLICT (id) DO UPDATE SET amount = 1000"
    for sql in [
      "UPDATE ledger SET amount = 1000", "DELETE FROM ledger", replacement,
      "UPDATE reservations SET state = 'open'", "DELETE FROM reservations",
    ] {
      try bench.store.write { try Ledger(session: $0).reserve(1, for: sql, by: "u", description: "x") }
      #expect(throws: DatabaseError.self, "\(sql)") { try bench.store.write { try $0.run(sql) } }
    }
    if backend == .postgreSQL {
      for table in ["ledger", "reservations"] {
        let error = #expect(throws: DatabaseError.self) {
          try bench.store.write { try $0.run("TRUNCATE \(table)") }
        }
        #expect(error?.kind == .refusedByTrigger)
      }
    }
    #expect(try bench.violations() == [])
  }

  @Test("an entry whose balance_after is not the account's is refused", arguments: Backend.allCases)
  func falseBalance(on backend: Backend) throws {
    let bench = try Bench(backend)
    #expect(throws: DatabaseError.self) {
      try bench.store.write {
        try $0.run(
          """
          INSERT INTO ledger (id, user_id, amount, transaction_type, description, balance_after, created_at)
          VALUES ('x', 'u', 5, 'grant', '', 105, 0)
          """)
      }
    }
  }

  @Test("a balance below zero is refused by the database itself", arguments: Backend.allCases)
  func neverNegative(on backend: Backend) throws {
    let bench = try Bench(backend)
    #expect(throws: DatabaseError.self) {
      try bench.store.write {
        try $0.run("UPDATE accounts SET balance = -1, reserved = 101 WHERE user_id = 'u'")
      }
    }
  }

  @Test("a reservation is settled or refunded, once, and never both", arguments: Backend.allCases)
  func exactlyOnce(on backend: Backend) throws {
    let bench = try Bench(backend)
    try bench.store.write { try Ledger(session: $0).reserve(30, for: "g1", by: "u", description: "x") }
    try bench.store.write { try Ledger(session: $0).reserve(20, for: "g2", by: "u", description: "x") }
    #expect(try bench.store.write { try Ledger(session: $0).settle("g1") })
    #expect(try bench.store.write { try !Ledger(session: $0).settle("g1") })
    #expect(try bench.store.write { try !Ledger(session: $0).refund("g1", description: "x") })
    #expect(try bench.store.write { try Ledger(session: $0).refund("g2", description: "x") })
    #expect(try bench.store.write { try !Ledger(session: $0).refund("g2", description: "x") })
    #expect(try bench.store.write { try !Ledger(session: $0).settle("g2") })
    let balance = try bench.store.read { try Ledger(session: $0).balance(of: "u") }
    #expect(balance == Ledger.Balance(current: 70, totalEarned: 100, totalSpent: 30, reserved: 0))
    #expect(try bench.violations() == [])
  }

  @Test(
    "the database itself refuses to turn a settled reservation into a refunded one",
    arguments: Backend.allCases)
  func closedForGood(on backend: Backend) throws {
    let bench = try Bench(backend)
    try bench.store.write { try Ledger(session: $0).reserve(30, for: "g", by: "u", description: "x") }
    #expect(try bench.store.write { try Ledger(session: $0).settle("g") })
    for sql in ["SET state = 'refunded'", "SET amount = 1", "SET closed_at = 1"] {
      #expect(throws: DatabaseError.self, "\(sql)") {
        try bench.store.write { try $0.run("UPDATE reservations \(sql) WHERE generation_id = 'g'") }
      }
    }
    #expect(try bench.violations() == [])
  }

  @Test(
    "a refund without its reservation, or a second one, is refused by the database",
    arguments: Backend.allCases)
  func forgedRefund(on backend: Backend) throws {
    let bench = try Bench(backend)
    #expect(throws: DatabaseError.self) {
      try bench.store.write {
        try $0.run("UPDATE accounts SET balance = 105, total_earned = 105 WHERE user_id = 'u'")
        try $0.run(
          """
          INSERT INTO ledger (id, user_id, amount, transaction_type, description, balance_after, generation_id,
            created_at) VALUES ('x', 'u', 5, 'refund', '', 105, 'g', 0)
          """)
      }
    }
    #expect(try bench.violations() == [])
  }

  @Test("the audit finds an account that was tampered with", arguments: Backend.allCases)
  func audit(on backend: Backend) throws {
    let bench = try Bench(backend)
    _ = try bench.store.write {
      try $0.run("UPDATE accounts SET balance = 500, total_earned = 500 WHERE user_id = 'u'")
    }
    #expect(try bench.violations().count >= 2)
    #expect(try bench.store.read { try LedgerAudit(session: $0).recentViolations() }.count == 1)
  }

  @Test("the self-test sees a guard that is missing", arguments: Backend.allCases)
  func missingGuard(on backend: Backend) throws {
    let bench = try Bench(backend)
    let table = backend == .sqlite ? "" : " ON ledger"
    _ = try bench.store.write { try $0.run("DROP TRIGGER ledger_is_not_updated\(table)") }
    #expect(
      try bench.store.read { try LedgerAudit(session: $0).missingGuards() } == ["ledger_is_not_updated"])
  }

  @Test(
    "64 threads that spend one account leave it at no less than nothing, and every sum agrees",
    arguments: Backend.allCases)
  func concurrentSpending(on backend: Backend) throws {
    let bench = try Bench(backend)
    let outcomes = try onThreads(64) { [bench] index in
      var reserved = 0
      for attempt in 0..<4 {
        let generation = "g\(index)-\(attempt)"
        do {
          try bench.store.write {
            try Ledger(session: $0).reserve(7, for: generation, by: "u", description: "x")
          }
          reserved += 1
        } catch Ledger.Refusal.insufficientCredits(let required, let available) {
          #expect(required == 7)
          #expect(0..<7 ~= available)
        }
      }
      return reserved
    }
    #expect(outcomes.reduce(0, +) == 14)
    let balance = try bench.store.read { try Ledger(session: $0).balance(of: "u") }
    #expect(balance == Ledger.Balance(current: 2, totalEarned: 100, totalSpent: 0, reserved: 98))
    #expect(try bench.violations() == [])
  }

  @Test("threads that settle and refund the same reservations close each once", arguments: Backend.allCases)
  func concurrentClosing(on backend: Backend) throws {
    let bench = try Bench(backend)
    for index in 0..<20 {
      try bench.store.write {
        try Ledger(session: $0).reserve(5, for: "g\(index)", by: "u", description: "x")
      }
    }
    let closed = try onThreads(16) { [bench] thread in
      var closed = 0
      for index in 0..<20 {
        let isClosed = try bench.store.write {
          let ledger = Ledger(session: $0)
          return thread % 2 == 0
            ? try ledger.settle("g\(index)") : try ledger.refund("g\(index)", description: "x")
        }
        if isClosed { closed += 1 }
      }
      return closed
    }
    #expect(closed.reduce(0, +) == 20)
    #expect(try bench.violations() == [])
  }

  @Test("several programs that open a new database at once find one schema", arguments: Backend.allCases)
  func concurrentMigration(on backend: Backend) throws {
    let database = try PluginDatabase(backend)
    let found = try onThreads(12) { _ in
      let store = try database.store(connections: 2) { 0 }
      return try store.read { try LedgerAudit(session: $0).missingGuards() }
    }
    #expect(found == Array(repeating: [], count: 12))
  }
}

import JSONBodies
import PluginTesting
import SQLite
import Testing

@testable import DomainRoutes

@Suite struct LedgerTests {
  private let clock = TestClock()
  private let directory: TemporaryDirectory
  private let store: Store

  init() throws {
    directory = try TemporaryDirectory()
    store = try Store(path: directory.path + "/ledger.sqlite3") { [clock] in clock.now }
    try store.write { try Ledger(session: $0).openAccount("u", bonus: 100) }
  }

  private func violations() throws -> [String] {
    try store.read { try LedgerAudit(session: $0).violations() }
  }

  @Test("entries of the ledger can be neither changed, deleted nor replaced")
  func appendOnly() throws {
    for sql in [
      "UPDATE ledger SET amount = 1000", "DELETE FROM ledger",
      "INSERT OR REPLACE INTO ledger SELECT * FROM ledger",
      "UPDATE reservations SET state = 'open'", "DELETE FROM reservations",
    ] {
      try store.write { try Ledger(session: $0).reserve(1, for: sql, by: "u", description: "x") }
      #expect(throws: SQLiteError.self, "\(sql)") { try store.write { try $0.run(sql) } }
    }
    #expect(try violations() == [])
  }

  @Test("an entry whose balance_after is not the account's is refused")
  func falseBalance() throws {
    #expect(throws: SQLiteError.self) {
      try store.write {
        try $0.run(
          """
          INSERT INTO ledger (id, user_id, amount, transaction_type, description, balance_after, created_at)
          VALUES ('x', 'u', 5, 'grant', '', 105, 0)
          """)
      }
    }
  }

  @Test("a balance below zero is refused by the database itself")
  func neverNegative() throws {
    #expect(throws: SQLiteError.self) {
      try store.write { try $0.run("UPDATE accounts SET balance = -1, reserved = 101 WHERE user_id = 'u'") }
    }
  }

  @Test("a reservation is settled or refunded, once, and never both")
  func exactlyOnce() throws {
    try store.write { try Ledger(session: $0).reserve(30, for: "g1", by: "u", description: "x") }
    try store.write { try Ledger(session: $0).reserve(20, for: "g2", by: "u", description: "x") }
    #expect(try store.write { try Ledger(session: $0).settle("g1") })
    #expect(try store.write { try !Ledger(session: $0).settle("g1") })
    #expect(try store.write { try !Ledger(session: $0).refund("g1", description: "x") })
    #expect(try store.write { try Ledger(session: $0).refund("g2", description: "x") })
    #expect(try store.write { try !Ledger(session: $0).refund("g2", description: "x") })
    #expect(try store.write { try !Ledger(session: $0).settle("g2") })
    let balance = try store.read { try Ledger(session: $0).balance(of: "u") }
    #expect(balance == Ledger.Balance(current: 70, totalEarned: 100, totalSpent: 30, reserved: 0))
    #expect(try violations() == [])
  }

  @Test("the database itself refuses to turn a settled reservation into a refunded one")
  func closedForGood() throws {
    try store.write { try Ledger(session: $0).reserve(30, for: "g", by: "u", description: "x") }
    #expect(try store.write { try Ledger(session: $0).settle("g") })
    for sql in ["SET state = 'refunded'", "SET amount = 1", "SET closed_at = 1"] {
      #expect(throws: SQLiteError.self, "\(sql)") {
        try store.write { try $0.run("UPDATE reservations \(sql) WHERE generation_id = 'g'") }
      }
    }
    #expect(try violations() == [])
  }

  @Test("a refund without its reservation, or a second one, is refused by the database")
  func forgedRefund() throws {
    #expect(throws: SQLiteError.self) {
      try store.write {
        try $0.run("UPDATE accounts SET balance = 105, total_earned = 105 WHERE user_id = 'u'")
        try $0.run(
          """
          INSERT INTO ledger (id, user_id, amount, transaction_type, description, balance_after, generation_id,
            created_at) VALUES ('x', 'u', 5, 'refund', '', 105, 'g', 0)
          """)
      }
    }
    #expect(try violations() == [])
  }

  @Test("the audit finds an account that was tampered with")
  func audit() throws {
    _ = try store.write {
      try $0.run("UPDATE accounts SET balance = 500, total_earned = 500 WHERE user_id = 'u'")
    }
    #expect(try violations().count >= 2)
    #expect(try store.read { try LedgerAudit(session: $0).recentViolations() }.count == 1)
  }

  @Test("the self-test sees a guard that is missing")
  func missingGuard() throws {
    _ = try store.write { try $0.run("DROP TRIGGER ledger_is_not_updated") }
    #expect(try store.read { try LedgerAudit(session: $0).missingGuards() } == ["ledger_is_not_updated"])
  }

  @Test("64 threads that spend one account leave it at no less than nothing, and every sum agrees")
  func concurrentSpending() throws {
    let outcomes = try onThreads(64) { [store] index in
      var reserved = 0
      for attempt in 0..<4 {
        let generation = "g\(index)-\(attempt)"
        do {
          try store.write { try Ledger(session: $0).reserve(7, for: generation, by: "u", description: "x") }
          reserved += 1
        } catch Ledger.Refusal.insufficientCredits(let required, let available) {
          #expect(required == 7)
          #expect(0..<7 ~= available)
        }
      }
      return reserved
    }
    #expect(outcomes.reduce(0, +) == 14)
    let balance = try store.read { try Ledger(session: $0).balance(of: "u") }
    #expect(balance == Ledger.Balance(current: 2, totalEarned: 100, totalSpent: 0, reserved: 98))
    #expect(try violations() == [])
  }

  @Test("threads that settle and refund the same reservations close each once")
  func concurrentClosing() throws {
    for index in 0..<20 {
      try store.write { try Ledger(session: $0).reserve(5, for: "g\(index)", by: "u", description: "x") }
    }
    let closed = try onThreads(16) { [store] thread in
      var closed = 0
      for index in 0..<20 {
        let isClosed = try store.write {
          let ledger = Ledger(session: $0)
          return thread % 2 == 0
            ? try ledger.settle("g\(index)") : try ledger.refund("g\(index)", description: "x")
        }
        if isClosed { closed += 1 }
      }
      return closed
    }
    #expect(closed.reduce(0, +) == 20)
    #expect(try violations() == [])
  }

  @Test("several programs that open a new database at once find one schema")
  func concurrentMigration() throws {
    let path = directory.path + "/new.sqlite3"
    let versions = try onThreads(12) { _ in
      let store = try Store(path: path) { 0 }
      return try store.read { try $0.number("PRAGMA user_version") }
    }
    #expect(versions == Array(repeating: Int64(Schema.migrations.count), count: 12))
  }
}

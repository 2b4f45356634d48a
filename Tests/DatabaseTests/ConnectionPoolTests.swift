import DatabaseTesting
import Foundation
import PluginTesting
import SQL
import Testing

@Suite struct ConnectionPoolTests {
  @Test(
    "each connection is one thread's at a time, and no write is lost",
    arguments: Backend.allCases, [TransactionMode.write, .serializable])
  func noLostWrites(on backend: Backend, _ mode: TransactionMode) throws {
    let pool = try TestDatabase(backend).pool(timeoutMilliseconds: 30_000)
    try pool.withConnection { try $0.tables("CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (0)") }
    try onThreads(32) { _ in
      for _ in 0..<10 {
        try pool.transaction(mode) { connection in
          let value = try connection.first("SELECT a FROM t FOR UPDATE")?[0].integerValue ?? -1
          try connection.run("UPDATE t SET a = ?", [.integer(value + 1)])
        }
      }
    }
    #expect(try pool.withConnection { try $0.first("SELECT a FROM t")?[0] } == 320)
  }

  @Test("transactions that lock each other out are run again, until each has had its way")
  func deadlock() throws {
    let pool = try TestDatabase(.postgreSQL).pool(size: 2)
    try pool.withConnection {
      try $0.tables("CREATE TABLE t (n INTEGER, a INTEGER); INSERT INTO t VALUES (0, 0), (1, 0)")
    }
    try onThreads(2) { thread in
      for _ in 0..<5 {
        try pool.transaction { connection in
          for row in thread == 0 ? [0, 1] : [1, 0] {
            try connection.run("UPDATE t SET a = a + 1 WHERE n = ?", [SQLValue(row)])
          }
        }
      }
    }
    #expect(try pool.withConnection { try $0.query("SELECT a FROM t").map { $0[0] } } == [10, 10])
  }

  @Test("serializable transactions see no write between read and write of theirs")
  func writeSkew() throws {
    let pool = try TestDatabase(.postgreSQL).pool(size: 8)
    try pool.withConnection { try $0.tables("CREATE TABLE t (a INTEGER)") }
    // Each adds a row only if there are fewer than five: without serializability more would get through.
    try onThreads(8) { _ in
      for _ in 0..<3 {
        try pool.transaction(.serializable) { connection in
          guard try connection.first("SELECT COUNT(*) FROM t")?[0].integerValue ?? 9 < 5 else { return }
          try connection.run("INSERT INTO t VALUES (1)")
        }
      }
    }
    #expect(try pool.withConnection { try $0.first("SELECT COUNT(*) FROM t")?[0] } == 5)
  }

  @Test("a connection that is left in a transaction is not lent again", arguments: Backend.allCases)
  func uncleanConnection(on backend: Backend) throws {
    let pool = try TestDatabase(backend).pool(size: 1)
    try pool.withConnection { try $0.tables("CREATE TABLE t (a INTEGER)") }
    try pool.withConnection { try $0.tables("BEGIN; INSERT INTO t VALUES (1)") }
    #expect(try pool.withConnection { try $0.first("SELECT COUNT(*) FROM t")?[0] } == 0)
  }

  @Test("a pool on SQLite that cannot open another connection makes do with those that it has")
  func makesDo() throws {
    let database = try TestDatabase(.sqlite)
    let pool = try database.pool(size: 3)
    try pool.withConnection { try $0.tables("CREATE TABLE t (a INTEGER)") }
    // What has a directory's name cannot be opened: what is lent now was opened before.
    let moved = database.path + "-moved"
    try FileManager.default.moveItem(atPath: database.path, toPath: moved)
    try FileManager.default.createDirectory(atPath: database.path, withIntermediateDirectories: false)
    defer {
      #expect(throws: Never.self) {
        try FileManager.default.removeItem(atPath: database.path)
        try FileManager.default.moveItem(atPath: moved, toPath: database.path)
      }
    }
    let counts = try onThreads(4) { _ in
      try (1...50).map { _ in try pool.withConnection { try $0.first("SELECT COUNT(*) FROM t")?[0] == 0 } }
    }
    #expect(counts.joined().allSatisfy { $0 })
  }

  @Test("who waits too long for a connection is told that the database is busy", arguments: Backend.allCases)
  func exhausted(on backend: Backend) throws {
    let pool = try TestDatabase(backend).pool(size: 1, timeoutMilliseconds: 100)
    try pool.withConnection { _ in
      let errors = onThreads(1) { _ in
        #expect(throws: DatabaseError.self) { try pool.withConnection { _ in } }
      }
      #expect(errors.first??.isBusy == true)
    }
  }
}

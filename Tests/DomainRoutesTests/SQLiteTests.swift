import SQLite
import Testing

@Suite struct SQLiteTests {
  private let directory: TemporaryDirectory
  private let path: String

  init() throws {
    directory = try TemporaryDirectory()
    path = directory.path + "/test.sqlite3"
  }

  @Test("values of every class come back as they went in, empty ones too")
  func values() throws {
    let database = try Database(path: path)
    try database.execute("CREATE TABLE t (v)")
    let values: [SQLiteValue] = [
      nil, 0, .integer(.min), .integer(.max), 1.5, "", "ü\u{0}x", .blob([]), .blob([0, 255]),
    ]
    for value in values {
      #expect(try database.first("INSERT INTO t VALUES (?) RETURNING v", [value])?[0] == value)
    }
    #expect(try database.query("SELECT v FROM t ORDER BY rowid").map { $0[0] } == values)
  }

  @Test("parameters bind in order, or by number, as often as they stand there")
  func parameters() throws {
    let database = try Database(path: path)
    #expect(try database.first("SELECT ? - ?", [5, 3])?[0] == 2)
    #expect(try database.first("SELECT $2 - $1 + $2", [5, 3])?[0] == 1)
    #expect(throws: SQLiteError.self) { try database.query("SELECT ?", []) }
    #expect(throws: SQLiteError.self) { try database.query("SELECT ?", [1, 2]) }
  }

  @Test("a second statement in one text is refused, and not left out in silence")
  func oneStatement() throws {
    let database = try Database(path: path)
    #expect(throws: SQLiteError.self) { try database.query("SELECT 1; SELECT 2") }
    #expect(try database.query("SELECT 1; ").count == 1)
  }

  @Test("a column that is missing, or holds something else, is an error")
  func columns() throws {
    let row = try #require(try Database(path: path).first("SELECT 'x' AS a, NULL AS b"))
    #expect(try row.text("a") == "x")
    #expect(try row.optionalText("b") == nil)
    #expect(row["c"] == nil)
    #expect(throws: SQLiteError.self) { try row.text("c") }
    #expect(throws: SQLiteError.self) { try row.integer("a") }
    #expect(throws: SQLiteError.self) { try row.text("b") }
  }

  @Test("constraints are told apart")
  func constraints() throws {
    let database = try Database(path: path)
    try database.execute("CREATE TABLE t (a PRIMARY KEY, b UNIQUE, c CHECK (c > 0))")
    try database.run("INSERT INTO t VALUES (1, 1, 1)")
    func error(_ sql: String) -> SQLiteError? {
      do {
        try database.run(sql)
        return nil
      } catch {
        return error
      }
    }
    #expect(error("INSERT INTO t VALUES (1, 2, 1)")?.isUniqueViolation == true)
    #expect(error("INSERT INTO t VALUES (2, 1, 1)")?.isUniqueViolation == true)
    #expect(error("INSERT INTO t VALUES (2, 2, 0)")?.isCheckViolation == true)
    #expect(error("INSERT INTO t VALUES (2, 2, 0)")?.isConstraint == true)
    #expect(error("INSERT INTO t VALUES (2, 2, 0)")?.isUniqueViolation == false)
    #expect(error("SELECT nonsense")?.isConstraint == false)
  }

  @Test("run counts the changed rows, and none for what changes none")
  func changes() throws {
    let database = try Database(path: path)
    try database.execute("CREATE TABLE t (a); INSERT INTO t VALUES (1), (2)")
    #expect(try database.run("UPDATE t SET a = 3") == 2)
    #expect(try database.run("CREATE TABLE u (a)") == 0)
    #expect(try database.run("DELETE FROM t WHERE a = 9") == 0)
  }

  @Test("a transaction that throws leaves nothing; an inner one leaves the outer as it was")
  func transactions() throws {
    struct Crash: Error {}
    let database = try Database(path: path)
    try database.execute("CREATE TABLE t (a)")
    #expect(throws: Crash.self) {
      try database.transaction {
        try database.run("INSERT INTO t VALUES (1)")
        throw Crash()
      }
    }
    try database.transaction {
      try database.run("INSERT INTO t VALUES (2)")
      #expect(throws: Crash.self) {
        try database.transaction {
          try database.run("INSERT INTO t VALUES (3)")
          throw Crash()
        }
      }
    }
    #expect(try database.query("SELECT a FROM t").map { $0[0] } == [2])
    #expect(!database.isInTransaction)
  }

  @Test("a snapshot does not see what others commit meanwhile")
  func snapshot() throws {
    let (reader, writer) = (try Database(path: path), try Database(path: path))
    try writer.execute("CREATE TABLE t (a)")
    try reader.snapshot {
      let before = try reader.first("SELECT COUNT(*) FROM t")?[0]
      try writer.run("INSERT INTO t VALUES (1)")
      #expect(try reader.first("SELECT COUNT(*) FROM t")?[0] == before)
    }
    #expect(try reader.first("SELECT COUNT(*) FROM t")?[0] == 1)
  }

  @Test("a writer that waits too long is told that the database is busy")
  func busy() throws {
    let holder = try Database(path: path)
    let waiter = try Database(path: path, busyTimeoutMilliseconds: 20)
    try holder.transaction {
      let error = #expect(throws: SQLiteError.self) { try waiter.transaction {} }
      #expect(error?.isBusy == true)
    }
  }

  @Test("a pool lends each connection to one thread at a time, and writers take turns")
  func pool() throws {
    let pool = try ConnectionPool(path: path, size: 4)
    try pool.withConnection { try $0.execute("CREATE TABLE t (a); INSERT INTO t VALUES (0)") }
    _ = try onThreads(32) { _ in
      for _ in 0..<10 {
        try pool.transaction { database in
          let value = try database.first("SELECT a FROM t")?[0].integerValue ?? -1
          try database.run("UPDATE t SET a = ?", [.integer(value + 1)])
        }
      }
    }
    #expect(try pool.withConnection { try $0.first("SELECT a FROM t")?[0] } == 320)
  }

  @Test("a connection that is left in a transaction is not lent again")
  func uncleanConnection() throws {
    let pool = try ConnectionPool(path: path, size: 1)
    try pool.withConnection { try $0.execute("CREATE TABLE t (a); BEGIN; INSERT INTO t VALUES (1)") }
    #expect(try pool.withConnection { try $0.first("SELECT COUNT(*) FROM t")?[0] } == 0)
  }

  @Test("migrations run once, in order; a newer database is refused")
  func migrations() throws {
    let database = try Database(path: path)
    #expect(try Migrations.apply(["CREATE TABLE a (x)"], to: database) == 0)
    #expect(try Migrations.apply(["CREATE TABLE a (x)", "CREATE TABLE b (x)"], to: database) == 1)
    #expect(try Migrations.apply(["CREATE TABLE a (x)", "CREATE TABLE b (x)"], to: database) == 2)
    #expect(throws: SQLiteError.self) { try Migrations.apply([], to: database) }
    #expect(throws: SQLiteError.self) {
      try Migrations.apply(["", "", "CREATE TABLE c (x)", "CREATE TABLE nonsense"], to: database)
    }
    #expect(try Migrations.version(of: database) == 2)
    #expect(try database.query("SELECT 1 FROM sqlite_schema WHERE name = 'c'").isEmpty)
  }

  @Test("a program that is rolled back uses a newer database if its successor says that it can")
  func rolledBack() throws {
    let database = try Database(path: path)
    let scripts = ["CREATE TABLE a (x)", "CREATE TABLE b (x)", "CREATE TABLE c (x)"]
    try Migrations.apply(scripts, to: database, readableFrom: 2)
    #expect(try Migrations.apply(Array(scripts.prefix(2)), to: database) == 3)
    #expect(throws: SQLiteError.self) { try Migrations.apply(Array(scripts.prefix(1)), to: database) }
    #expect(try Migrations.version(of: database) == 3)
  }

  @Test("a new file is readable to its owner only")
  func mode() throws {
    _ = try Database(path: path)
    #expect(try permissions(of: path) == 0o600)
  }
}

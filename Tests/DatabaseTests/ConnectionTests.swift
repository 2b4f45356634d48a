import DatabaseSettings
import DatabaseTesting
import Foundation
import PluginTesting
import SQL
import Testing

@Suite struct ConnectionTests {
  @Test("values of every class come back as they went in, empty ones too", arguments: Backend.allCases)
  func values(on backend: Backend) throws {
    let database = try TestDatabase(backend)
    let connection = try database.connect()
    try connection.tables("CREATE TABLE t (n INTEGER PRIMARY KEY, i INTEGER, r REAL, t TEXT, b BLOB)")
    let values: [(String, SQLValue)] = [
      ("i", nil), ("i", 0), ("i", .integer(.min)), ("i", .integer(.max)), ("r", 1.5), ("r", 1e-300),
      ("t", ""), ("t", "ü'\"\\\n𝄞"), ("b", .blob([])), ("b", .blob([0, 255, 39, 92])),
      ("b", .blob((0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 31) })), ("t", nil), ("b", nil),
    ]
    for (column, value) in values {
      #expect(
        try connection.first("INSERT INTO t (\(column)) VALUES (?) RETURNING \(column)", [value])?[0] == value
      )
    }
    #expect(try connection.first("SELECT SUM(n) FROM t")?[0] == 91)
    #expect(try connection.first("SELECT AVG(n) FROM t")?[0] == 7.0)
    #expect(try connection.first("SELECT COUNT(*) AS c FROM t")?.integer("c") == 13)
  }

  @Test("parameters bind in order, or by number, as often as they stand there", arguments: Backend.allCases)
  func parameters(on backend: Backend) throws {
    let connection = try TestDatabase(backend).connect()
    #expect(try connection.first("SELECT ? - ?", [5, 3])?[0] == 2)
    #expect(try connection.first("SELECT $2 - $1 + $2", [5, 3])?[0] == 1)
    #expect(try connection.first("SELECT '? $1 -- ?', ? -- ?\n", [4])?[1] == 4)
    #expect(throws: DatabaseError.self) { try connection.query("SELECT 1 + ?", []) }
    // PostgreSQL lets a value be that the statement does not mention.
    if backend == .sqlite {
      #expect(throws: DatabaseError.self) { try connection.query("SELECT 1 + ?", [1, 2]) }
    }
    #expect(try connection.first("SELECT 1")?[0] == 1)
  }

  @Test("SQL in a value is a value", arguments: Backend.allCases)
  func injection(on backend: Backend) throws {
    let connection = try TestDatabase(backend).connect()
    try connection.tables("CREATE TABLE t (a TEXT)")
    let text = "x'); DROP TABLE t; --"
    try connection.run("INSERT INTO t VALUES (?)", [.text(text)])
    #expect(try connection.query("SELECT a FROM t WHERE a = ?", [.text(text)]).count == 1)
  }

  @Test("a second statement in one text is refused, and not left out in silence", arguments: Backend.allCases)
  func oneStatement(on backend: Backend) throws {
    let connection = try TestDatabase(backend).connect()
    #expect(throws: DatabaseError.self) { try connection.query("SELECT 1; SELECT 2") }
    #expect(try connection.query("SELECT 1; ").count == 1)
  }

  @Test("a column that is missing, or holds something else, is an error", arguments: Backend.allCases)
  func columns(on backend: Backend) throws {
    let row = try #require(try TestDatabase(backend).connect().first("SELECT 'x' AS a, NULL AS b"))
    #expect(try row.text("a") == "x")
    #expect(try row.optionalText("b") == nil)
    #expect(row["c"] == nil)
    #expect(throws: DatabaseError.self) { try row.text("c") }
    #expect(throws: DatabaseError.self) { try row.integer("a") }
    #expect(throws: DatabaseError.self) { try row.text("b") }
  }

  @Test("refusals are told apart", arguments: Backend.allCases)
  func refusals(on backend: Backend) throws {
    let connection = try TestDatabase(backend).connect()
    try connection.tables(
      Script(
        """
        CREATE TABLE t (a INTEGER NOT NULL UNIQUE, b INTEGER UNIQUE, c INTEGER CHECK (c > 0));
        CREATE TABLE u (a INTEGER REFERENCES t (a));
        """,
        guards: [
          Guard("no_thirteen", before: .insert, on: "t", refusing: "NEW.a = 13", message: "it's unlucky"),
          Guard("kept", before: .delete, on: "t", message: "kept"),
        ]))
    try connection.run("INSERT INTO t VALUES (1, 1, 1)")
    func kind(_ sql: String) -> DatabaseError.Kind? {
      do {
        try connection.run(sql)
        return nil
      } catch {
        return error.kind
      }
    }
    #expect(kind("INSERT INTO t VALUES (1, 2, 1)") == .uniqueViolation)
    #expect(kind("INSERT INTO t VALUES (2, 1, 1)") == .uniqueViolation)
    #expect(kind("INSERT INTO t VALUES (2, 2, 0)") == .checkViolation)
    #expect(kind("INSERT INTO t VALUES (NULL, 2, 1)") == .notNullViolation)
    #expect(kind("INSERT INTO u VALUES (9)") == .foreignKeyViolation)
    #expect(kind("INSERT INTO t VALUES (13, 2, 1)") == .refusedByTrigger)
    #expect(kind("DELETE FROM t") == .refusedByTrigger)
    #expect(kind("SELECT nonsense") == .misuse)
    if backend == .postgreSQL { #expect(kind("TRUNCATE t CASCADE") == .refusedByTrigger) }
    #expect(kind("INSERT INTO t VALUES (2, 2, 2)") == nil)
  }

  /// Of any user, whoever runs the tests: a database that may not grow is as full as a disk, and one that only reads is as
  /// one on a disk that does.
  @Test("SQLite that is out of room, or may not write, is unavailable for now, and works again afterwards")
  func fullDisk() throws {
    let connection = try TestDatabase(.sqlite).connect()
    try connection.tables("CREATE TABLE t (a TEXT)")
    func error(_ body: () throws -> Void) -> DatabaseError? {
      #expect(throws: DatabaseError.self, performing: body)
    }
    try connection.execute("PRAGMA max_page_count = 10")
    let full = error {
      try connection.transaction {
        for _ in 0..<100 {
          try connection.run("INSERT INTO t VALUES (?)", [.text(String(repeating: "x", count: 4000))])
        }
      }
    }
    #expect(full?.kind == .unavailable)
    #expect(full?.isTemporary == true)
    #expect(try connection.first("SELECT COUNT(*) FROM t")?[0] == 0, "it can be read all the same")
    try connection.execute("PRAGMA max_page_count = 1000; PRAGMA query_only = ON")
    #expect(error { try connection.run("INSERT INTO t VALUES ('a')") }?.kind == .unavailable)
    try connection.execute("PRAGMA query_only = OFF")
    #expect(try connection.run("INSERT INTO t VALUES ('a')") == 1)
  }

  @Test("a SQLite file that cannot be opened is unavailable: the process may be out of descriptors")
  func noFile() throws {
    let path = NSTemporaryDirectory() + "no-such-folder-\(UUID())/x.sqlite3"
    let error = #expect(throws: DatabaseError.self) {
      try DatabaseSetting.sqlite.engine(file: path, namespace: "n").connect()
    }
    #expect(error?.kind == .unavailable)
    #expect(try DatabaseSetting.sqlite.open(file: path, namespace: "n", size: 2).awayAtStart == error)
  }

  @Test("text sorts and compares by its bytes", arguments: Backend.allCases)
  func collation(on backend: Backend) throws {
    let connection = try TestDatabase(backend).connect()
    try connection.tables("CREATE TABLE t (a TEXT)")
    for text in ["b", "B", "ä", "a", "Z", "_"] {
      try connection.run("INSERT INTO t VALUES (?)", [.text(text)])
    }
    #expect(
      try connection.query("SELECT a FROM t ORDER BY a").map { $0[0] } == ["B", "Z", "_", "a", "b", "ä"])
  }

  @Test("run counts the changed rows, and none for what changes none", arguments: Backend.allCases)
  func changes(on backend: Backend) throws {
    let connection = try TestDatabase(backend).connect()
    try connection.tables("CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (1), (2)")
    #expect(try connection.run("UPDATE t SET a = 3") == 2)
    #expect(try connection.run("SELECT a FROM t") == 0)
    #expect(try connection.run("CREATE TABLE u (a INTEGER)") == 0)
    #expect(try connection.run("DELETE FROM t WHERE a = 9") == 0)
  }

  @Test(
    "a transaction that throws leaves nothing; an inner one leaves the outer as it was",
    arguments: Backend.allCases)
  func transactions(on backend: Backend) throws {
    struct Crash: Error {}
    let connection = try TestDatabase(backend).connect()
    try connection.tables("CREATE TABLE t (a INTEGER UNIQUE)")
    #expect(throws: Crash.self) {
      try connection.transaction {
        try connection.run("INSERT INTO t VALUES (1)")
        throw Crash()
      }
    }
    try connection.transaction {
      try connection.run("INSERT INTO t VALUES (2)")
      #expect(throws: Crash.self) {
        try connection.transaction {
          try connection.run("INSERT INTO t VALUES (3)")
          throw Crash()
        }
      }
      #expect(throws: DatabaseError.self) {
        try connection.transaction { try connection.run("INSERT INTO t VALUES (2)") }
      }
    }
    #expect(try connection.query("SELECT a FROM t").map { $0[0] } == [2])
    #expect(!connection.isInTransaction)
  }

  @Test("a commit that PostgreSQL turns into a rollback is an error, and no success")
  func commitRefused() throws {
    let connection = try TestDatabase(.postgreSQL).connect()
    try connection.tables("CREATE TABLE t (a INTEGER)")
    let error = #expect(throws: DatabaseError.self) {
      try connection.transaction {
        try connection.run("INSERT INTO t VALUES (1)")
        do {
          try connection.run("nonsense")
        } catch let error as DatabaseError {
          // Gone on from, as it must not be.
          #expect(error.kind == .misuse)
        }
      }
    }
    #expect(error?.code == "")
    #expect(error?.kind == .misuse)
    #expect(try connection.query("SELECT a FROM t").isEmpty)
  }

  @Test("a snapshot does not see what others commit meanwhile", arguments: Backend.allCases)
  func snapshot(on backend: Backend) throws {
    let database = try TestDatabase(backend)
    let (reader, writer) = (try database.connect(), try database.connect())
    try writer.tables("CREATE TABLE t (a INTEGER)")
    try reader.snapshot {
      let before = try reader.first("SELECT COUNT(*) FROM t")?[0]
      try writer.run("INSERT INTO t VALUES (1)")
      #expect(try reader.first("SELECT COUNT(*) FROM t")?[0] == before)
    }
    #expect(try reader.first("SELECT COUNT(*) FROM t")?[0] == 1)
  }

  @Test("a writer that waits too long is told that the database is busy", arguments: Backend.allCases)
  func busy(on backend: Backend) throws {
    let database = try TestDatabase(backend)
    let holder = try database.connect()
    try holder.tables("CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (1)")
    let waiter = try database.connect(timeoutMilliseconds: 50)
    try holder.transaction {
      _ = try holder.query("SELECT a FROM t FOR UPDATE")
      let error = #expect(throws: DatabaseError.self) {
        try waiter.transaction { try waiter.query("SELECT a FROM t FOR UPDATE") }
      }
      #expect(error?.isBusy == true)
    }
    let rows = try waiter.transaction { try waiter.query("SELECT a FROM t FOR UPDATE") }
    #expect(rows.count == 1)
  }

  @Test("of jobs in a queue each goes to one, and nobody waits for another's", arguments: Backend.allCases)
  func skipLocked(on backend: Backend) throws {
    let pool = try TestDatabase(backend).pool(size: 8)
    try pool.withConnection { connection in
      try connection.tables("CREATE TABLE jobs (id INTEGER PRIMARY KEY, owner INTEGER)")
      for _ in 0..<100 { try connection.run("INSERT INTO jobs (owner) VALUES (NULL)") }
    }
    let taken = try onThreads(8) { thread in
      var taken: [Int64] = []
      func take() throws -> Row? {
        try pool.transaction { connection in
          try connection.first(
            """
            UPDATE jobs SET owner = ? WHERE id = (SELECT id FROM jobs WHERE owner IS NULL
              ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id
            """, [SQLValue(thread)])
        }
      }
      while let row = try take() { taken.append(try row.integer("id")) }
      return taken
    }
    #expect(taken.flatMap { $0 }.sorted() == Array(1...100))
  }

  @Test("more statements than are kept prepared, and the same again", arguments: Backend.allCases)
  func statementCache(on backend: Backend) throws {
    let connection = try TestDatabase(backend).connect()
    for _ in 0..<2 {
      for number in 0..<300 { #expect(try connection.first("SELECT \(number)")?[0] == SQLValue(number)) }
    }
  }

  @Test("a new file is readable to its owner only")
  func mode() throws {
    let database = try TestDatabase(.sqlite)
    _ = try database.connect()
    let attributes = try FileManager.default.attributesOfItem(atPath: database.path)
    #expect(attributes[.posixPermissions] as? Int == 0o600)
  }
}

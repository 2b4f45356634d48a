import DatabaseTesting
import PluginTesting
import SQL
import Testing

@Suite struct MigrationTests {
  private func connect(_ database: TestDatabase) throws -> Connection {
    Connection(try database.engine().connect())
  }

  @Test("migrations run once, in order; a newer database is refused", arguments: Backend.allCases)
  func once(on backend: Backend) throws {
    let connection = try connect(try TestDatabase(backend))
    let (a, b): (Script, Script) = ("CREATE TABLE a (x INTEGER)", "CREATE TABLE b (x INTEGER)")
    #expect(try Migrations.apply([a], to: connection) == 0)
    #expect(try Migrations.apply([a, b], to: connection) == 1)
    #expect(try Migrations.apply([a, b], to: connection) == 2)
    let newer = #expect(throws: DatabaseError.self) { try Migrations.apply([Script](), to: connection) }
    #expect(newer?.kind == .newerSchema)
    #expect(throws: DatabaseError.self) {
      try Migrations.apply(
        [a, b, "CREATE TABLE c (x INTEGER)", "CREATE TABLE nonsense"] as [Script], to: connection)
    }
    #expect(try Migrations.version(of: connection) == 2)
    #expect(try connection.schemaObjects().isSuperset(of: ["a", "b"]))
    #expect(try !connection.schemaObjects().contains("c"))
  }

  @Test(
    "a program that is rolled back uses a newer database if its successor says that it can",
    arguments: Backend.allCases)
  func rolledBack(on backend: Backend) throws {
    let connection = try connect(try TestDatabase(backend))
    let scripts: [Script] = [
      "CREATE TABLE a (x INTEGER)", "CREATE TABLE b (x INTEGER)", "CREATE TABLE c (x INTEGER)",
    ]
    try Migrations.apply(scripts, to: connection, readableFrom: 2)
    #expect(try Migrations.apply(Array(scripts.prefix(2)), to: connection) == 3)
    #expect(throws: DatabaseError.self) { try Migrations.apply(Array(scripts.prefix(1)), to: connection) }
    #expect(try Migrations.version(of: connection) == 3)
  }

  @Test("many that start together migrate once", arguments: Backend.allCases)
  func together(on backend: Backend) throws {
    let database = try TestDatabase(backend)
    let scripts: [Script] = ["CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1)"]
    let before = try onThreads(12) { _ in
      try Migrations.apply(
        scripts, to: Connection(try database.engine(timeoutMilliseconds: 30_000).connect()))
    }
    #expect(before.filter { $0 == 0 }.count >= 1)
    #expect(try connect(database).first("SELECT COUNT(*) FROM a")?[0] == 1)
  }

  @Test("a guard that is dropped or switched off is missed", arguments: Backend.allCases)
  func missingGuard(on backend: Backend) throws {
    let connection = try connect(try TestDatabase(backend))
    let script = Script(
      "CREATE TABLE a (x INTEGER)", guards: [Guard("kept", before: .delete, on: "a", message: "kept")])
    try Migrations.apply([script], to: connection)
    #expect(try connection.schemaObjects().contains("kept"))
    try connection.execute(
      backend == .sqlite ? "DROP TRIGGER kept" : "ALTER TABLE a DISABLE TRIGGER kept")
    #expect(try !connection.schemaObjects().contains("kept"))
  }

  @Test("two plugins share a PostgreSQL database, each in a schema of its own")
  func namespaces() throws {
    let database = try TestDatabase(.postgreSQL)
    for namespace in ["first_plugin", "second_plugin"] {
      let pool = try database.setting.open(file: "", namespace: namespace, size: 1)
      try pool.withConnection {
        #expect(try Migrations.apply(["CREATE TABLE a (x TEXT)"] as [Script], to: $0) == 0)
        try $0.run("INSERT INTO a VALUES (?)", [.text(namespace)])
        #expect(try $0.query("SELECT x FROM a").map { $0[0] } == [.text(namespace)])
      }
    }
  }
}

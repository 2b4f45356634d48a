import DatabaseSettings
import DatabaseTesting
import Foundation
import PluginTesting
import SQL
import Synchronization
import Testing

@Suite struct PostgreSQLTests {
  @Test("no error shows the password, whatever is wrong with the URL or the server")
  func password() throws {
    let server = try PostgreSQLServer.shared()
    let secret = "hunter2 secret"
    for url in [
      server.url("postgres", password: secret),
      server.url("no-such-database"), server.url("postgres") + "&sslmode=nonsense",
      "postgres://u:hunter2/x@h/db", "postgres://u:x@hunter2@h/db", "postgres://u:x?hunter2@h/db",
      "postgres://bulkhead:hunter2%20secret@127.0.0.1:1/x", "postgres://u:hunter2%ZZ@h/x",
      "postgres://u:hunter2 secret@h:port/x?nonsense=hunter2",
    ] {
      let setting = try #require(DatabaseSetting(url))
      let error = #expect(throws: DatabaseError.self) {
        try setting.engine(file: "", namespace: "n").connect()
      }
      let text = "\(error.map { "\($0)" } ?? "")"
      #expect(!text.isEmpty)
      for part in ["hunter2", PostgreSQLServer.password] { #expect(!text.contains(part)) }
    }
  }

  @Test("neither a setting nor an engine shows its URL when it is printed")
  func descriptions() throws {
    let url = "postgres://u:hunter2@h/x"
    let setting = try #require(DatabaseSetting(url))
    let engine = try setting.engine(file: "", namespace: "n")
    var dumped = ""
    dump(engine, to: &dumped)
    for text in ["\(setting)", String(reflecting: setting), "\(engine)", String(reflecting: engine), dumped] {
      #expect(!text.contains("hunter2"), "\(text)")
    }
  }

  @Test("a server that takes no writes is unavailable, and asked anew by the next")
  func standby() throws {
    let pool = try TestDatabase(.postgreSQL).pool(size: 1)
    try pool.withConnection {
      try $0.tables("CREATE TABLE t (a INTEGER)")
      try $0.execute("SET default_transaction_read_only = on")
    }
    let error = #expect(throws: DatabaseError.self) {
      try pool.withConnection { try $0.run("INSERT INTO t VALUES (1)") }
    }
    #expect(error?.kind == .unavailable)
    #expect(try pool.withConnection { try $0.run("INSERT INTO t VALUES (1)") } == 1)
  }

  @Test("a database that cannot hold every character is refused at the start, in words; SQL_ASCII can")
  func encodings() throws {
    let server = try PostgreSQLServer.shared()
    for (encoding, isGood) in [("LATIN2", false), ("SQL_ASCII", true), ("UTF8", true)] {
      let name = "encoded_\(encoding.lowercased())_\(getpid())"
      try server.sql("CREATE DATABASE \(name) ENCODING '\(encoding)' LOCALE 'C' TEMPLATE template0")
      defer { #expect(throws: Never.self) { try server.drop(name) } }
      let setting = try #require(DatabaseSetting(server.url(name)))
      let text = "日本 é 😀"
      if isGood {
        let pool = try setting.open(
          file: "", namespace: "n", size: 1, migrations: ["CREATE TABLE t (a TEXT)"])
        #expect(
          try pool.withConnection { try $0.first("INSERT INTO t VALUES (?) RETURNING a", [.text(text)])?[0] }
            == .text(text))
      } else {
        let error = #expect(throws: DatabaseError.self) {
          try setting.open(file: "", namespace: "n", size: 1, migrations: ["CREATE TABLE t (a TEXT)"])
        }
        #expect(error?.isTemporary == false)
        #expect(error?.message.contains("the database's encoding is LATIN2, and must be UTF8") == true)
      }
    }
  }

  @Test("a text that is too long for an index is an invalid value")
  func tooLongForAnIndex() throws {
    let connection = try TestDatabase(.postgreSQL).connect()
    try connection.tables("CREATE TABLE t (a TEXT PRIMARY KEY)")
    let long = String((0..<9000).map { _ in Character(Unicode.Scalar(UInt8.random(in: 97...122))) })
    let error = #expect(throws: DatabaseError.self) {
      try connection.run("INSERT INTO t VALUES (?)", [.text(long)])
    }
    #expect(error?.kind == .invalidValue)
  }

  @Test("pools that were made while the server was away migrate once between them, when it is there")
  func awayAtFirst() throws {
    let server = try PostgreSQLServer()
    let setting = try #require(DatabaseSetting(server.url("postgres")))
    try server.stop()
    let scripts: [Script] = ["CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1)"]
    let pools = try (0..<3).map { _ in
      try setting.open(file: "", namespace: "late", size: 4, timeoutMilliseconds: 30_000, migrations: scripts)
    }
    for pool in pools {
      #expect(pool.awayAtStart?.kind == .unavailable)
      let error = #expect(throws: DatabaseError.self) { try pool.withConnection { _ in } }
      #expect(error?.isTemporary == true)
    }
    try server.start()
    let counts = try onThreads(12) { thread in
      try pools[thread % 3].snapshot { try $0.first("SELECT COUNT(*) FROM a")?[0] }
    }
    #expect(counts == Array(repeating: 1, count: 12))
    // One that is made now was never without it.
    let later = try setting.open(file: "", namespace: "late", size: 1, migrations: scripts)
    #expect(later.awayAtStart == nil)
  }

  @Test("a newer schema is refused by whoever migrates, also when its server was away at first")
  func newerAfterAway() throws {
    let server = try PostgreSQLServer()
    let setting = try #require(DatabaseSetting(server.url("postgres")))
    let scripts: [Script] = ["CREATE TABLE a (x INTEGER)", "CREATE TABLE b (x INTEGER)"]
    _ = try setting.open(file: "", namespace: "newer", size: 1, migrations: scripts)
    try server.stop()
    let pool = try setting.open(file: "", namespace: "newer", size: 1, migrations: [scripts[0]])
    try server.start()
    for _ in 0..<2 {
      let error = #expect(throws: DatabaseError.self) { try pool.withConnection { _ in } }
      #expect(error?.kind == .newerSchema)
    }
  }

  @Test("a server that is away is unavailable, at once")
  func away() throws {
    let setting = try #require(DatabaseSetting("postgres://u@127.0.0.1:1/x"))
    let pool = try setting.open(file: "", namespace: "n", size: 1)
    #expect(pool.awayAtStart?.kind == .unavailable)
    let error = #expect(throws: DatabaseError.self) { try pool.withConnection { _ in } }
    #expect(error?.kind == .unavailable)
    #expect(error?.isTemporary == true)
  }

  @Test("a server that never answers is given up")
  func silent() throws {
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(listener) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let port = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { address -> UInt16? in
        guard bind(listener, address, length) == 0, listen(listener, 5) == 0,
          getsockname(listener, address, &length) == 0
        else { return nil }
        return address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { $0.pointee.sin_port.bigEndian }
      }
    }
    let open = try #require(port)
    let setting = try #require(DatabaseSetting("postgres://u@127.0.0.1:\(open)/x?connect_timeout=2"))
    let begun = ContinuousClock.now
    let error = #expect(throws: DatabaseError.self) {
      try setting.engine(file: "", namespace: "n").connect()
    }
    #expect(error?.kind == .unavailable)
    #expect(ContinuousClock.now - begun < .seconds(5))
  }

  @Test("a statement that takes too long is stopped, and the connection goes on")
  func statementTimeout() throws {
    let connection = try TestDatabase(.postgreSQL).connect(timeoutMilliseconds: 100)
    let error = #expect(throws: DatabaseError.self) { try connection.query("SELECT pg_sleep(30)") }
    #expect(error?.isBusy == true)
    #expect(try connection.first("SELECT 1")?[0] == 1)
  }

  @Test("text with a NUL is refused before it is sent")
  func nul() throws {
    let connection = try TestDatabase(.postgreSQL).connect()
    let error = #expect(throws: DatabaseError.self) { try connection.query("SELECT ?", ["a\u{0}b"]) }
    #expect(error?.kind == .invalidValue)
    #expect(try connection.first("SELECT 1")?[0] == 1)
  }

  @Test("a connection that the server has ended is an error to who uses it, and replaced for the next")
  func terminated() throws {
    let pool = try TestDatabase(.postgreSQL).pool(size: 2)
    let error = #expect(throws: DatabaseError.self) {
      try pool.transaction { connection in
        let process = try connection.first("SELECT pg_backend_pid() AS pid")?.integer("pid") ?? 0
        try PostgreSQLServer.shared().sql("SELECT pg_terminate_backend(\(process))")
        _ = try connection.query("SELECT 1")
      }
    }
    #expect(error?.kind == .connectionLost)
    #expect(try pool.withConnection { try $0.first("SELECT 1")?[0] } == 1)
  }

  @Test("idle connections whose server was restarted are replaced before they are lent")
  func restarted() throws {
    let server = try PostgreSQLServer()
    let setting = try #require(DatabaseSetting(server.url("postgres")))
    let pool = try setting.open(file: "", namespace: "test", size: 4)
    try onThreads(4) { _ in try pool.withConnection { try $0.query("SELECT pg_sleep(0.1)") } }
    try server.stop()
    let error = #expect(throws: DatabaseError.self) { try pool.withConnection { try $0.query("SELECT 1") } }
    #expect(error?.isTemporary == true)
    try server.start()
    let answers = try onThreads(16) { _ in try pool.withConnection { try $0.first("SELECT 1")?[0] } }
    #expect(answers == Array(repeating: 1, count: 16))
  }

  @Test("a table that another program migrates under a kept statement costs no error")
  func migratedUnderneath() throws {
    let database = try TestDatabase(.postgreSQL)
    let pool = try database.pool(size: 1)
    try pool.withConnection { try $0.tables("CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (1)") }
    #expect(try pool.snapshot { try $0.first("SELECT * FROM t")?.count } == 1)
    let other = try database.connect()
    try other.tables("ALTER TABLE t ADD COLUMN b INTEGER")
    #expect(try pool.snapshot { try $0.first("SELECT * FROM t")?.count } == 2)
  }
}

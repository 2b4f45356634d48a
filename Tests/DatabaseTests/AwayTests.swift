import DatabaseSettings
import DatabaseTesting
import Foundation
import PluginTesting
import SQL
import SQLite
import Testing

@testable import PostgreSQL

/// Databases that cannot be used for the time being, and those that cannot be used as the settings have it.
@Suite struct AwayTests {
  private let scripts: [Script] = ["CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1)"]

  private func open(_ url: String, size: Int = 2, timeoutMilliseconds: Int32 = 5000) throws -> ConnectionPool
  {
    try #require(DatabaseSetting(url)).open(
      file: "", namespace: "n", size: size, timeoutMilliseconds: timeoutMilliseconds, migrations: scripts)
  }

  private func count(_ pool: ConnectionPool) throws -> SQLValue? {
    try pool.snapshot { try $0.first("SELECT COUNT(*) FROM a")?[0] }
  }

  private func expectAway(_ pool: ConnectionPool, code: String? = nil) {
    #expect(pool.awayAtStart?.isAway == true, "\(String(describing: pool.awayAtStart))")
    let error = #expect(throws: DatabaseError.self) { try count(pool) }
    #expect(error?.isAway == true && error?.isTemporary == true)
    if let code { #expect(pool.awayAtStart?.code == code && error?.code == code) }
  }

  private func expectUnusable(_ code: String, _ open: () throws -> ConnectionPool) {
    let error = #expect(throws: DatabaseError.self) { try open() }
    #expect(error?.kind == .unusable, "\(String(describing: error))")
    #expect(error?.isAway == false)
    #expect(error?.isTemporary == true, "a service that met it later would answer 503")
    #expect(error?.code == code)
  }

  // MARK: PostgreSQL

  @Test("a role that has all its connections is away, and there once one is free")
  func roleLimit() throws {
    let server = try PostgreSQLServer.shared()
    let role = "limited\(getpid())"
    let url = try server.makeTenant(role)
    try server.limit(role, to: 0)
    let pools = [try open(url), try open(url)]
    for pool in pools { expectAway(pool, code: "53300") }
    try server.limit(role, to: 1)
    #expect(try count(pools[0]) == 1)
    #expect(throws: DatabaseError.self) { try count(pools[1]) }
    try server.limit(role, to: -1)
    #expect(try count(pools[1]) == 1)
  }

  @Test("a pool that gets no further connection makes do with those that it has")
  func makesDo() throws {
    let server = try PostgreSQLServer.shared()
    let role = "few\(getpid())"
    let pool = try open(try server.makeTenant(role), size: 8, timeoutMilliseconds: 20_000)
    try server.limit(role, to: 1)
    let counts = try onThreads(8) { _ in
      try pool.withConnection { connection in
        _ = try connection.query("SELECT pg_sleep(0.05)")
        return try connection.first("SELECT COUNT(*) FROM a")?[0]
      }
    }
    #expect(counts == Array(repeating: 1, count: 8))
  }

  @Test("a server that has no slot left is away, and there once one is free")
  func slots() throws {
    let server = try PostgreSQLServer(connections: 8)
    let url = try server.makeTenant("tenant")
    let engine = try PostgreSQLEngine(url: url, namespace: "n")
    var held: [any Driver] = []
    let full = #expect(throws: DatabaseError.self) { while true { held.append(try engine.connect()) } }
    #expect(full?.code == "53300" && full?.kind == .unavailable, "\(String(describing: full))")
    let pool = try open(url)
    expectAway(pool, code: "53300")
    held.removeLast()
    try wait("the slot to be free") { (try? count(pool)) == 1 }
  }

  @Test(
    "a wrong password and a database that is not there are no absence; one that is closed for maintenance is")
  func admission() throws {
    let server = try PostgreSQLServer.shared()
    expectUnusable("28P01") { try open(server.url("postgres", password: "wrong")) }
    expectUnusable("3D000") { try open(server.url("nowhere")) }
    let role = "closed\(getpid())"
    let url = try server.makeTenant(role)
    try server.sql("ALTER DATABASE \(role) ALLOW_CONNECTIONS false")
    let pool = try open(url)
    expectAway(pool, code: "55000")
    try server.sql("ALTER DATABASE \(role) ALLOW_CONNECTIONS true")
    #expect(try count(pool) == 1)
  }

  @Test(
    "a name that nobody knows, and a port at which nobody listens, are away",
    arguments: [
      "postgres://u:p@nowhere.invalid/x", "postgres://u:p@127.0.0.1:1/x", "postgres:///x?host=/nonexistent",
    ])
  func nowhere(url: String) throws { expectAway(try open(url)) }

  @Test(
    "a server that takes connections and says nothing, or takes none, holds nobody for long",
    arguments: [0, 16])
  func silent(backlog: Int32) throws {
    let listener = try SilentServer(backlog: backlog)
    let begun = ContinuousClock.now
    let pool = try open("postgres://u:p@127.0.0.1:\(listener.port)/x?connect_timeout=60", size: 4)
    #expect(ContinuousClock.now - begun < .seconds(8))
    #expect(pool.awayAtStart?.isAway == true)
    // More than there are connections: one attempt is under way, and its outcome is everybody's.
    let waits = onThreads(16) { _ in
      let begun = ContinuousClock.now
      let error = #expect(throws: DatabaseError.self) { try count(pool) }
      #expect(error?.isAway == true)
      return ContinuousClock.now - begun
    }
    #expect(waits.allSatisfy { $0 < .seconds(9) }, "\(waits)")
    let attempts = listener.accepted
    #expect(attempts <= 2, "one after the other")
  }

  @Test("what libpq says of a refusal is told apart")
  func refusals() {
    func kind(_ said: String, _ states: String...) -> DatabaseError.Kind {
      var refusal = ConnectionRefusal(said: said, lacksPassword: false)
      refusal.states = states
      return refusal.kind
    }
    let prefix = #"connection to server at "db" (10.0.0.1), port 5432 failed: "#
    for state in ["53300", "53200", "53100", "57P01", "57P02", "57P03", "08P01", "08006", "58030", "55000"] {
      #expect(kind("", state) == .unavailable, "\(state)")
    }
    for state in ["28P01", "28000", "3D000", "42501", "0A000", "22023"] {
      #expect(kind(prefix + "FATAL:  no", state) == .unusable, "\(state)")
    }
    #expect(kind(prefix + #"FATAL:  too many connections for role "shop""#, "28000") == .unavailable)
    #expect(kind("", "28P01", "57P03") == .unavailable, "one of two servers is starting")
    for said in [
      "Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?",
      "timeout expired", "No route to host", "server closed the connection unexpectedly",
      "Network is unreachable",
    ] {
      #expect(kind(prefix + said) == .unavailable, "\(said)")
    }
    #expect(
      kind(#"could not translate host name "db" to address: Temporary failure in name resolution"#)
        == .unavailable)
    for said in [
      #"server certificate for "a" does not match host name "db""#, "SSL error: certificate verify failed",
      "server does not support SSL, but SSL was required", "fe_sendauth: no password supplied",
    ] {
      #expect(kind(prefix + said) == .unusable, "\(said)")
    }
    #expect(
      kind(prefix + "Connection refused\n" + prefix + "SSL error: certificate verify failed") == .unavailable)
    #expect(
      ConnectionRefusal.states(
        in: prefix + "FATAL:  53300: sorry, too many clients already\nLOCATION:  InitProcess, proc.c:354\n")
        == ["53300"])
    #expect(ConnectionRefusal.states(in: prefix + "FATAL:  sorry: no\nDETAIL:  Abcde: x") == [])
  }

  // MARK: SQLite

  @Test("a file that another program holds locked is away, and there once it lets go")
  func locked() throws {
    let database = try TestDatabase(.sqlite)
    var other: Connection? = Connection(try database.engine().connect())
    try other?.execute("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; CREATE TABLE b (x INTEGER)")
    let pool = try database.setting.open(
      file: database.path, namespace: "", size: 2, timeoutMilliseconds: 100, migrations: scripts)
    expectAway(pool)
    other = nil
    #expect(try count(pool) == 1)
  }

  @Test("a folder that is not there yet is waited for")
  func noFolder() throws {
    let folder = try TestDatabase(.sqlite).path + "-folder"
    let pool = try DatabaseSetting.sqlite.open(
      file: folder + "/a.sqlite3", namespace: "", size: 2, migrations: scripts)
    expectAway(pool)
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
    #expect(try count(pool) == 1)
  }

  @Test("what is no file is refused at once, and in words", arguments: ["", "-wal", "-shm", "-journal"])
  func noFile(suffix: String) throws {
    let path = try TestDatabase(.sqlite).path
    try #require(mkfifo(path + suffix, 0o600) == 0)
    let error = #expect(throws: DatabaseError.self) {
      try DatabaseSetting.sqlite.open(file: path, namespace: "", size: 1, migrations: scripts)
    }
    #expect(error?.kind == .unusable)
    #expect(error?.message == "\(path + suffix) is not a regular file")
  }
}

/// Listens at a port of the loopback, and never says anything.
private final class SilentServer {
  let port: UInt16
  private let listener: Int32
  private var clients: [Int32] = []

  /// - Parameter backlog: how many connections the kernel makes for it; with 0 those beyond the first wait for ever, as at a
  ///   machine that drops what it gets.
  init(backlog: Int32) throws {
    listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let (listener, size) = (listener, length)
    let found = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer -> UInt16? in
        guard bind(listener, pointer, size) == 0, listen(listener, backlog) == 0,
          getsockname(listener, pointer, &length) == 0
        else { return nil }
        return pointer.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { $0.pointee.sin_port.bigEndian }
      }
    }
    port = try #require(found)
    guard backlog == 0 else { return }
    // The kernel has room for one more than the backlog: these fill it.
    for _ in 0..<3 {
      let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
      clients.append(client)
      withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { _ = connect(client, $0, size) }
      }
    }
  }

  /// How many connections are waiting to be accepted; they are by this.
  var accepted: Int {
    var count = 0
    while true {
      let client = accept(listener, nil, nil)
      guard client >= 0 else { return max(0, count - clients.count) }
      close(client)
      count += 1
    }
  }

  deinit {
    for descriptor in clients + [listener] { close(descriptor) }
  }
}

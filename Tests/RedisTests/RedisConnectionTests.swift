import Foundation
import PluginTesting
import Redis
import RedisTesting
import Synchronization
import Testing

private func connect(
  _ address: String, through library: Hiredis? = nil, timeout: Duration = .seconds(5)
) throws -> RedisConnection {
  try RedisConnection(
    to: RedisAddress(parsing: address), through: try library ?? Hiredis(), connectTimeout: .seconds(5),
    timeout: timeout)
}

@Suite("A connection to a real Redis")
struct RedisConnectionTests {
  @Test("every kind of reply is read as what it is, and arguments are any bytes")
  func replies() throws {
    let server = try RedisServer()
    let connection = try connect(server.address)
    #expect(try connection.send(RedisCommand("PING")) == .status("PONG"))
    #expect(try connection.send(RedisCommand("GET", "none")) == .null)
    var set = RedisCommand("SET")
    set.append("key")
    set.append([0, 13, 10, 255] as [UInt8])
    #expect(try connection.send(set) == .status("OK"))
    #expect(try connection.send(RedisCommand("GET", "key")) == .string([0, 13, 10, 255]))
    #expect(try connection.send(RedisCommand("STRLEN", "key")) == .integer(4))
    #expect(
      try connection.send(RedisCommand("MGET", "key", "none", "key"))
        == .array([.string([0, 13, 10, 255]), .null, .string([0, 13, 10, 255])]))
    #expect(try connection.send(RedisCommand("SET", "empty", "")) == .status("OK"))
    #expect(try connection.send(RedisCommand("GET", "empty")) == .string([]))
  }

  @Test("a value larger than any buffer comes whole")
  func large() throws {
    let server = try RedisServer()
    let connection = try connect(server.address)
    let text = String(repeating: "0123456789", count: 200_000)
    #expect(try connection.send(RedisCommand("SET", "key", text)) == .status("OK"))
    #expect(try connection.send(RedisCommand("GET", "key")).text == text)
  }

  @Test("an error reply is thrown with its kind, and the connection goes on")
  func refusal() throws {
    let server = try RedisServer()
    let connection = try connect(server.address)
    let error = #expect(throws: RedisError.self) { try connection.send(RedisCommand("EVALSHA", "0", "0")) }
    #expect(error?.kind == "NOSCRIPT")
    #expect(try connection.send(RedisCommand("PING")) == .status("PONG"))
  }

  @Test("a password, a user and a database are used; a wrong password is said to be so")
  func credentials() throws {
    let server = try RedisServer(["--requirepass", "p@ss", "--user", "ada", "on", ">word", "~*", "+@all"])
    let port = server.port
    let own = try connect("redis://:p%40ss@127.0.0.1:\(port)/3")
    #expect(try own.send(RedisCommand("SET", "key", "three")) == .status("OK"))
    let ada = try connect("redis://ada:word@127.0.0.1:\(port)/3")
    #expect(try ada.send(RedisCommand("GET", "key")).text == "three")
    #expect(try ada.send(RedisCommand("ACL", "WHOAMI")).text == "ada")
    let other = try connect("redis://ada:word@127.0.0.1:\(port)")
    #expect(try other.send(RedisCommand("GET", "key")) == .null)
    let error = #expect(throws: RedisError.self) { try connect("redis://:wrong@127.0.0.1:\(port)") }
    #expect(error?.kind == "WRONGPASS")
    let none = #expect(throws: RedisError.self) {
      try connect("redis://127.0.0.1:\(port)").send(RedisCommand("PING"))
    }
    #expect(none?.kind == "NOAUTH")
  }

  @Test("a Redis that has stopped answering is given up at the deadline, and one that died at once")
  func deadline() throws {
    let server = try RedisServer()
    let connection = try connect(server.address, timeout: .milliseconds(30))
    #expect(try connection.send(RedisCommand("PING")) == .status("PONG"))
    server.freeze()
    let begin = ContinuousClock.now
    #expect(throws: RedisError.timedOut(.milliseconds(30))) { try connection.send(RedisCommand("PING")) }
    let passed = ContinuousClock.now - begin
    #expect(passed >= .milliseconds(30) && passed < .milliseconds(500), "\(passed)")
    server.kill()
    #expect(throws: RedisError.closed) { try connection.send(RedisCommand("PING")) }
    let error = #expect(throws: RedisError.self) { try connect(server.address) }
    #expect(error == .system(call: "connect", code: ECONNREFUSED))
  }

  @Test("a script runs by its digest, and again when the server has forgotten it")
  func scripts() throws {
    let server = try RedisServer()
    let connection = try connect(server.address)
    let script = ScriptCall(text: "return {KEYS[1], ARGV[1], #ARGV}")
    try script.load(on: connection)
    let expected = RedisReply.array([.string(Array("k".utf8)), .string(Array("a".utf8)), .integer(2)])
    func run() throws -> RedisReply {
      try script.run(keys: RedisCommand("k"), count: 1, arguments: RedisCommand("a", "b"), on: connection)
    }
    #expect(try run() == expected)
    #expect(try connection.send(RedisCommand("SCRIPT", "FLUSH")) == .status("OK"))
    #expect(try run() == expected)
    #expect(try run() == expected)
  }

  @Test("a host that no name server knows is named")
  func unresolved() {
    let error = #expect(throws: RedisError.self) { try connect("redis://no-such-host.invalid") }
    #expect(error?.description.contains("no-such-host.invalid") == true)
  }
}

/// What a pool has reported.
private final class Changes: Sendable {
  private let all = Mutex<[String]>([])
  var list: [String] { all.withLock { $0 } }
  func add(_ change: RedisPool.Change) {
    all.withLock {
      switch change {
      case .connected: $0.append("connected")
      case .away: $0.append("away")
      }
    }
  }
}

@Suite("A pool of connections")
struct RedisPoolTests {
  private func pool(
    _ address: String, _ changes: Changes, connections: Int = 2,
    prepare: @escaping @Sendable (RedisConnection) throws(RedisError) -> Void = { _ in }
  ) throws -> RedisPool {
    let pool = RedisPool(
      try RedisAddress(parsing: address), through: try Hiredis(), connections: connections,
      timeout: .milliseconds(100), prepare: prepare, onChange: { changes.add($0) })
    try pool.start(waiting: .seconds(5))
    return pool
  }

  private func ping(_ pool: RedisPool) throws -> RedisReply {
    try pool.withConnection { connection throws(RedisError) in try connection.send(RedisCommand("PING")) }
  }

  @Test("it is connected when it has started, and says so once")
  func connected() throws {
    let server = try RedisServer()
    let changes = Changes()
    let pool = try pool(server.address, changes)
    defer { pool.stop() }
    #expect(pool.isConnected)
    for _ in 0..<10 { #expect(try ping(pool) == .status("PONG")) }
    #expect(changes.list == ["connected"])
  }

  @Test("a Redis that dies is away for all at once, is said to be once, and is found again")
  func loss() throws {
    let server = try RedisServer()
    let changes = Changes()
    let pool = try pool(server.address, changes)
    defer { pool.stop() }
    server.kill()
    #expect(throws: RedisError.self) { try ping(pool) }
    let begin = ContinuousClock.now
    for _ in 0..<1000 { #expect(throws: RedisError.away) { try ping(pool) } }
    #expect(ContinuousClock.now - begin < .seconds(1))
    try wait("the loss to be reported") { changes.list == ["connected", "away"] }
    try server.start()
    try wait("Redis to be found again") { pool.isConnected }
    #expect(try ping(pool) == .status("PONG"))
    try wait("the return to be reported") { changes.list == ["connected", "away", "connected"] }
  }

  @Test("a Redis that freezes is found out without a request, and is not taken for back while it is frozen")
  func frozen() throws {
    let server = try RedisServer()
    let changes = Changes()
    let pool = try pool(
      server.address, changes,
      prepare: { connection throws(RedisError) in
        _ = try connection.send(RedisCommand("PING"))
      })
    defer { pool.stop() }
    server.freeze()
    try wait("the loss") { !pool.isConnected }
    let deadline = Deadline(after: .seconds(1))
    while !deadline.hasPassed { #expect(throws: RedisError.away) { try ping(pool) } }
    server.thaw()
    try wait("Redis to be found again") { pool.isConnected }
    try wait("the return to be reported") { changes.list == ["connected", "away", "connected"] }
  }

  @Test("a Redis that is away at the start is found when it comes")
  func late() throws {
    let server = try RedisServer()
    server.kill()
    let changes = Changes()
    let pool = try pool(server.address, changes)
    defer { pool.stop() }
    #expect(!pool.isConnected)
    #expect(throws: RedisError.away) { try ping(pool) }
    try server.start()
    try wait("Redis to be found") { pool.isConnected }
    try wait("it to be reported") { changes.list == ["away", "connected"] }
  }

  @Test("connections that the server closes when they are idle for long are kept in use, and not lost")
  func idle() throws {
    // Two connections, each pinged every two seconds.
    let server = try RedisServer(["--timeout", "4"])
    let changes = Changes()
    let pool = try pool(server.address, changes, connections: 1)
    defer { pool.stop() }
    let observer = try connect(server.address)
    let deadline = Deadline(after: .seconds(8))
    while !deadline.hasPassed {
      _ = try observer.send(RedisCommand("PING"))
      usleep(50_000)
    }
    #expect(try ping(pool) == .status("PONG"))
    #expect(changes.list == ["connected"])
  }

  @Test("after it has stopped it answers nothing and reports nothing")
  func stopped() throws {
    let server = try RedisServer()
    let changes = Changes()
    let pool = try pool(server.address, changes)
    pool.stop()
    #expect(throws: RedisError.away) { try ping(pool) }
    let observer = try connect(server.address)
    try wait("its connections to be closed") {
      let clients = try observer.send(RedisCommand("CLIENT", "LIST")).text ?? ""
      return clients.split(separator: "\n").count == 1
    }
    #expect(changes.list == ["connected"])
  }
}

import DatabaseTesting
import Foundation
import PluginTesting
import Testing

/// A PostgreSQL server that has no connection left for the shop, while the shop's generations and workers come and go.
@Suite("A host whose database is full")
struct DatabaseFullTests {
  private static let role = "shop"

  /// A server on which the shop has a role of its own, and the role's URL.
  private func server() throws -> (PostgreSQLServer, url: String) {
    let server = try PostgreSQLServer()
    // The server ends with its standard input, whose other end the hosts must not inherit.
    for descriptor in 3..<256 as Range<Int32> { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
    return (server, try server.makeTenant(Self.role))
  }

  private func configuration(_ url: String) -> (String) -> String {
    {
      ShippedConfiguration.unlimited($0)
        .replacing("mount = /api/v1\n", with: "mount = /api/v1\ndatabase = \(url)\n")
        .replacing(
          "mount = /api/v1/auth\n",
          with: "mount = /api/v1/auth\nsecret = 0123456789abcdef0123456789abcdef\ndatabase = \(url)\n")
    }
  }

  private func balance(_ host: HostProcess, _ user: Shop.User) throws -> HTTPResponse {
    try host.get("/api/v1/credits/balance", headers: [user.bearer, ("Origin", Origin.own)])
  }

  /// Both plugins serve, none has faulted, and the requests that need the database are told to come again.
  private func expectAway(_ host: HostProcess, _ user: Shop.User) throws {
    for path in OutageTests.pings { #expect(try host.get(path).status == 200, "\(path)") }
    #expect(try host.get("/api/v1/credits/balance").status == 401)
    for _ in 0..<10 {
      let begun = ContinuousClock.now
      let login = try host.send(
        "POST", "/api/v1/auth/login", json: #"{"email":"\#(user.email)","password":"\#(Shop.password)"}"#)
      for answer in [try balance(host, user), login] {
        #expect(answer.status == 503, "\(answer.text)")
        #expect(answer.json["code"].string == "database-unavailable")
        #expect(answer.header("Retry-After") != nil)
      }
      #expect(ContinuousClock.now - begun < .seconds(12))
    }
    for plugin in ["auth", "domain"] {
      let entry = try host.plugin(plugin)
      #expect(entry["state"].string == "active", "\(entry)")
      #expect(entry["faults"].int == 0, "\(entry)")
    }
    #expect(try host.get("/health").json["status"].string == "ok")
  }

  /// It serves by itself once there is room.
  private func expectBack(_ host: HostProcess, _ user: Shop.User) throws {
    let worker = try host.worker()
    try wait("the shop to be back", within: .seconds(15)) { try balance(host, user).status == 200 }
    #expect(try host.get("/api/v1/auth/me", headers: [user.bearer]).status == 200)
    _ = try Shop(host: host).register()
    #expect(try host.worker() == worker, "no generation was needed for it")
    for plugin in ["auth", "domain"] { #expect(try host.plugin(plugin)["faults"].int == 0) }
  }

  @Test("an edit and a reload are taken while the role is at its limit, and the shop serves once it is not")
  func reload() throws {
    let (server, url) = try server()
    let host = try ShippedConfiguration.start(edit: configuration(url))
    let user = try Shop(host: host).register()
    #expect(try balance(host, user).status == 200)
    try server.limit(Self.role, to: 0)
    let first = try host.worker()
    let text = try String(contentsOfFile: host.configurationPath, encoding: .utf8)
    try host.directory.write(
      "plugins.conf", text.replacing("signup-credits = 100", with: "signup-credits = 120"))
    try wait("the edit to be taken", within: .seconds(30)) { try host.worker().generation > first.generation }
    // The connections of the generation before go with it.
    try wait("it to end", within: .seconds(40)) { !RunningProcess.exists(first.pid) }
    try expectAway(host, user)
    #expect(try host.command("reload").status == .exited(0))
    try expectAway(host, user)
    #expect(host.log.contains("too many connections for role"))
    #expect(!host.log.contains("pass/word"))
    try server.limit(Self.role, to: -1)
    try expectBack(host, user)
    let newcomer = try Shop(host: host).register()
    #expect(try balance(host, newcomer).json["current_balance"].int == 120)
    try host.stop()
  }

  @Test("a worker that dies meanwhile is replaced by one that serves what it can, and all once there is room")
  func kill() throws {
    let (server, url) = try server()
    let host = try ShippedConfiguration.start(edit: configuration(url))
    let user = try Shop(host: host).register()
    #expect(try balance(host, user).status == 200)
    try server.limit(Self.role, to: 0)
    let first = try host.worker()
    Glibc.kill(first.pid, SIGKILL)
    try wait("another worker", within: .seconds(30)) {
      (try? host.worker().generation) ?? 0 > first.generation  // lint: allow, refused until it is there
    }
    try expectAway(host, user)
    try server.limit(Self.role, to: -1)
    try expectBack(host, user)
    try host.stop()
  }

  @Test("with fewer slots than its pools could use, it serves with those that it gets")
  func few() throws {
    let (server, url) = try server()
    let host = try ShippedConfiguration.start(edit: configuration(url))
    let users = try (0..<2).map { _ in try Shop(host: host).register() }
    try server.limit(Self.role, to: 6)
    #expect(try host.command("reload").status == .exited(0))
    try wait("the shop to serve", within: .seconds(30)) { try balance(host, users[0]).status == 200 }
    let statuses = try onThreads(8) { thread in
      try (0..<20).map { _ in
        try HTTPConnection(host.endpoints[0]).request(
          "GET", "/api/v1/credits/balance", headers: [users[thread % 2].bearer]
        ).status
      }
    }.flatMap { $0 }
    #expect(Set(statuses).isSubset(of: [200, 503]))
    #expect(statuses.count { $0 == 200 } > statuses.count / 2, "\(statuses)")
    for plugin in ["auth", "domain"] { #expect(try host.plugin(plugin)["faults"].int == 0) }
    try host.stop()
  }

  @Test("a password that is wrong is a failed start, and the message says so")
  func wrongPassword() throws {
    let (server, url) = try server()
    defer { withExtendedLifetime(server) {} }
    let host = try ShippedConfiguration.start(edit: configuration(url.replacing("%70%61", with: "%70%62")))
    for plugin in ["auth", "domain"] {
      let entry = try host.plugin(plugin)
      #expect(entry["state"].string == "failed")
      #expect(entry["last_fault"]["reason"].string == "start-failed")
      #expect(
        entry["last_fault"]["message"].string?.contains("password authentication failed") == true, "\(entry)")
    }
    try host.stop()
  }

  @Test("a server that is cut off holds neither a start nor a request for long")
  func silent() throws {
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    defer { close(listener) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let port = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { address -> UInt16? in
        guard bind(listener, address, length) == 0, listen(listener, 64) == 0,
          getsockname(listener, address, &length) == 0
        else { return nil }
        return address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { $0.pointee.sin_port.bigEndian }
      }
    }
    let url = "postgres://u:p@127.0.0.1:\(try #require(port))/x?connect_timeout=60"
    let begun = ContinuousClock.now
    // Of the shop alone, so that accounts can be had.
    let host = try ShippedConfiguration.start(edit: {
      ShippedConfiguration.unlimited($0)
        .replacing("mount = /api/v1\n", with: "mount = /api/v1\ndatabase = \(url)\n")
    })
    #expect(ContinuousClock.now - begun < .seconds(10))
    let user = try Shop(host: host).register()
    let waits = try onThreads(12) { _ in
      let begun = ContinuousClock.now
      let answer = try HTTPConnection(host.endpoints[0]).request(
        "GET", "/api/v1/credits/balance", headers: [user.bearer])
      #expect(answer.status == 503)
      #expect(answer.json["code"].string == "database-unavailable", "\(answer.text)")
      return ContinuousClock.now - begun
    }
    #expect(waits.allSatisfy { $0 < .seconds(15) }, "\(waits)")
    #expect(try host.plugin("domain")["state"].string == "active")
    #expect(try host.plugin("domain")["faults"].int == 0)
    try host.stop()
  }
}

import DatabaseTesting
import Foundation
import PluginTesting
import Testing

/// Hosts that are started while the PostgreSQL server of the shop is away.
@Suite("A host whose database is away at start")
struct DatabaseAwayTests {
  private static let secret = "secret = 0123456789abcdef0123456789abcdef\n"

  private func start(on database: PluginDatabase, accounts: PluginDatabase? = nil) throws -> HostProcess {
    try ShippedConfiguration.start(edit: {
      ShippedConfiguration.unlimited($0)
        .replacing("mount = /api/v1\n", with: "mount = /api/v1\ndatabase = \(database.setting)\n")
        .replacing(
          "mount = /api/v1/auth\n",
          with: "mount = /api/v1/auth\n" + Self.secret
            + (accounts.map { "database = \($0.setting)\n" } ?? ""))
    })
  }

  /// The server ends with its standard input, whose other end the hosts must not inherit.
  private func keepDescriptors() {
    for descriptor in 3..<256 as Range<Int32> { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
  }

  @Test("it starts, answers 503 where it needs it, and serves once it is there, without a reload")
  func away() throws {
    let server = try PostgreSQLServer()
    keepDescriptors()
    let database = try PluginDatabase(on: server)
    try server.stop()
    let hosts = [try start(on: database), try start(on: database)]
    let user = try Shop(host: hosts[0]).register()
    for host in hosts {
      #expect(try host.plugin("domain")["state"].string == "active")
      #expect(try host.get("/health").json["status"].string == "ok")
      for path in OutageTests.pings { #expect(try host.get(path).status == 200, "\(path)") }
      #expect(try host.get("/api/v1/auth/me").status == 401)
      for path in ["credits/balance", "projects", "generations"] {
        let answer = try host.get("/api/v1/\(path)", headers: [user.bearer, ("Origin", Origin.own)])
        #expect(answer.status == 503, "\(path): \(answer.text)")
        #expect(answer.isProblem)
        #expect(answer.json["code"].string == "database-unavailable")
        #expect(answer.header("Retry-After") != nil)
        #expect(answer.header("Access-Control-Allow-Origin") == Origin.own)
      }
      #expect(host.log.contains("the database is away"))
      #expect(!host.log.contains("pass/word"))
    }

    let workers = try hosts.map { try $0.worker().pid }
    try server.start()
    // Both at once: whoever is first migrates, and opens the user's account.
    let balances = try onThreads(8) { thread in
      try HTTPConnection(hosts[thread % 2].endpoints[0]).request(
        "GET", "/api/v1/credits/balance", headers: [user.bearer]
      ).json["current_balance"].int
    }
    #expect(balances == Array(repeating: 100, count: 8))
    let order = try hosts[0].send(
      "POST", "/api/v1/generations",
      json: #"{"model_id":"sketch-1","prompt":"a tide","parameters":{"width":64,"height":64}}"#,
      headers: [user.bearer])
    #expect(order.status == 202, "\(order.text)")
    let id = order.json["id"].string ?? ""
    try wait("the generation to be there on the other host", within: .seconds(30)) {
      try hosts[1].get("/api/v1/generations/\(id)", headers: [user.bearer]).json["status"].string
        == "completed"
    }
    #expect(try hosts.map { try $0.worker().pid } == workers)
    for host in hosts { #expect(try host.plugin("domain")["faults"].int == 0) }
    for host in hosts { try host.stop() }
  }

  @Test("with the accounts there too it knows nobody until the server is there, and then everybody")
  func accounts() throws {
    let server = try PostgreSQLServer()
    keepDescriptors()
    let database = try PluginDatabase(on: server)
    let before = try start(on: database, accounts: database)
    let (user, out) = (try Shop(host: before).register(), try Shop(host: before).register())
    #expect(try before.send("POST", "/api/v1/auth/logout", headers: [out.bearer]).status == 204)
    try before.stop()
    try server.stop()

    let host = try start(on: database, accounts: database)
    #expect(try host.plugin("auth")["state"].string == "active")
    for path in OutageTests.pings { #expect(try host.get(path).status == 200, "\(path)") }
    #expect(try host.get("/api/v1/auth/me").status == 401)
    for visitor in [user, out] {
      let answer = try host.get("/api/v1/auth/me", headers: [visitor.bearer, ("Origin", Origin.own)])
      #expect(answer.status == 503, "\(answer.text)")
      #expect(answer.json["code"].string == "database-unavailable")
      #expect(answer.header("Retry-After") != nil)
      #expect(answer.header("Access-Control-Allow-Origin") == Origin.own)
    }
    let worker = try host.worker().pid
    try server.start()
    try wait("tokens to be accepted", within: .seconds(30)) {
      try host.get("/api/v1/auth/me", headers: [user.bearer]).status == 200
    }
    #expect(try host.get("/api/v1/auth/me", headers: [out.bearer]).status == 401)
    _ = try Shop(host: host).register()
    #expect(try host.worker().pid == worker)
    #expect(try host.plugin("auth")["faults"].int == 0)
    try host.stop()
  }
}

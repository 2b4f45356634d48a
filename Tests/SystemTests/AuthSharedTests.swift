import DatabaseTesting
import Foundation
import PluginTesting
import Testing

/// Two hosts, as of two machines, whose AuthPlugins share one PostgreSQL.
@Suite("Two hosts and one database of accounts")
struct AuthSharedTests {
  private func start(on database: PluginDatabase) throws -> HostProcess {
    try ShippedConfiguration.start(edit: {
      ShippedConfiguration.unlimited($0).replacing(
        "mount = /api/v1/auth",
        with: """
          mount = /api/v1/auth
          database = \(database.setting)
          secret = 0123456789abcdef0123456789abcdef
          scrypt-cost = 14
          """)
    })
  }

  @Test("a logout on one is obeyed by the other within tens of milliseconds, on every loop")
  func logout() throws {
    let database = try PluginDatabase(.postgreSQL)
    let (first, second) = (try start(on: database), try start(on: database))
    // A connection each for the loops: a token that one of them has cached.
    let connections = try (0..<4).map { _ in try second.connect() }
    func statuses(_ user: Shop.User) throws -> [Int] {
      try connections.map { try $0.request("GET", "/api/v1/projects", headers: [user.bearer]).status }
    }
    var delays: [Duration] = []
    for _ in 0..<20 {
      let user = try Shop(host: first).register()
      #expect(try statuses(user) == [200, 200, 200, 200])
      #expect(try first.send("POST", "/api/v1/auth/logout", headers: [user.bearer]).status == 204)
      let answered = ContinuousClock.now
      try wait("the other host to refuse the token on every connection", every: .milliseconds(1)) {
        try statuses(user) == [401, 401, 401, 401]
      }
      delays.append(ContinuousClock.now - answered)
      #expect(try first.get("/api/v1/projects", headers: [user.bearer]).status == 401)
      for host in [first, second] {
        let answer = try host.send(
          "POST", "/api/v1/auth/refresh", json: #"{"refresh_token":"\#(user.refreshToken)"}"#)
        #expect(answer.status == 401)
      }
    }
    delays.sort()
    print("a logout is known to the other host after \(delays[10]), at most \(delays[19])")
    // 20 ms between two looks, and what this machine takes for the rest.
    #expect(delays[10] < .milliseconds(60), "\(delays)")
  }

  @Test("a refresh token that is used twice, on different hosts, ends its family on both")
  func reuse() throws {
    let database = try PluginDatabase(.postgreSQL)
    let (first, second) = (try start(on: database), try start(on: database))
    let user = try Shop(host: first).register()
    let body = #"{"refresh_token":"\#(user.refreshToken)"}"#
    let next = try first.send("POST", "/api/v1/auth/refresh", json: body)
    #expect(next.status == 200)
    let bearer = ("Authorization", "Bearer \(next.json["access_token"].string ?? "")")
    #expect(try second.get("/api/v1/auth/me", headers: [bearer]).status == 200)
    #expect(try second.send("POST", "/api/v1/auth/refresh", json: body).status == 401)
    for host in [first, second] {
      try wait("the access tokens to be refused") {
        try host.get("/api/v1/auth/me", headers: [bearer]).status == 401
          && host.get("/api/v1/auth/me", headers: [user.bearer]).status == 401
      }
    }
  }

  @Test("a logout holds over the hand-over to the next generation, while both serve and afterwards")
  func generations() throws {
    let database = try PluginDatabase(.postgreSQL)
    let host = try start(on: database)
    for _ in 0..<3 {
      let user = try Shop(host: host).register()
      let connection = try host.connect()
      #expect(try connection.request("GET", "/api/v1/auth/me", headers: [user.bearer]).status == 200)
      let generation = try host.worker().generation
      host.process.send(signal: SIGHUP)
      #expect(try connection.request("POST", "/api/v1/auth/logout", headers: [user.bearer]).status == 204)
      try wait("the next generation") {
        let status = try host.get("/api/v1/auth/me", headers: [user.bearer]).status
        #expect(status == 401)
        return try host.worker().generation > generation
      }
      for _ in 0..<10 { #expect(try host.get("/api/v1/auth/me", headers: [user.bearer]).status == 401) }
    }
  }

  @Test(
    "while PostgreSQL is away tokens are refused with 503 and CORS headers, nobody is quarantined, and it passes"
  )
  func databaseAway() throws {
    let server = try PostgreSQLServer()
    // The server ends with its standard input, whose other end the host must not inherit.
    for descriptor in 3..<256 as Range<Int32> { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
    let database = try PluginDatabase(on: server)
    let host = try start(on: database)
    let user = try Shop(host: host).register()
    #expect(try host.get("/api/v1/projects", headers: [user.bearer]).status == 200)
    try server.stop()
    let headers = [user.bearer, ("Origin", Origin.own)]
    try wait("tokens to be refused") {
      let answer = try host.get("/api/v1/projects", headers: headers)
      #expect([200, 503].contains(answer.status))
      #expect(answer.header("Access-Control-Allow-Origin") == Origin.own)
      return answer.status == 503
    }
    let refused = try host.get("/api/v1/projects", headers: headers)
    #expect(refused.json["code"].string == "database-unavailable")
    #expect(refused.header("Retry-After") != nil)
    let login = try host.send(
      "POST", "/api/v1/auth/login", json: #"{"email":"\#(user.email)","password":"\#(Shop.password)"}"#)
    #expect(login.status == 503)
    #expect(try host.plugin("auth")["state"].string == "active")
    try server.start()
    try wait("tokens to be accepted again") {
      try host.get("/api/v1/projects", headers: [user.bearer]).status == 200
    }
    #expect(!host.log.contains("pass/word"))
  }
}

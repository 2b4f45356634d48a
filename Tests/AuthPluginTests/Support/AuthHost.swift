import DatabaseTesting
import Foundation
import PluginAPI
import PluginTesting

@testable import AuthPlugin

/// The plugin in an in-memory host, and what the tests say to it.
struct AuthHost {
  static let secret = "0123456789abcdef0123456789abcdef"
  static let mount = "/api/v1/auth"
  static let password = "correct horse battery"

  let host: InProcessHost
  let database: PluginDatabase

  /// - Parameters:
  ///   - settings: beside a secret, and the cheapest hashing; one that is empty is left out.
  ///   - backend: an empty database of this engine.
  init(
    on backend: Backend = .sqlite, _ settings: [String: String] = [:],
    appliesTo scope: InProcessHost.Scope = .protected, regions: SharedRegions = SharedRegions()
  ) throws {
    try self.init(on: try PluginDatabase(backend), settings, appliesTo: scope, regions: regions)
  }

  /// A further generation, or another host, on a database that is there.
  ///
  /// - Parameters:
  ///   - regions: shared by the generations of one host.
  ///   - stateDirectory: if it is not the database's own.
  init(
    on database: PluginDatabase, _ settings: [String: String] = [:],
    appliesTo scope: InProcessHost.Scope = .protected, regions: SharedRegions = SharedRegions(),
    stateDirectory: String? = nil, generation: Int = 1
  ) throws {
    self.database = database
    let all = ["secret": Self.secret, "scrypt-cost": "14", "database": database.setting].merging(settings) {
      $1
    }
    host = try InProcessHost(
      PluginTable.of(AuthPlugin.self), settings: Fields(all.filter { !$0.value.isEmpty }), mount: Self.mount,
      appliesTo: scope, regions: regions, stateDirectory: stateDirectory ?? database.directory,
      generation: generation)
  }

  func post(
    _ route: String, _ body: String, token: String? = nil, client: String = "192.0.2.1"
  ) throws -> Answer {
    var headers = [("Content-Type", "application/json")]
    if let token { headers.append(("Authorization", "Bearer \(token)")) }
    let answer = try host.send(
      "POST", "\(Self.mount)/\(route)", headers: Fields(headers.map { (name: $0.0, value: $0.1) }),
      body: body,
      client: client)
    return AuthContract.checked(answer, to: "POST", "\(Self.mount)/\(route)", body)
  }

  func put(_ route: String, _ body: String, token: String) throws -> Answer {
    let answer = try host.send(
      "PUT", "\(Self.mount)/\(route)",
      headers: ["Authorization": "Bearer \(token)", "Content-Type": "application/json"], body: body)
    return AuthContract.checked(answer, to: "PUT", "\(Self.mount)/\(route)", body)
  }

  func me(_ token: String) throws -> Answer {
    let answer = try host.send("GET", "\(Self.mount)/me", headers: ["Authorization": "Bearer \(token)"])
    return AuthContract.checked(answer, to: "GET", "\(Self.mount)/me")
  }

  /// A protected route of another plugin.
  func visit(_ authorization: String?, access: Routes.Access = .authenticated) throws -> Answer {
    let headers: Fields = authorization.map { ["Authorization": $0] } ?? [:]
    return try host.send("GET", "/api/v1/projects", headers: headers, access: access)
  }

  func register(_ email: String, password: String = AuthHost.password) throws -> Grant {
    let answer = try post("register", #"{"email":"\#(email)","password":"\#(password)"}"#)
    return try Grant(answer, status: 201)
  }

  func logIn(
    _ email: String, password: String = AuthHost.password, client: String = "192.0.2.1"
  ) throws -> Answer {
    try post("login", #"{"email":"\#(email)","password":"\#(password)"}"#, client: client)
  }

  func refresh(_ token: String) throws -> Answer {
    try post("refresh", #"{"refresh_token":"\#(token)"}"#)
  }
}

/// The Token object of the API.
struct Grant {
  let accessToken: String
  let refreshToken: String
  let json: [String: Any]
  let user: [String: Any]

  struct Unexpected: Error, CustomStringConvertible {
    let description: String
  }

  init(_ answer: Answer, status: Int = 200) throws {
    guard answer.status == status, let access = answer.json["access_token"] as? String,
      let refresh = answer.json["refresh_token"] as? String, let user = answer.json["user"] as? [String: Any]
    else { throw Unexpected(description: "no grant: \(answer)") }
    accessToken = access
    refreshToken = refresh
    json = answer.json
    self.user = user
  }

  /// The claims of the access token, as they stand in it.
  var claims: [String: Any] {
    get throws {
      let payload = accessToken.split(separator: ".")[1]
      let bytes = Base64.url.decode(payload.utf8) ?? []
      return try JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any] ?? [:]
    }
  }
}

extension Answer {
  /// The body's object; empty if it is none.
  var json: [String: Any] {
    do {
      return try JSONSerialization.jsonObject(with: Data(body)) as? [String: Any] ?? [:]
    } catch {
      return [:]
    }
  }

  var code: String? { json["code"] as? String }

  /// The fields that a 422 names.
  var fieldsInError: [String] {
    (json["errors"] as? [[String: Any]] ?? []).compactMap { $0["field"] as? String }
  }
}

import Foundation
import PluginTesting
import Synchronization
import Testing

@Suite("Keys are exchanged while the shop is in use")
struct AuthRotationTests {
  private let secrets = (1...3).map { String(repeating: "\($0)", count: 40) }

  @Test(
    "secrets and a JWK set, several times, and broken files between: no request fails, and nothing restarts"
  )
  func rotation() throws {
    let directory = try TemporaryDirectory()
    let issuers = try (0..<3).map { try Issuer(id: "\($0)", in: directory) }
    let keys = RotatedKeys(
      secrets: try directory.write("secrets", secrets[0] + "\n"),
      keySet: try directory.write("jwks.json", Issuer.keySet([issuers[0]])), directory: directory)
    let host = try ShippedConfiguration.start(edit: {
      ShippedConfiguration.unlimited($0).replacing(
        "mount = /api/v1/auth",
        with: """
          mount = /api/v1/auth
          secret-file = \(keys.secrets)
          jwks-file = \(keys.keySet)
          scrypt-cost = 14
          """)
    })
    let generation = try host.worker().generation
    let shop = Shop(host: host)
    let early = try shop.register()
    let clients = Clients(try (0..<3).map { _ in try shop.register() }, issuers)
    let load = try SteadyLoad(on: host.endpoints[0], clients: 1, turns: clients.turns)
    let rotation = Rotation(host: host, keys: keys, clients: clients)
    func earlyStatus() throws -> Int {
      try host.get("/api/v1/projects", headers: [early.bearer]).status
    }
    do {
      // The new secret is known before it signs, as with several hosts; then it signs; then the old one is removed.
      try rotation.publish([secrets[0], secrets[1]])
      try rotation.publish([secrets[1], secrets[0]])
      try rotation.refuse(keys.secrets, "short\n", for: "secret 1 has 5 bytes, and HS256 needs 32")
      try rotation.refuse(keys.secrets, "# none\n", for: "holds no secret")
      try rotation.refuse(keys.secrets, secrets[2] + "\n", mode: 0o644, for: "others have access to it")
      #expect(try earlyStatus() == 200, "the old secret verifies on")
      try rotation.publish([secrets[1]])
      try wait("the first secret to be gone") { try earlyStatus() == 401 }
      // At once, as with one host.
      try rotation.publish([secrets[2], secrets[1]])
      try rotation.publish([secrets[2]])

      for next in 1..<issuers.count {
        try rotation.publish(Array(issuers[next - 1...next]))
        try clients.sign(with: next)
        try rotation.refuse(keys.keySet, #"{"keys":["#, for: "is no JWK set")
        try rotation.publish([issuers[next]])
        try wait("the last key to be gone") { try issuers[next - 1].visit(host) == 401 }
      }
    } catch { Issue.record(error) }
    let (served, failures) = load.end()
    #expect(failures == [])
    #expect(served > 100)
    #expect(try host.worker().generation == generation)
    for secret in secrets { #expect(!host.log.contains(secret)) }
  }
}

/// The files.
private struct RotatedKeys {
  let secrets: String
  let keySet: String
  let directory: TemporaryDirectory
}

/// What an operator does, each step until all clients have lived with it for a while.
private struct Rotation {
  let host: HostProcess
  let keys: RotatedKeys
  let clients: Clients

  /// Puts secrets in place.
  func publish(_ secrets: [String]) throws {
    try replace(
      keys.secrets, secrets.joined(separator: "\n") + "\n", "read \(secrets.count) keys from \(keys.secrets)")
  }

  /// Puts a JWK set in place.
  func publish(_ issuers: [Issuer]) throws {
    try replace(
      keys.keySet, Issuer.keySet(issuers), "read \(issuers.count) keys from \(keys.keySet)")
  }

  /// Puts a file in place that is to be refused.
  func refuse(_ path: String, _ text: String, mode: Int = 0o600, for reason: String) throws {
    try replace(path, text, mode: mode, "the keys stay as they are: \(path)", reason)
  }

  /// - Parameter words: what a line of the log is to say of it.
  private func replace(_ path: String, _ text: String, mode: Int = 0o600, _ words: String...) throws {
    let seen = host.log.utf8.count
    func lines() -> [Substring] {
      String(decoding: Array(host.log.utf8.dropFirst(seen)), as: UTF8.self).split(separator: "\n")
        .filter { line in words.allSatisfy { line.contains($0) } }
    }
    try keys.directory.write((path as NSString).lastPathComponent, text, mode: mode)
    try wait("the log to say \(words)") { !lines().isEmpty }
    try clients.goOn()
    #expect(lines().count == 1, "said once")
  }
}

/// Users who ask with their token, and trade their refresh token for new ones all the time; and one whose tokens are another
/// issuer's.
private final class Clients: Sendable {
  private struct Tokens {
    var access: String
    var refresh: String
    /// Of this client.
    var turns = 0
  }

  private let users: Mutex<[Tokens]>
  private let issuers: [Issuer]
  private let foreign = Mutex((issuer: 0, turns: 0))

  init(_ users: [Shop.User], _ issuers: [Issuer]) {
    self.users = Mutex(users.map { Tokens(access: $0.token, refresh: $0.refreshToken) })
    self.issuers = issuers
  }

  var turns: [SteadyLoad.Turn] {
    users.withLock(\.indices).map { index in { connection in try self.refresh(index, connection) } }
      + [{ connection in try self.visit(connection) }]
  }

  /// The issuer signs with its next key from now on.
  func sign(with issuer: Int) throws {
    foreign.withLock { $0.issuer = issuer }
    try goOn()
  }

  /// Waits until every client has had two more turns, and so has tokens that were made since.
  func goOn() throws {
    func counts() -> [Int] { users.withLock { $0.map(\.turns) } + [foreign.withLock(\.turns)] }
    let before = counts()
    try wait("every client to have two more turns") { zip(counts(), before).allSatisfy { $0 >= $1 + 2 } }
  }

  private func refresh(_ index: Int, _ connection: HTTPConnection) throws -> String? {
    let own = users.withLock { $0[index] }
    for _ in 0..<20 {
      let answer = try connection.request(
        "GET", "/api/v1/projects", headers: [("Authorization", "Bearer \(own.access)")])
      guard answer.status == 200 else { return "\(answer.status): \(answer.text)" }
    }
    let answer = try connection.request(
      "POST", "/api/v1/auth/refresh", headers: [("Content-Type", "application/json")],
      body: Array(#"{"refresh_token":"\#(own.refresh)"}"#.utf8))
    guard let access = answer.json["access_token"].string, let refresh = answer.json["refresh_token"].string
    else { return "refresh: \(answer.status) \(answer.text)" }
    users.withLock { $0[index] = Tokens(access: access, refresh: refresh, turns: own.turns + 1) }
    usleep(2000)
    return nil
  }

  private func visit(_ connection: HTTPConnection) throws -> String? {
    let issuer = issuers[foreign.withLock(\.issuer)]
    let answer = try connection.request("GET", "/api/v1/projects", headers: [issuer.bearer])
    guard answer.status == 200 else { return "issuer \(issuer.id): \(answer.status): \(answer.text)" }
    foreign.withLock { $0.turns += 1 }
    usleep(2000)
    return nil
  }
}

/// An Ed25519 key of another issuer (RFC 8037), and a token signed with it: by the command `openssl`.
private struct Issuer {
  let id: String
  private let publicKey: String
  private let token: String

  init(id: String, in directory: TemporaryDirectory) throws {
    self.id = id
    let (key, message, result) = (
      "\(directory.path)/\(id).pem", "\(directory.path)/\(id).message", "\(directory.path)/\(id).result"
    )
    func openssl(_ arguments: String...) throws -> Data {
      let run = try ReleaseBuild.run("/usr/bin/env", ["openssl"] + arguments)
      guard run.status == .exited(0) else { throw HarnessError.system(call: "openssl", reason: run.errors) }
      return FileManager.default.contents(atPath: result) ?? Data()
    }
    _ = try openssl("genpkey", "-algorithm", "ed25519", "-out", key)
    // In DER the 32 bytes of the key are the last.
    let encoded = try openssl("pkey", "-in", key, "-pubout", "-outform", "DER", "-out", result)
    publicKey = Self.encode(encoded.suffix(32))
    let now = Int(Date().timeIntervalSince1970)
    let claims = """
      {"sub":"user-of-another","iss":"bulkhead","aud":"bulkhead","iat":\(now),"exp":\(now + 3600)}
      """
    let signed =
      Self.encode(Data(#"{"alg":"EdDSA","kid":"\#(id)"}"#.utf8)) + "." + Self.encode(Data(claims.utf8))
    try Data(signed.utf8).write(to: URL(fileURLWithPath: message))
    let signature = try openssl("pkeyutl", "-sign", "-inkey", key, "-rawin", "-in", message, "-out", result)
    token = signed + "." + Self.encode(signature)
  }

  var bearer: (String, String) { ("Authorization", "Bearer \(token)") }

  func visit(_ host: HostProcess) throws -> Int { try host.get("/api/v1/projects", headers: [bearer]).status }

  static func keySet(_ issuers: [Issuer]) -> String {
    let keys = issuers.map { #"{"kty":"OKP","crv":"Ed25519","kid":"\#($0.id)","x":"\#($0.publicKey)"}"# }
    return #"{"keys":[\#(keys.joined(separator: ","))]}"#
  }

  private static func encode(_ data: Data) -> String {
    data.base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
  }
}

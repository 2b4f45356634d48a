import PluginAPI
import SQL

extension AuthPlugin {
  /// What the self-test found wrong.
  struct SelfTestFailure: Error, CustomStringConvertible {
    let finding: String
    var description: String { "self-test: \(finding)" }
  }

  /// Signs a good, a bad and an expired token, and verifies them; hashes a password to its known hash; and reads the
  /// database. Nothing is written, and nothing kept.
  func selfTest() throws {
    try testTokens()
    try testScrypt()
    try testDatabase()
  }

  /// Of a database that is away, or busy for too long, nothing can be said: its routes answer for themselves.
  private func testDatabase() throws {
    guard accounts.database.awayAtStart == nil else { return }
    do {
      guard try accounts.database.user(id: "") == nil else {
        throw SelfTestFailure(finding: "the database has a user without an id")
      }
    } catch let error as DatabaseError where error.isTemporary {
      return
    }
  }

  private func testTokens() throws {
    let now = host.realtimeNanoseconds / 1_000_000_000
    let issuer = accounts.issuer
    let claims = issuer.claims(subject: "self-test", email: "self-test@example.com", role: "viewer", now: now)
    let good = try issuer.sign(claims)
    guard try verify(good, now: now) == claims else {
      throw SelfTestFailure(finding: "a good token says something else when verified")
    }
    try expect(.expired, of: good, now: claims.expiresAt + authenticator.verifier.leeway)
    var payload = claims
    payload.role = "admin"
    let parts = good.split(separator: ".")
    let forged = try issuer.sign(payload).split(separator: ".")
    try expect(.wrongSignature, of: "\(parts[0]).\(forged[1]).\(parts[2])", now: now)
    let unsigned = Base64.url.encode(#"{"alg":"none"}"#.utf8)
    try expect(.unsupportedAlgorithm, of: "\(unsigned).\(parts[1]).", now: now)
  }

  private func verify(_ token: String, now: Int64) throws -> TokenClaims {
    try Array(token.utf8).withUnsafeBytes {
      try authenticator.verifier.verify($0, authenticator.keys.current, now: now)
    }
  }

  private func expect(_ expected: TokenFault, of token: String, now: Int64) throws {
    do {
      _ = try verify(token, now: now)
    } catch let fault as TokenFault where fault == expected {
      return
    }
    throw SelfTestFailure(finding: "a token that is to be refused as \(expected) is accepted")
  }

  /// The first test vector of RFC 7914 section 12.
  private func testScrypt() throws {
    let key = try Scrypt.derive(
      "", salt: [], parameters: .init(logCost: 4, blockSize: 1, parallelism: 1), count: 16)
    let expected: [UInt8] = [
      0x77, 0xD6, 0x57, 0x62, 0x38, 0x65, 0x7B, 0x20, 0x3B, 0x19, 0xCA, 0x42, 0xC1, 0x8A, 0x04, 0x97,
    ]
    guard key == expected else { throw SelfTestFailure(finding: "scrypt computes something else") }
  }
}

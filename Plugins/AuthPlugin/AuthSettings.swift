import DatabaseSettings
import PluginAPI

/// What `plugins.conf` says of this plugin.
struct AuthSettings: PluginSettings {
  var secret: String?
  var secretFile: String?
  var previousSecret: [String]
  var algorithm: SignatureAlgorithm
  var publicKey: [String]
  var jwksFile: String?
  var issuer: String
  var audience: String
  var accessTTL: Duration
  var refreshTTL: Duration
  var leeway: Duration
  var scryptCost: Int
  var adminEmails: [String]
  var loginAttempts: Int64
  var loginAttemptsPerAddress: Int64
  var loginWindow: Duration
  var cacheSize: Int
  var database: String
  var revocationGrace: Duration

  static var schema: [Setting] {
    [
      Setting(
        "secret", .string, secret: true,
        help:
          "signs and verifies access tokens; at least 32 bytes; if unset, one is made in the state directory"),
      Setting(
        "secret-file", .string,
        help:
          "a file of secrets, one a line, in place of secret: the first signs, all verify; read again when it "
          + "changes; for its owner alone"),
      Setting(
        "previous-secret", .string, secret: true, repeatable: true,
        help:
          "still verifies tokens that were signed with it; take it out one access-ttl after a change of secret"
      ),
      Setting(
        "algorithm", .string, default: "HS256", choices: SignatureAlgorithm.symmetric.map(\.rawValue),
        help: "what tokens are signed with, and the one thing that the secret verifies"),
      Setting(
        "public-key", .string, repeatable: true,
        help: "ALGORITHM PATH: accepts tokens signed with another issuer's key too; "
          + "RS256, PS256, ES256 or EdDSA, and a PEM file"),
      Setting(
        "jwks-file", .string,
        help: "accepts tokens signed with the keys in this JWK set too; read again when it changes"),
      Setting(
        "issuer", .string, default: "bulkhead",
        help: "the iss claim: put into tokens, and demanded of them; empty: none"),
      Setting(
        "audience", .string, default: "bulkhead",
        help: "the aud claim: put into tokens, and demanded of them; empty: none"),
      Setting("access-ttl", .duration, default: "15m", help: "how long an access token is accepted"),
      Setting(
        "refresh-ttl", .duration, default: "30d", help: "how long a login lasts after it was last refreshed"),
      Setting(
        "leeway", .duration, default: "10s", help: "how far apart the clocks of signer and verifier may be"),
      Setting(
        "scrypt-cost", .integer, default: "15",
        help: "log2 of scrypt's N, 14...20: each step doubles time and memory; 15 takes 32 MiB a hash"),
      Setting(
        "admin-emails", .list,
        help: "users with these addresses have the role admin; others the one in the database"),
      Setting(
        "login-attempts", .integer, default: "10",
        help: "failed logins an e-mail address may have in a login-window"),
      Setting(
        "login-attempts-per-address", .integer, default: "100",
        help: "failed logins a client address (IPv6: a /64) may have in a login-window"),
      Setting("login-window", .duration, default: "15m", help: "how long failed logins are counted"),
      Setting(
        "cache-size", .integer, default: "16384", help: "verified tokens kept in memory, at about 1 KiB each"),
      Setting(
        "database", .string, default: "sqlite", secret: true,
        help: "sqlite: one file in the state directory. Or postgres://user:password@host:port/database, "
          + "which several hosts may share; they need the same secret then"),
      Setting(
        "revocation-grace", .duration, default: "2s",
        help: "how long tokens are accepted while PostgreSQL cannot be asked which ones have been revoked"),
    ]
  }

  /// What the schema cannot say.
  ///
  /// - Throws: `SettingsError`, naming the key.
  func check() throws {
    try check("access-ttl", accessTTL >= .seconds(1), "must be at least 1s")
    try check("refresh-ttl", refreshTTL > accessTTL, "must be longer than access-ttl")
    try check("leeway", leeway >= .zero && leeway <= .seconds(300), "must be within 0s and 5m")
    try check("scrypt-cost", (14...20).contains(scryptCost), "must be within 14...20")
    try check("login-attempts", loginAttempts >= 1, "must be at least 1")
    try check("login-attempts-per-address", loginAttemptsPerAddress >= 1, "must be at least 1")
    try check("login-window", loginWindow >= .seconds(1), "must be at least 1s")
    try check("cache-size", (0...10_000_000).contains(cacheSize), "must be within 0...10000000")
    try check(
      "revocation-grace", revocationGrace >= .milliseconds(100) && revocationGrace <= .seconds(300),
      "must be within 100ms and 5m")
    _ = try databaseSetting()
    try check(
      "secret-file", !hasSecretFile || (secret ?? "").isEmpty && previousSecret.isEmpty,
      "takes the place of secret and previous-secret")
    _ = try SigningKeys.given(self)
    for email in adminEmails {
      try check("admin-emails", EmailAddress(email) != nil, "'\(email)' is no e-mail address")
    }
  }

  var hasSecretFile: Bool { secretFile.map { !$0.isEmpty } ?? false }

  /// Which database.
  ///
  /// - Throws: `SettingsError`, which does not show the setting: it may hold a password.
  func databaseSetting() throws -> DatabaseSetting {
    guard let setting = DatabaseSetting(database) else {
      throw SettingsError(key: "database", reason: DatabaseSetting.expectation)
    }
    return setting
  }

  private func check(_ key: String, _ holds: Bool, _ reason: String) throws {
    if !holds { throw SettingsError(key: key, reason: reason) }
  }
}

import Glibc
import PluginAPI
import SQL

/// Verifies access tokens, and serves accounts and logins.
///
/// As middleware it tells from an `Authorization: Bearer` token who sends a request; the host enforces who may do what. As
/// router it makes accounts, and hands out such tokens.
struct AuthPlugin: Plugin {
  typealias Settings = AuthSettings

  static let plugin = PluginDescription(
    name: "auth", version: "1.0.0", summary: "Access tokens (JWT), accounts and logins")

  let host: Host
  let authenticator: Authenticator
  let accounts: AccountService
  let refused: Counter

  /// - Throws: `SettingsError`, `SecretFile.Failure`, `DatabaseError`, `CryptoError`, `HostRefusal`, `PollingThread.Failure`.
  init(_ start: Start<AuthSettings>) throws {
    let settings = start.settings
    let keys = try SigningKeys.ring(settings, start)
    let database = try AccountDatabase(settings.databaseSetting(), directory: start.stateDirectory)
    if let error = database.awayAtStart {
      start.host.log(.warning, "the database is away, and is looked for at each request: \(error)")
    }
    let region = try start.host.sharedRegion(
      RevocationEpoch.regionName, byteCount: RevocationEpoch.regionByteCount)
    let revocations = try Revocations(
      database.revocationReader, epoch: RevocationEpoch(region: region), grace: settings.revocationGrace,
      host: start.host)
    host = start.host
    refused = start.host.counter("tokens_refused_total", help: "Access tokens that were refused.")
    authenticator = Authenticator(
      keys: keys,
      verifier: TokenVerifier(
        issuer: settings.issuer, audience: settings.audience,
        leeway: settings.leeway.components.seconds),
      cache: TokenCache(capacity: settings.cacheSize), revocations: revocations,
      verified: start.host.counter(
        "tokens_verified_total", help: "Access tokens whose signature was checked."))
    accounts = AccountService(settings, start.host, keys, database, revocations)
    try revocations.startWatching()
  }

  func stop() { accounts.revocations.stopWatching() }
}

extension AccountService {
  fileprivate init(
    _ settings: AuthSettings, _ host: Host, _ keys: KeyRing, _ database: AccountDatabase,
    _ revocations: Revocations
  ) {
    self.host = host
    self.database = database
    self.revocations = revocations
    throttle = LoginThrottle(
      database: database, limitPerEmail: settings.loginAttempts,
      limitPerAddress: settings.loginAttemptsPerAddress, window: settings.loginWindow.milliseconds)
    issuer = TokenIssuer(
      keys: keys, issuer: settings.issuer, audience: settings.audience,
      lifetime: settings.accessTTL.components.seconds)
    // Hashing is bound by cores; more at once only takes more memory.
    turns = HashingTurns(count: max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))))
    passwordParameters = PasswordHash.Parameters(logCost: settings.scryptCost)
    work = PasswordWork(passwordParameters, host)
    adminEmails = Set(settings.adminEmails.map(EmailAddress.normalised))
    refreshLifetime = settings.refreshTTL.milliseconds
    leeway = settings.leeway.components.seconds
  }
}

extension Duration {
  var milliseconds: Int64 {
    let (seconds, attoseconds) = components
    return seconds * 1000 + attoseconds / 1_000_000_000_000_000
  }
}

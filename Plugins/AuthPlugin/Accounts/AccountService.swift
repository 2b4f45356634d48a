import PluginAPI
import SQL

/// Accounts and logins: what the routes do. [blocking] Any thread.
struct AccountService: Sendable {
  let database: AccountDatabase
  let throttle: LoginThrottle
  let issuer: TokenIssuer
  let revocations: Revocations
  let turns: HashingTurns
  let passwordParameters: PasswordHash.Parameters
  let work: PasswordWork
  /// Normalised addresses.
  let adminEmails: Set<String>
  /// In milliseconds.
  let refreshLifetime: Int64
  /// In seconds.
  let leeway: Int64
  let host: Host
  /// What a client gets for its password or its refresh token.
  struct Grant {
    let accessToken: String
    let refreshToken: String
    let user: User
  }

  /// Unix time in milliseconds.
  var now: Int64 { host.realtimeNanoseconds / 1_000_000 }

  /// The settings' list decides who is admin, so that taking an address out of it takes the role too.
  func role(of user: User) -> String {
    adminEmails.contains(user.email) ? "admin" : user.role
  }

  /// Makes an account, and logs it in.
  ///
  /// - Throws: `Problem` 409 if the e-mail is taken, 503 if too many hashes are being computed.
  func register(_ user: User) throws -> Grant {
    guard try database.user(email: user.email) == nil else { throw Self.emailTaken }
    return try database.pool.transaction { connection in
      guard try AccountDatabase.add(user, connection) else { throw Self.emailTaken }
      return try openSession(of: user, connection)
    }
  }

  /// Logs a user in.
  ///
  /// An unknown user costs the same work as a wrong password, and gets the same answer.
  ///
  /// - Throws: `Problem` 401, 429 after too many failures, 503 if too many hashes are being computed.
  func logIn(email: String, password: String, _ keys: LoginThrottle.Keys, within limit: Duration) throws
    -> Grant
  {
    switch try throttle.begin(keys, now: now) {
    case .allowed: break
    case .refused(let seconds):
      throw Self.tooMany("Too many logins have failed; try again later.", retryAfter: seconds)
    case .crowded: throw Self.tooMany("Too many logins are under way; try again.", retryAfter: 1)
    }
    var outcome = LoginThrottle.Outcome.abandoned
    do {
      guard let (user, better) = try authenticate(email, password, within: limit) else {
        outcome = .failed
        throw Problem.unauthorized(
          "The e-mail address or the password is wrong.", code: "invalid-credentials")
      }
      return try database.pool.transaction { connection in
        try throttle.end(keys, .succeeded, now: now, connection)
        if let better { try AccountDatabase.replacePassword(of: user, with: better, connection) }
        return try openSession(of: user, connection)
      }
    } catch {
      try database.pool.transaction { try throttle.end(keys, outcome, now: now, $0) }
      throw error
    }
  }

  /// The user with this e-mail address and password, nil if there is none; and a new hash, if the stored one has another
  /// cost than new ones have.
  private func authenticate(
    _ email: String, _ password: String, within limit: Duration
  ) throws -> (User, better: PasswordHash?)? {
    let user = try database.user(email: email)
    let stored = try user.map { try PasswordHash($0.password) } ?? unmatchedHash(passwordParameters)
    if try matches(password, stored, within: limit), let user {
      return (user, try stored.parameters == passwordParameters ? nil : hash(password, within: limit))
    }
    for parameters in try work.remaining(after: stored.parameters, stored: database.passwordCosts) {
      _ = try matches(password, unmatchedHash(parameters), within: limit)
    }
    return nil
  }

  /// What an unknown user's password is compared with.
  private func unmatchedHash(_ parameters: PasswordHash.Parameters) -> PasswordHash {
    PasswordHash(unmatchedWith: host.random, parameters: parameters)
  }

  private func matches(_ password: String, _ stored: PasswordHash, within limit: Duration) throws -> Bool {
    try hashing(stored.parameters, within: limit) { try stored.matches(password) }
  }

  /// Trades a refresh token for new tokens.
  ///
  /// - Throws: `Problem` 401, the same whatever is wrong with it.
  func refresh(_ refreshToken: String, _ request: borrowing Request) throws -> Grant {
    var grant: (access: String, refresh: String)?
    let rotation = try database.rotate(hash: try SHA256.hash(refreshToken), now: now) { user in
      let (access, refresh, record) = try makeTokens(for: user)
      grant = (access, refresh)
      return record
    }
    switch rotation {
    case .rotated(let user):
      guard let grant else { break }
      return Grant(accessToken: grant.access, refreshToken: grant.refresh, user: user)
    case .reused(let userID, let revoked):
      revocations.announce(revoked, now: now / 1000)
      request.log(.warning, "a spent refresh token of user \(userID) came again: its login is revoked")
    case .refused: break
    }
    throw Problem.unauthorized("The refresh token is not valid.", code: "invalid-refresh-token")
  }

  /// Ends the login that an access token comes from.
  func logOut(_ token: VerifiedToken) throws {
    let ended = try database.endSession(of: .init(tokenID: token.id, end: token.end), now: now)
    revocations.announce(ended, now: now / 1000)
  }

  /// Hashes a new password.
  ///
  /// - Throws: `Problem` 503 if too many hashes are being computed.
  func hash(_ password: String, within limit: Duration) throws -> PasswordHash {
    try hashing(passwordParameters, within: limit) {
      try PasswordHash(of: password, salt: host.random(16), parameters: passwordParameters)
    }
  }

  private func hashing<R>(
    _ parameters: PasswordHash.Parameters, within limit: Duration, _ body: () throws -> R
  ) throws -> R {
    do {
      return try turns.withTurn(within: min(limit, .seconds(10))) {
        work.add(parameters)
        return try body()
      }
    } catch is HashingTurns.Busy {
      throw Problem(
        status: 503, code: "busy", detail: "Too many logins at once; try again.",
        headers: [("Retry-After", "1")])
    }
  }

  private func openSession(of user: User, _ connection: Connection) throws -> Grant {
    let (access, refresh, record) = try makeTokens(for: user)
    try AccountDatabase.openSession(of: user, record, now: now, connection)
    return Grant(accessToken: access, refreshToken: refresh, user: user)
  }

  private func makeTokens(for user: User) throws -> (access: String, refresh: String, RefreshTokenRecord) {
    let now = self.now
    let claims = issuer.claims(subject: user.id, email: user.email, role: role(of: user), now: now / 1000)
    let refresh = Base64.url.encode(host.random(32))
    let record = RefreshTokenRecord(
      hash: try SHA256.hash(refresh), expiresAt: now + refreshLifetime, accessTokenID: claims.id ?? "",
      accessTokenEnd: claims.expiresAt + leeway)
    return (try issuer.sign(claims), refresh, record)
  }

  private static func tooMany(_ detail: String, retryAfter seconds: Int64) -> Problem {
    Problem.tooManyRequests(detail, code: "too-many-logins", retryAfter: .seconds(seconds))
  }

  private static let emailTaken = Problem.conflict(
    "There is an account with this e-mail.", code: "email-taken")
}

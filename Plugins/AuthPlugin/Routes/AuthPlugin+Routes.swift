import JSONBodies
import PluginAPI
import SQL

extension AuthPlugin: Router {
  func routes(_ routes: inout Routes) {
    routes.get("_ping", access: .public) { _ in .json(#"{"status":"ok","service":"auth"}"#) }
    routes.post("register", access: .public, execution: .blocking) { request in
      try unlessAway(request) { try register(request) }
    }
    routes.post("login", access: .public, execution: .blocking) { request in
      try unlessAway(request) { try logIn(request) }
    }
    routes.post("refresh", access: .public, execution: .blocking) { request in
      try unlessAway(request) { try refresh(request) }
    }
    routes.post("logout", access: .authenticated, execution: .blocking) { request in
      try unlessAway(request) { try logOut(request) }
    }
    routes.get("me", access: .authenticated, execution: .blocking) { request in
      try unlessAway(request) { try me(request) }
    }
    routes.put("profile", access: .authenticated, execution: .blocking) { request in
      try unlessAway(request) { try updateProfile(request) }
    }
  }

  /// A value that the database cannot hold is the client's. A database that is busy for too long, away, or without room is
  /// no fault of this plugin's: the client may try again.
  private func unlessAway(
    _ request: borrowing Request, _ body: () throws -> Response
  ) throws -> Response {
    do {
      return try body()
    } catch let failure as any PassingFailure where failure.isTemporary {
      guard let error = failure as? DatabaseError, error.kind == .busy || error.kind == .serializationFailure
      else {
        // The client is not told what the operator has to know: that the disk is full, say.
        request.log(.warning, "the database cannot be used: \(failure)")
        throw Problem.unavailable(
          "The database cannot be reached now; try again.", code: "database-unavailable",
          retryAfter: .seconds(5))
      }
      throw Problem.unavailable(
        "The database is busy; try again.", code: "database-busy", retryAfter: .seconds(1))
    } catch let error as DatabaseError where error.kind == .invalidValue {
      throw Validation.problem([FieldError(field: "", message: "a value cannot be kept by the database")])
    }
  }

  private func register(_ request: borrowing Request) throws -> Response {
    let body = try RegistrationBody(request)
    let hash = try accounts.hash(body.password, within: request.remaining)
    let now = accounts.now
    let user = User(
      id: Identifier.make(), email: body.email.text, password: hash.text, displayName: body.displayName,
      avatarURL: nil, role: User.defaultRole, createdAt: now, updatedAt: now)
    return try granted(try accounts.register(user), status: 201)
  }

  private func logIn(_ request: borrowing Request) throws -> Response {
    let body = try LoginBody(request)
    let keys = request.withClientIP { LoginThrottle.Keys(email: body.email, clientIP: $0) }
    let grant = try accounts.logIn(
      email: body.email, password: body.password, keys, within: request.remaining)
    return try granted(grant, status: 200)
  }

  private func refresh(_ request: borrowing Request) throws -> Response {
    let body = try RefreshBody(request)
    return try granted(try accounts.refresh(body.refreshToken, request), status: 200)
  }

  /// The identity alone does not say by which token it was won: the token is verified again, from the cache.
  /// It may have expired since, or the identity may be another plugin's work: that is no fault.
  private func logOut(_ request: borrowing Request) throws -> Response {
    do {
      guard let token = try verifiedToken(of: request) else {
        throw Problem.unauthorized("There is no access token to log out.")
      }
      try accounts.logOut(token)
      return .noContent()
    } catch let fault as TokenFault {
      throw AuthPlugin.refusal(of: fault)
    }
  }

  private func me(_ request: borrowing Request) throws -> Response {
    try shown(try subject(of: request).flatMap { try accounts.database.user(id: $0) })
  }

  private func updateProfile(_ request: borrowing Request) throws -> Response {
    let body = try ProfileBody(request)
    let user = try subject(of: request).flatMap { id in
      try accounts.database.updateProfile(of: id, now: accounts.now) { body.apply(to: &$0) }
    }
    return try shown(user)
  }

  private func subject(of request: borrowing Request) -> String? { request.identity?.subject }

  /// A user, or 401 if a good token's user is gone, or has never been ours.
  private func shown(_ user: User?) throws -> Response {
    guard let user else {
      throw Problem.unauthorized(
        "The access token's user has no account here.", code: "invalid-token",
        challenge: #"Bearer error="invalid_token", error_description="The user has no account here""#)
    }
    return try .json(UserView(user, role: accounts.role(of: user)), headers: [("Cache-Control", "no-store")])
  }

  private func granted(_ grant: AccountService.Grant, status: Int) throws -> Response {
    let view = TokenView(
      accessToken: grant.accessToken, expiresIn: accounts.issuer.lifetime, refreshToken: grant.refreshToken,
      user: UserView(grant.user, role: accounts.role(of: grant.user)))
    // RFC 6749 section 5.1: no cache may keep tokens.
    return try .json(view, status: status, headers: [("Cache-Control", "no-store")])
  }
}

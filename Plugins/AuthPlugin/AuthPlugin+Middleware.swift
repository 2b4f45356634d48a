import PluginAPI
import SQL

extension AuthPlugin: Middleware {
  static var authenticates: Bool { true }

  /// Sets the identity from the access token. Without a token the request goes on, and the host decides if it may. A
  /// token that is refused answers 401 on a protected route, and counts as none on others: who logs in again with an
  /// expired token still in the header must be able to.
  func request(_ request: borrowing Request) throws -> Response? {
    do {
      if let token = try verifiedToken(of: request) { try request.setIdentity(token.identity) }
    } catch let fault as TokenFault {
      refused.add()
      guard request.access == .authenticated || request.access == .role else { return nil }
      request.log(.debug, "access token refused: \(fault)")
      throw AuthPlugin.refusal(of: fault)
    } catch let error as any PassingFailure where error.isTemporary {
      guard request.access == .authenticated || request.access == .role else { return nil }
      request.log(.debug, "nobody knows whether the access token has been revoked: \(error)")
      throw AuthPlugin.unavailable
    }
    return nil
  }

  /// What a client gets while nobody can tell whether its token has been revoked.
  private static let unavailable = Problem.unavailable(
    "Access tokens cannot be checked now; try again.", code: "database-unavailable", retryAfter: .seconds(1))

  /// What a client gets whose token is refused.
  static func refusal(of fault: TokenFault) -> Problem {
    guard fault != .repeated else {
      return Problem(
        status: 400, code: "invalid-request", detail: fault.advice + ".",
        headers: [("WWW-Authenticate", BearerCredentials.challenge(for: fault))])
    }
    return Problem.unauthorized(
      fault.advice + ".", code: "invalid-token", challenge: BearerCredentials.challenge(for: fault))
  }

  /// - Returns: nil if the request has no bearer token.
  /// - Throws: `TokenFault`; `Revocations.Unknown` and others if a token's standing cannot be told.
  func verifiedToken(of request: borrowing Request) throws -> VerifiedToken? {
    let now = host.realtimeNanoseconds / 1_000_000_000
    guard BearerCredentials.areUnambiguous(request.headers) else { throw TokenFault.repeated }
    return try request.headers.withBytes("authorization") { field in
      guard let field, let token = BearerCredentials.token(in: field) else { return nil }
      return try authenticator.authenticate(token, now: now)
    }
  }
}

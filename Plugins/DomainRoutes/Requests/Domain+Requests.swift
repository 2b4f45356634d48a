import JSONBodies
import PluginAPI
import SQL

extension Domain {
  /// A handler for a user's request that changes nothing, or that needs no `Idempotency-Key`. [pool]
  func handler(
    _ body: @escaping @Sendable (borrowing Request, String) throws -> Response
  ) -> Routes.Handler {
    { [self] request in
      guard let user = request.identity?.subject else {
        // The host lets nobody in without an identity; were it ever to, this opens nothing.
        throw Problem.unauthorized("A token is needed.")
      }
      return try unlessAway(request) {
        try welcome(user)
        return try body(request, user)
      }
    }
  }

  /// A handler for a user's POST: it reads the request, and then makes the changes and the answer in one transaction,
  /// which also keeps the answer if the request has an `Idempotency-Key`. [pool]
  ///
  /// - Parameters:
  ///   - read: Checks and decodes the request; refuses what is malformed.
  ///   - perform: The changes. A `Problem` undoes them.
  ///   - committed: Runs after the changes are in the database, not for a replay.
  func postHandler<Input>(
    reading read: @escaping @Sendable (borrowing Request) throws -> Input,
    performing perform: @escaping @Sendable (Input, String, Session) throws -> Response,
    committed: @escaping @Sendable () -> Void = {}
  ) -> Routes.Handler {
    handler { [self] request, user in
      let input = try read(request)
      guard let key = try idempotencyKey(of: request) else {
        let response = try store.write { try perform(input, user, $0) }
        committed()
        return response
      }
      switch try claim(key, of: user, for: request) {
      case .replay(let response): return response
      case .run(let token):
        let writer = ProblemWriter(request)
        let response = try keeping(key, of: user, token: token, refusals: writer) {
          try perform(input, user, $0)
        }
        committed()
        return response
      }
    }
  }

  /// What is to be done under a key.
  enum Claimed {
    /// The request is run, and its answer kept under the key with this token; or the key is released.
    case run(token: String)
    case replay(Response)
  }

  /// Claims a key for a request.
  /// - Throws: `Problem` 422 if it was used for another, 409 while the first runs.
  func claim(_ key: String, of user: String, for request: borrowing Request) throws -> Claimed {
    let content = fingerprint(of: request)
    let owed = unreleased.withLock { $0 }
    let claim = try store.write { session in
      let keys = IdempotencyKeys(session: session)
      for claim in owed { try keys.release(claim.key, of: claim.user, token: claim.token) }
      return try keys.claim(key, of: user, request: content, window: idempotencyWindow)
    }
    if !owed.isEmpty { unreleased.withLock { $0.removeAll { owed.contains($0) } } }
    switch claim {
    case .otherRequest:
      throw Problem.unprocessable(
        "This Idempotency-Key was used for another request.", code: "idempotency-key-reused")
    case .stillRunning: throw IdempotencyKeys.stillRunning
    case .replay(var response):
      response.headers.append((name: "Idempotency-Replayed", value: "true"))
      return .replay(response)
    case .run(let token): return .run(token: token)
    }
  }

  /// Lets go of a claim whose run failed without an answer worth keeping. While the database is away that has to wait for
  /// the next claim; or for the end of its lease, should this process die.
  func release(_ key: String, of user: String, token: String) throws {
    do {
      try store.write { try IdempotencyKeys(session: $0).release(key, of: user, token: token) }
    } catch let error as DatabaseError where error.isTemporary {
      unreleased.withLock { claims in
        // Bounded: leases end by themselves.
        if claims.count < 1000 { claims.append(UnreleasedClaim(key: key, user: user, token: token)) }
      }
    }
  }

  /// Performs and keeps the answer, a refusal too: the same request gets the same answer. After a fault, or a refusal
  /// that may pass (5xx), the key is free again.
  private func keeping(
    _ key: String, of user: String, token: String, refusals: ProblemWriter,
    _ perform: (Session) throws -> Response
  ) throws -> Response {
    do {
      return try store.write { session in
        let response: Response
        do {
          response = try session.savepoint { try perform(session) }
        } catch let problem as Problem where problem.status < 500 {
          response = try refusals.response(problem)
        }
        try IdempotencyKeys(session: session).finish(key, of: user, token: token, with: response)
        return response
      }
    } catch {
      try release(key, of: user, token: token)
      throw error
    }
  }

  /// - Throws: `Problem` 400 if it is none.
  func idempotencyKey(of request: borrowing Request) throws -> String? {
    let keys = request.headers.all("idempotency-key")
    guard let key = keys.first else { return nil }
    guard keys.count == 1 else {
      throw Problem.badRequest("There is more than one Idempotency-Key.", code: "invalid-idempotency-key")
    }
    guard 1...255 ~= key.utf8.count, key.utf8.allSatisfy({ 0x20...0x7e ~= $0 }) else {
      throw Problem.badRequest(
        "An Idempotency-Key has 1 to 255 visible ASCII characters.", code: "invalid-idempotency-key")
    }
    return key
  }

  private func fingerprint(of request: borrowing Request) -> [UInt8] {
    var bytes = [UInt8](request.method.name.utf8) + [0x20]
    var path = request.path
    while path.hasSuffix("/") { path.removeLast() }
    bytes += [UInt8](path.utf8) + [0x0a]
    request.withBody { bytes.append(contentsOf: $0) }
    return bytes
  }

  /// A value that the database cannot hold is the client's. A database that is busy for too long, away, or without room is
  /// no fault of this plugin's: the client may try again. Whether a
  /// change took effect whose connection was lost nobody knows; an `Idempotency-Key` makes it safe to try.
  private func unlessAway<R>(_ request: borrowing Request, _ body: () throws -> R) throws -> R {
    do {
      return try body()
    } catch let error as DatabaseError where error.isTemporary {
      guard error.kind != .busy, error.kind != .serializationFailure else {
        throw Problem.unavailable(
          "The database is busy; try again.", code: "database-busy", retryAfter: .seconds(1))
      }
      // The client is not told what the operator has to know: that the disk is full, say.
      request.log(.warning, "the database cannot be used: \(error)")
      throw Problem.unavailable(
        "The database cannot be reached now; try again.", code: "database-unavailable",
        retryAfter: .seconds(5))
    } catch let error as DatabaseError where error.kind == .invalidValue {
      throw Validation.problem([FieldError(field: "", message: "a value cannot be kept by the database")])
    }
  }
}

/// A claim of an `Idempotency-Key` whose run has ended, and which could not be let go of.
struct UnreleasedClaim: Sendable, Equatable {
  let key: String
  let user: String
  let token: String
}

/// Writes a refusal as the host does, so that it can be kept and given again byte for byte.
struct ProblemWriter {
  private let instance: String
  private let requestID: String

  init(_ request: borrowing Request) {
    instance = request.path
    requestID = request.requestID
  }

  func response(_ problem: Problem) throws -> Response {
    var text = "{\"type\":\"urn:bulkhead:problem:\(problem.code)\""
    text +=
      ",\"title\":" + (try JSONText.encode(problem.title.isEmpty ? title(problem.status) : problem.title))
    text += ",\"status\":\(problem.status)"
    if !problem.detail.isEmpty { text += ",\"detail\":" + (try JSONText.encode(problem.detail)) }
    text += ",\"instance\":" + (try JSONText.encode(instance))
    text += ",\"code\":" + (try JSONText.encode(problem.code))
    text += ",\"request_id\":" + (try JSONText.encode(requestID))
    if !problem.members.isEmpty { text += "," + problem.members }
    return Response(
      status: problem.status,
      headers: [(name: "Content-Type", value: "application/problem+json")] + problem.headers,
      body: .text(text + "}"))
  }

  /// The phrases of RFC 9110 for the refusals that this plugin makes under a key.
  private func title(_ status: Int) -> String {
    switch status {
    case 402: "Payment Required"
    case 403: "Forbidden"
    case 404: "Not Found"
    case 409: "Conflict"
    case 410: "Gone"
    case 412: "Precondition Failed"
    case 422: "Unprocessable Content"
    default: "Bad Request"
    }
  }
}

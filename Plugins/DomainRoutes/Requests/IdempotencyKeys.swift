import JSONBodies
import PluginAPI
import SQL

/// The answers that were given under an `Idempotency-Key`, kept in the database with the effects that they tell of.
///
/// `claim` is one transaction, and `finish` is part of the transaction that has the effects. So a run that dies
/// between them has had no effect, and its lease runs out; and one that was committed is answered from here.
struct IdempotencyKeys {
  /// Longer than any request may take: past it, a run is taken to have died.
  static let lease: Int64 = 60_000

  let session: Session

  enum Claim {
    /// The caller runs the request, and hands the token to `finish`.
    case run(token: String)
    case replay(Response)
    case stillRunning
    case otherRequest
  }

  /// - Parameters:
  ///   - request: All that makes two requests the same: method, path and body.
  ///   - window: How long an answer is kept, in milliseconds.
  func claim(_ key: String, of user: String, request: [UInt8], window: Int64) throws -> Claim {
    let owner: [SQLValue] = [.text(user), .text(key)]
    try session.run(
      """
      DELETE FROM idempotency_keys WHERE user_id = $1 AND idempotency_key = $2
        AND (created_at <= $3 OR lease_until <= $4)
      """, owner + [.integer(session.now - window), .integer(session.now)])
    let token = Identifier.make()
    let inserted = try session.run(
      """
      INSERT INTO idempotency_keys (user_id, idempotency_key, request, runner, lease_until, created_at)
      VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (user_id, idempotency_key) DO NOTHING
      """,
      owner + [.blob(request), .text(token), .integer(session.now + Self.lease), .integer(session.now)])
    if inserted == 1 { return .run(token: token) }
    let row = try session.first(
      """
      SELECT request, status, headers, body FROM idempotency_keys
      WHERE user_id = $1 AND idempotency_key = $2
      """, owner)
    guard let row else { return .stillRunning }
    guard try row.blob("request") == request else { return .otherRequest }
    guard let status = try row.optionalInteger("status") else { return .stillRunning }
    let headers = try JSONText.decode([[String]].self, from: try row.text("headers"))
    return .replay(
      Response(
        status: Int(status), headers: headers.map { (name: $0[0], value: $0[1]) },
        body: .bytes(try row.blob("body"))))
  }

  /// Keeps the answer of a run.
  /// - Throws: `Problem` 409 if the run has lost its lease: the transaction must then be rolled back.
  func finish(_ key: String, of user: String, token: String, with response: Response) throws {
    let body: [UInt8]
    switch response.body {
    case .empty: body = []
    case .bytes(let bytes): body = bytes
    case .text(let text): body = [UInt8](text.utf8)
    case .stream: throw IdempotencyError.streamedAnswer
    }
    let changed = try session.run(
      """
      UPDATE idempotency_keys SET lease_until = NULL, status = $4, headers = $5, body = $6
      WHERE user_id = $1 AND idempotency_key = $2 AND runner = $3 AND status IS NULL
      """,
      [
        .text(user), .text(key), .text(token), SQLValue(response.status),
        .text(try JSONText.encode(response.headers.map { [$0.name, $0.value] })), .blob(body),
      ])
    guard changed == 1 else { throw Self.stillRunning }
  }

  /// Lets go of a claim whose run failed without an answer worth keeping.
  func release(_ key: String, of user: String, token: String) throws {
    try session.run(
      """
      DELETE FROM idempotency_keys
      WHERE user_id = $1 AND idempotency_key = $2 AND runner = $3 AND status IS NULL
      """, [.text(user), .text(key), .text(token)])
  }

  /// Forgets what is older than the window.
  func purge(window: Int64) throws -> Int {
    try session.run(
      "DELETE FROM idempotency_keys WHERE created_at <= $1", [.integer(session.now - window)])
  }

  static let stillRunning = Problem.conflict(
    "The first request with this Idempotency-Key is still running.", code: "idempotency-key-in-use")
}

enum IdempotencyError: Error { case streamedAnswer }

/// A refusal that is no fault: thrown in any phase, it becomes an `application/problem+json` response (RFC 9457).
public struct Problem: Error, Sendable, CustomStringConvertible {
  /// 400...599.
  public var status: Int
  /// Stable, in kebab-case: what clients branch on.
  public var code: String
  /// Empty: the status's standard phrase.
  public var title: String
  /// For the client's developer; no internals. May be empty.
  public var detail: String
  /// Further JSON members, as they stand in the object: `"\"required\":5,\"available\":2"`.
  public var members: String
  /// Set on the response beside the host's own.
  public var headers: [(name: String, value: String)]

  public init(
    status: Int, code: String, title: String = "", detail: String = "", members: String = "",
    headers: [(name: String, value: String)] = []
  ) {
    self.status = status
    self.code = code
    self.title = title
    self.detail = detail
    self.members = members
    self.headers = headers
  }

  public var description: String { detail.isEmpty ? "\(status) \(code)" : "\(status) \(code): \(detail)" }
}

extension Problem {
  /// 400.
  public static func badRequest(_ detail: String = "", code: String = "bad-request") -> Problem {
    Problem(status: 400, code: code, detail: detail)
  }

  /// 401 with `WWW-Authenticate` (RFC 9110 section 11.6.1).
  public static func unauthorized(
    _ detail: String = "", code: String = "unauthorized", challenge: String = "Bearer"
  ) -> Problem {
    Problem(status: 401, code: code, detail: detail, headers: [("WWW-Authenticate", challenge)])
  }

  /// 403.
  public static func forbidden(_ detail: String = "", code: String = "forbidden") -> Problem {
    Problem(status: 403, code: code, detail: detail)
  }

  /// 404.
  public static func notFound(_ detail: String = "", code: String = "not-found") -> Problem {
    Problem(status: 404, code: code, detail: detail)
  }

  /// 409.
  public static func conflict(_ detail: String = "", code: String = "conflict") -> Problem {
    Problem(status: 409, code: code, detail: detail)
  }

  /// 412 (RFC 9110 section 13.1.1).
  public static func preconditionFailed(
    _ detail: String = "", code: String = "precondition-failed"
  ) -> Problem {
    Problem(status: 412, code: code, detail: detail)
  }

  /// 415.
  public static func unsupportedMediaType(
    _ detail: String = "", code: String = "unsupported-media-type"
  ) -> Problem {
    Problem(status: 415, code: code, detail: detail)
  }

  /// 422. `members` names the fields: `"\"errors\":[{\"field\":\"email\",\"message\":\"is missing\"}]"`.
  public static func unprocessable(
    _ detail: String = "", code: String = "validation-failed", members: String = ""
  ) -> Problem {
    Problem(status: 422, code: code, detail: detail, members: members)
  }

  /// 429 with `Retry-After`, in whole seconds rounded up.
  public static func tooManyRequests(
    _ detail: String = "", code: String = "too-many-requests", retryAfter: Duration? = nil
  ) -> Problem {
    Problem(status: 429, code: code, detail: detail, headers: retryAfterField(retryAfter))
  }

  /// 503 with `Retry-After`, in whole seconds rounded up.
  public static func unavailable(
    _ detail: String = "", code: String = "unavailable", retryAfter: Duration? = nil
  ) -> Problem {
    Problem(status: 503, code: code, detail: detail, headers: retryAfterField(retryAfter))
  }

  private static func retryAfterField(_ delay: Duration?) -> [(name: String, value: String)] {
    guard let (seconds, attoseconds) = delay?.components else { return [] }
    return [("Retry-After", String(max(0, seconds + (attoseconds > 0 ? 1 : 0))))]
  }
}

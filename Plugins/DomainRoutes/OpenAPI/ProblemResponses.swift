import JSONBodies

/// The refusals: `application/problem+json` (RFC 9457), each with a stable code.
enum ProblemResponses {
  static let schemas: [String: JSONSchema] = [
    "Problem": .object(
      [
        "type": .string(format: "uri"), "title": .string(), "status": .integer(400...599),
        "detail": .string().described("For the client's developer."),
        "instance": .string(format: "uri-reference"),
        "code": .string(pattern: "^[a-z][a-z0-9]*(-[a-z0-9]+)*$").described("Stable: what to branch on."),
        "request_id": .string(length: 1...200),
        "plugin": .string().described("Which plugin is to blame, if one is."),
        "errors": .array(of: .named("FieldError"), count: 1...1000).described(
          "With code `validation-failed`."),
        "limit": .string().described("Which limit was exceeded, with code `rate-limited`."),
        "retry_after": JSONSchema.count.described("In seconds, with code `rate-limited`."),
        "required": JSONSchema.count.described("Credits, with code `insufficient-credits`."),
        "available": JSONSchema.count.described("Credits, with code `insufficient-credits`."),
      ], optional: ["detail", "plugin", "errors", "limit", "retry_after", "required", "available"]),
    "FieldError": .object([
      "field": .string().described(
        "As the client wrote it; `tags[3]` for an element, empty for the body as a whole."),
      "message": .string(length: 1...1000),
    ]),
  ]

  /// A response that refers to a shared one, unless the operation has codes of its own.
  static func response(_ status: Int, codes: [String]) -> JSONValue {
    guard !codes.isEmpty else { return APIOperation.reference("responses", names[status] ?? "Problem") }
    let sorted = Array(Set(codes)).sorted()
    var refinements = [
      JSONSchema.named("Problem"),
      .refinement(["code": .string(of: sorted), "status": .integer(status...status)]),
    ]
    // What tells more than its code.
    if sorted == ["insufficient-credits"] {
      refinements.append(.refinement([:], required: ["required", "available"]))
    }
    if sorted == ["validation-failed"] { refinements.append(.refinement([:], required: ["errors"])) }
    return response(
      "\(titles[status] ?? "Refused"): " + sorted.map { "`\($0)`" }.joined(separator: ", ") + ".",
      .all(of: refinements), retryAfter: status == 429 || status == 503)
  }

  /// Those that any plugin, or the host, may answer with.
  static var named: [String: JSONValue] {
    var all = ["Problem": response("Any other refusal.", .named("Problem"), retryAfter: true)]
    for (status, name) in names {
      all[name] = response(
        titles[status] ?? name,
        .all(of: [.named("Problem"), .refinement(["status": .integer(status...status)])]),
        retryAfter: status == 429 || status == 503)
    }
    return all
  }

  private static let names = [
    401: "Unauthorized", 403: "Forbidden", 429: "TooManyRequests", 503: "Unavailable",
  ]

  private static let titles = [
    400: "Malformed", 401: "A valid token is needed", 402: "Not paid", 403: "Another role is needed",
    404: "There is no such object", 409: "In conflict with what is there", 410: "Gone",
    412: "The object has changed", 413: "Too large", 415: "Not JSON", 422: "Not acceptable",
    429: "Too many requests", 501: "Not offered", 503: "Not now: try again",
  ]

  private static func response(_ text: String, _ schema: JSONSchema, retryAfter: Bool) -> JSONValue {
    var members: [String: JSONValue] = [
      "description": .string(text),
      "content": .object(["application/problem+json": .object(["schema": schema.json])]),
    ]
    if retryAfter {
      members["headers"] = .object(["Retry-After": APIOperation.reference("headers", "Retry-After")])
    }
    return .object(members)
  }
}

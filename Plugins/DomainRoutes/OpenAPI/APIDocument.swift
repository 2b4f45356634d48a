import JSONBodies

/// The shop's whole API in OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.0).
///
/// It is put together from what the code itself goes by: limits, choices and states. The tests hold every route, and
/// every answer that they see, against it.
enum APIDocument {
  static let operations =
    [description] + AuthOperations.all + CreditOperations.all + ProjectOperations.all
    + GenerationOperations.all

  private static let description = APIOperation(
    method: "GET", path: "openapi.json", id: "getDescription", summary: "This document.", access: .anybody,
    parameters: [.ifNoneMatch],
    answers: [
      .json(200, .anyObject, "OpenAPI 3.1.", headers: ["ETag"]),
      .empty(304, "The client has it already.", headers: ["ETag"]),
    ])

  static func page(of item: String) -> JSONSchema {
    .object([
      "items": .array(of: .named(item), count: 0...100), "total": .count,
      "page": .integer(1...PageRequest.maximumPage), "per_page": .integer(1...100), "pages": .count,
    ])
  }

  /// - Parameter mount: Where the API is: `/api/v1`.
  static func json(mount: String) -> JSONValue {
    .object([
      "openapi": .string("3.1.0"),
      "info": .object([
        "title": .string("Shop"), "version": .string("1.0.0"),
        "description": .string(
          "Image generations for credits. JSON in and out, UTF-8; times in RFC 3339, UTC. A trailing slash on a "
            + "path changes nothing; unknown fields are ignored. Errors are problems (RFC 9457) with a stable code."
        ),
      ]),
      "servers": .array([.object(["url": .string(mount.isEmpty ? "/" : mount)])]),
      "security": .array([.object(["bearer": .array([])])]),
      "tags": .array(
        [
          ("auth", "Accounts and tokens."), ("credits", "What is spent."),
          ("projects", "What belongs together."),
          ("generations", "Images, and the jobs that make them."), ("openapi.json", "This description."),
        ].map { .object(["name": .string($0.0), "description": .string($0.1)]) }),
      "paths": .object(paths),
      "components": .object([
        "securitySchemes": .object([
          "bearer": .object([
            "type": .string("http"), "scheme": .string("bearer"), "bearerFormat": .string("JWT"),
          ])
        ]),
        "schemas": .object(schemas.mapValues(\.json)), "responses": .object(ProblemResponses.named),
        "headers": .object(headers), "parameters": .object([idempotencyKeyName: idempotencyKey]),
      ]),
    ])
  }

  private static let schemas = [
    AuthOperations.schemas, CreditOperations.schemas, ProjectOperations.schemas, GenerationOperations.schemas,
    ProblemResponses.schemas,
  ].reduce(into: [String: JSONSchema]()) { all, part in all.merge(part) { first, _ in first } }

  private static var paths: [String: JSONValue] {
    var paths: [String: [String: JSONValue]] = [:]
    for operation in operations {
      paths["/\(operation.path)", default: [:]][operation.method.lowercased()] = operation.json
    }
    return paths.mapValues(JSONValue.object)
  }

  static let idempotencyKeyName = "IdempotencyKey"

  private static let idempotencyKey = JSONValue.object([
    "name": .string("Idempotency-Key"), "in": .string("header"),
    "description": .string("The same key and body get the first answer again, for a day."),
    "schema": JSONSchema.string(length: 1...255).json,
  ])

  private static let headers: [String: JSONValue] = [
    "ETag": .object([
      "description": .string("Of the object as it is, for If-Match and If-None-Match."),
      "required": .bool(true), "schema": JSONSchema.string(pattern: #"^"[^"]+"$"#).json,
    ]),
    "Location": .object([
      "description": .string("Where the object is."), "required": .bool(true),
      "schema": JSONSchema.string(format: "uri-reference").json,
    ]),
    "Idempotency-Replayed": .object([
      "description": .string("`true`: this is the answer to an earlier request with the same key."),
      "schema": JSONSchema.string(of: ["true"]).json,
    ]),
    "Retry-After": .object([
      "description": .string("In seconds."), "schema": JSONSchema.string(pattern: "^[0-9]+$").json,
    ]),
  ]
}

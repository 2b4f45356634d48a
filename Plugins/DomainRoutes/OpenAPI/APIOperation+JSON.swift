import JSONBodies

extension APIOperation {
  /// An Operation Object.
  var json: JSONValue {
    var members: [String: JSONValue] = [
      "operationId": .string(id), "summary": .string(summary), "tags": .array([.string(tag)]),
      "responses": .object(responses),
    ]
    switch access {
    case .anybody: members["security"] = .array([])
    case .user: break
    case .role(let role): members["description"] = .string("For the role `\(role)`.")
    }
    let own = parameters.map(\.json)
    let shared = isKeyed ? [Self.reference("parameters", APIDocument.idempotencyKeyName)] : []
    if !own.isEmpty || !shared.isEmpty { members["parameters"] = .array(own + shared) }
    if let body {
      members["requestBody"] = .object([
        "required": .bool(true),
        "content": .object(["application/json": .object(["schema": body.json])]),
      ])
    }
    return .object(members)
  }

  private var responses: [String: JSONValue] {
    var responses: [String: JSONValue] = ["default": Self.reference("responses", "Problem")]
    for (status, codes) in allRefusals {
      responses["\(status)"] = ProblemResponses.response(status, codes: codes)
    }
    for answer in answers { responses["\(answer.status)"] = answer.json(isKeyed: isKeyed) }
    return responses
  }

  static func reference(_ kind: String, _ name: String) -> JSONValue {
    .object(["$ref": .string("#/components/\(kind)/\(name)")])
  }
}

extension APIOperation.Answer {
  func json(isKeyed: Bool) -> JSONValue {
    var members: [String: JSONValue] = ["description": .string(summary)]
    let names = headers + (isKeyed ? ["Idempotency-Replayed"] : [])
    if !names.isEmpty {
      members["headers"] = .object(
        Dictionary(uniqueKeysWithValues: names.map { ($0, APIOperation.reference("headers", $0)) }))
    }
    if !mediaTypes.isEmpty {
      let content = JSONValue.object(schema.map { ["schema": $0.json] } ?? [:])
      members["content"] = .object(Dictionary(uniqueKeysWithValues: mediaTypes.map { ($0, content) }))
    }
    return .object(members)
  }
}

extension APIOperation.Parameter {
  var json: JSONValue {
    var members: [String: JSONValue] = [
      "name": .string(name), "in": .string(place.rawValue), "description": .string(summary),
      "schema": schema.json,
    ]
    if place == .path { members["required"] = .bool(true) }
    return .object(members)
  }
}

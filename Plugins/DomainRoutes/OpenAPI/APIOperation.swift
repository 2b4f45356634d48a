import JSONBodies

/// One operation of the API: a method of a path, and every answer to it.
struct APIOperation: Sendable {
  enum Access: Sendable, Equatable {
    case anybody, user
    case role(String)
  }

  struct Parameter: Sendable {
    enum Place: String, Sendable { case query, header, path }

    let name: String
    let place: Place
    let schema: JSONSchema
    let summary: String
  }

  /// An answer that is no refusal.
  struct Answer: Sendable {
    let status: Int
    let summary: String
    var mediaTypes = ["application/json"]
    /// nil: bytes, or none at all if there is no media type.
    var schema: JSONSchema?
    var headers: [String] = []

    static func json(_ status: Int, _ schema: JSONSchema, _ summary: String, headers: [String] = []) -> Answer
    {
      Answer(status: status, summary: summary, schema: schema, headers: headers)
    }

    static func empty(_ status: Int, _ summary: String, headers: [String] = []) -> Answer {
      Answer(status: status, summary: summary, mediaTypes: [], headers: headers)
    }
  }

  /// `GET`.
  let method: String
  /// Below the mount, without a slash at its start: `projects/{id}`.
  let path: String
  /// Stable: what generated clients call it.
  let id: String
  let summary: String
  var access = Access.user
  var parameters: [Parameter] = []
  var body: JSONSchema?
  /// Takes an `Idempotency-Key`.
  var isKeyed = false
  var answers: [Answer]
  /// By status: the codes of this operation's own refusals. Those that follow from the rest are added.
  var refusals: [Int: [String]] = [:]

  /// The part of the API that it belongs to.
  var tag: String { path.prefix { $0 != "/" }.description }

  /// All refusals, by status. No codes: those of the host, or of any plugin.
  var allRefusals: [Int: [String]] {
    var all = refusals
    func add(_ status: Int, _ codes: String...) { all[status, default: []] += codes }
    if parameters.contains(where: { $0.place == .query }) || body != nil { add(422, "validation-failed") }
    if body != nil {
      add(400, "malformed-json")
      add(413, "body-too-large")
      add(415, "unsupported-media-type")
    }
    if isKeyed {
      add(400, "invalid-idempotency-key")
      add(409, "idempotency-key-in-use")
      add(422, "idempotency-key-reused")
    }
    if parameters.contains(where: { $0.name == "If-Match" }) { add(412, "precondition-failed") }
    switch access {
    case .anybody: break
    case .user, .role:
      all[401] = all[401] ?? []
      // Two Authorization fields.
      add(400, "invalid-request")
      if access != .user { all[403] = [] }
    }
    all[429] = all[429] ?? []
    all[503] = []
    return all
  }
}

extension APIOperation.Parameter {
  static func query(_ name: String, _ schema: JSONSchema, _ summary: String) -> Self {
    Self(name: name, place: .query, schema: schema, summary: summary)
  }

  static let id = Self(name: "id", place: .path, schema: .uuid, summary: "The object's id.")
  static let ifMatch = Self(
    name: "If-Match", place: .header, schema: .string(),
    summary: "The `ETag` that the object must still have.")
  static let ifNoneMatch = Self(
    name: "If-None-Match", place: .header, schema: .string(), summary: "An `ETag` that the client has.")
  static let page = [
    query("page", JSONSchema.integer(1...PageRequest.maximumPage).defaulting(to: .integer(1)), "From 1."),
    query("per_page", JSONSchema.integer(1...100).defaulting(to: .integer(20)), "Items of a page."),
  ]
}

extension APIOperation {
  static func ping(_ service: String) -> APIOperation {
    APIOperation(
      method: "GET", path: "\(service)/_ping", id: "\(service)Ping", summary: "Says that this part is there.",
      access: .anybody,
      answers: [
        .json(
          200, .object(["status": .string(of: ["ok"]), "service": .string(of: [service])]), "It is there.")
      ])
  }
}

import JSONBodies
import SQL

/// One project, as clients see it with `json()`: what is encoded of it lacks the metadata.
struct Project: Encodable, Sendable {
  static let visibilities = ["private", "team-only", "public"]

  let id: String
  let userID: String
  let name: String
  let description: String
  let visibility: String
  let tags: [String]
  /// As the client wrote it, but for white space. Never decoded: see `json()`.
  let metadata: JSONFragment
  let generationCount: Int64
  let createdAt: String
  let updatedAt: String
  /// Counts edits.
  let version: Int64

  var tag: EntityTag { EntityTag(version: version, detail: generationCount) }

  init(_ row: Row, tags: [String]) throws {
    id = try row.text("id")
    userID = try row.text("user_id")
    name = try row.text("name")
    description = try row.text("description")
    visibility = try row.text("visibility")
    self.tags = tags
    metadata = JSONFragment(valid: try row.text("metadata"))
    generationCount = try row.integer("generation_count")
    createdAt = Timestamp.rfc3339(milliseconds: try row.integer("created_at"))
    updatedAt = Timestamp.rfc3339(milliseconds: try row.integer("updated_at"))
    version = try row.integer("version")
  }

  /// The project as the API shows it: what the database holds of the metadata was checked when it came.
  func json() throws -> JSONFragment {
    try JSONFragment(self, adding: "metadata", metadata)
  }

  private enum CodingKeys: String, CodingKey {
    case id, name, description, visibility, tags
    case userID = "user_id"
    case generationCount = "generation_count"
    case createdAt = "created_at"
    case updatedAt = "updated_at"
  }
}

/// What a client sends of a project: what is nil is not to be changed.
struct ProjectFields: Sendable {
  var name: String?
  var description: String?
  var visibility: String?
  var tags: [String]?
  var metadata: JSONFragment?

  /// Reads the fields that are there. In an edit a null clears what may be empty.
  /// - Throws: `Problem` 422 that names every error; as `FieldReader`.
  init(_ body: inout FieldReader, requiresName: Bool) throws {
    name = body.string("name", required: requiresName, length: 1...100)
    description = body.string("description", length: 0...500)
    visibility = body.choice("visibility", of: Project.visibilities)
    tags = body.strings("tags", count: 0...20, each: 1...40)
    metadata = body.object("metadata", maxBytes: 8192)
    if body.isNull("name"), !requiresName { body.reject("name", "must not be null") }
    if body.isNull("visibility") { body.reject("visibility", "must not be null") }
    if let name, name.allSatisfy(\.isWhitespace) { body.reject("name", "must not be blank") }
    if body.isNull("description") { description = "" }
    if body.isNull("tags") { tags = [] }
    if body.isNull("metadata") { metadata = .emptyObject }
    try body.check()
    var seen: Set<String> = []
    tags = tags?.filter { seen.insert($0).inserted }
  }
}

/// What a user did with a project.
struct ProjectStatistics: Encodable, Sendable {
  let generationCount: Int64
  let completed: Int64
  let failed: Int64
  /// On completed generations.
  let creditsUsed: Int64
  /// Of the project, or of one of its generations.
  let lastActivity: String

  private enum CodingKeys: String, CodingKey {
    case completed, failed
    case generationCount = "generation_count"
    case creditsUsed = "credits_used"
    case lastActivity = "last_activity"
  }
}

import JSONBodies

/// `/projects` for the API's description.
enum ProjectOperations {
  private static func update(_ method: String, _ id: String) -> APIOperation {
    APIOperation(
      method: method, path: "projects/{id}", id: id,
      summary: "Changes the fields that are there, and leaves the rest; of the user's own projects.",
      parameters: [.id, .ifMatch], body: .named("ProjectChange"),
      answers: [.json(200, .named("Project"), "The project as it is now.", headers: ["ETag"])],
      refusals: [404: ["project-not-found"]])
  }

  static let all: [APIOperation] = [
    .ping("projects"),
    APIOperation(
      method: "GET", path: "projects", id: "listProjects", summary: "The user's own projects.",
      parameters: APIOperation.Parameter.page + [
        .query(
          "search", .string(length: 0...200), "Part of the name or the description, without regard to case."),
        .query("visibility", .string(of: Project.visibilities), "Only projects of this visibility."),
        .query("tag", .string(length: 0...40), "Only projects with this tag."),
        .query("sort", .string(of: ["created_at", "updated_at", "name"]), "What the order follows."),
        .query("order", .string(of: ["asc", "desc"]), "By default names ascend, and times descend."),
      ],
      answers: [.json(200, .named("ProjectPage"), "One page.")]),
    APIOperation(
      method: "POST", path: "projects", id: "createProject", summary: "Makes a project.",
      body: .named("ProjectRequest"), isKeyed: true,
      answers: [.json(201, .named("Project"), "The project.", headers: ["ETag", "Location"])]),
    APIOperation(
      method: "GET", path: "projects/{id}", id: "getProject",
      summary: "One project: the user's own, or a public one.", parameters: [.id, .ifNoneMatch],
      answers: [
        .json(200, .named("Project"), "The project.", headers: ["ETag"]),
        .empty(304, "The client has it already.", headers: ["ETag"]),
      ],
      refusals: [404: ["project-not-found"]]),
    update("PUT", "putProject"),
    update("PATCH", "patchProject"),
    APIOperation(
      method: "DELETE", path: "projects/{id}", id: "deleteProject",
      summary: "Deletes a project. Its generations stay, without one.", parameters: [.id, .ifMatch],
      answers: [.empty(204, "It is gone.")], refusals: [404: ["project-not-found"]]),
    APIOperation(
      method: "GET", path: "projects/{id}/stats", id: "getProjectStatistics",
      summary: "What a project holds.",
      parameters: [.id], answers: [.json(200, .named("ProjectStatistics"), "The statistics.")],
      refusals: [404: ["project-not-found"]]),
  ]

  private static let tags = JSONSchema.array(of: .string(length: 1...40), count: 0...20)
  private static let metadata = JSONSchema.anyObject.described(
    "At most 8 KiB without white space, and 64 deep; given as it was written.")
  private static let visibility = JSONSchema.string(of: Project.visibilities)

  static let schemas: [String: JSONSchema] = [
    "Project": .object([
      "id": .uuid, "user_id": .userID, "name": .string(length: 1...100),
      "description": .string(length: 0...500),
      "visibility": visibility, "tags": tags, "metadata": metadata, "generation_count": .count,
      "created_at": .timestamp, "updated_at": .timestamp,
    ]),
    "ProjectPage": APIDocument.page(of: "Project"),
    "ProjectRequest": .object(
      [
        "name": .string(length: 1...100), "description": .string(length: 0...500).orNull,
        "visibility": visibility, "tags": tags.orNull, "metadata": metadata.orNull,
      ], optional: ["description", "visibility", "tags", "metadata"]),
    "ProjectChange": .object(
      [
        "name": .string(length: 1...100), "description": .string(length: 0...500).orNull,
        "visibility": visibility, "tags": tags.orNull, "metadata": metadata.orNull,
      ], optional: ["name", "description", "visibility", "tags", "metadata"]),
    "ProjectStatistics": .object([
      "generation_count": .count, "completed": .count, "failed": .count, "credits_used": .count,
      "last_activity": .timestamp,
    ]),
  ]
}

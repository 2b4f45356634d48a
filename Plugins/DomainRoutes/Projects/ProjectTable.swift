import JSONBodies
import SQL

/// The projects in the database.
struct ProjectTable {
  let session: Session

  private static let columns = """
    id, user_id, name, description, visibility, metadata, version, created_at, updated_at,
    (SELECT COUNT(*) FROM generations WHERE generations.project_id = projects.id) AS generation_count
    """

  /// What a list is narrowed to, and its order.
  struct Query: Sendable {
    var search: String?
    var visibility: String?
    var tag: String?
    var sort = "created_at"
    var isAscending = false
  }

  /// The project; nil if there is none, or the user may not see it.
  func find(_ id: String, visibleTo user: String) throws -> Project? {
    try project(
      "id = $1 AND (user_id = $2 OR visibility = 'public')", [.text(id), .text(user)])
  }

  /// The project; nil if there is none, or it is somebody else's.
  func find(_ id: String, of user: String, lock: RowLock = .none) throws -> Project? {
    try project("id = $1 AND user_id = $2\(lock.clause)", [.text(id), .text(user)])
  }

  /// One page of a user's own projects, and how many there are.
  func list(of user: String, _ query: Query, page: PageRequest) throws -> (items: [Project], total: Int) {
    var condition = "user_id = $1"
    var values: [SQLValue] = [.text(user)]
    if let search = query.search {
      values.append(.text("%\(Self.escaped(search.lowercased()))%"))
      condition += " AND search_text LIKE $\(values.count) ESCAPE '\\'"
    }
    if let visibility = query.visibility {
      values.append(.text(visibility))
      condition += " AND visibility = $\(values.count)"
    }
    if let tag = query.tag {
      values.append(.text(tag))
      condition += " AND id IN (SELECT project_id FROM project_tags WHERE tag = $\(values.count))"
    }
    let total = try session.number("SELECT COUNT(*) FROM projects WHERE \(condition)", values)
    let column = query.sort == "name" ? "sort_name" : query.sort == "updated_at" ? "updated_at" : "created_at"
    let direction = query.isAscending ? "ASC" : "DESC"
    let rows = try session.query(
      """
      SELECT \(Self.columns) FROM projects WHERE \(condition)
      ORDER BY \(column) \(direction), sequence \(direction)
      LIMIT $\(values.count + 1) OFFSET $\(values.count + 2)
      """, values + [SQLValue(page.perPage), SQLValue(page.offset)])
    return (try rows.map { try Project($0, tags: tags(of: $0)) }, Int(total))
  }

  /// Makes a project; what is not said has its default.
  func create(_ fields: ProjectFields, named name: String, by user: String) throws -> String {
    let id = Identifier.make()
    let description = fields.description ?? ""
    try session.run(
      """
      INSERT INTO projects (id, user_id, name, description, visibility, metadata, sort_name, search_text,
        created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)
      """,
      [
        .text(id), .text(user), .text(name), .text(description), .text(fields.visibility ?? "private"),
        .text((fields.metadata ?? .emptyObject).text), .text(name.lowercased()),
        .text(Self.searchText(name, description)), .integer(session.now),
      ])
    try setTags(fields.tags ?? [], of: id)
    return id
  }

  /// Changes what is said of a project.
  func update(_ project: Project, with fields: ProjectFields) throws {
    let name = fields.name ?? project.name
    let description = fields.description ?? project.description
    try session.run(
      """
      UPDATE projects SET name = $2, description = $3, visibility = $4, metadata = $5, sort_name = $6,
        search_text = $7, updated_at = $8, version = version + 1 WHERE id = $1
      """,
      [
        .text(project.id), .text(name), .text(description), .text(fields.visibility ?? project.visibility),
        .text((fields.metadata ?? project.metadata).text), .text(name.lowercased()),
        .text(Self.searchText(name, description)), .integer(session.now),
      ])
    if let tags = fields.tags { try setTags(tags, of: project.id) }
  }

  /// Deletes a project. Its generations stay, without one.
  func delete(_ id: String) throws {
    try session.run(
      "UPDATE generations SET project_id = NULL, updated_at = $2, version = version + 1 WHERE project_id = $1",
      [.text(id), .integer(session.now)])
    try session.run("DELETE FROM projects WHERE id = $1", [.text(id)])
  }

  func statistics(of id: String) throws -> ProjectStatistics? {
    try session.first(
      """
      SELECT COUNT(g.id) AS generations,
        COUNT(CASE WHEN g.status = 'completed' THEN 1 END) AS completed,
        COUNT(CASE WHEN g.status = 'failed' THEN 1 END) AS failed,
        COALESCE(SUM(CASE WHEN g.status = 'completed' THEN g.cost ELSE 0 END), 0) AS used,
        COALESCE(MAX(g.updated_at), 0) AS generated_at, MAX(p.updated_at) AS edited_at
      FROM projects AS p LEFT JOIN generations AS g ON g.project_id = p.id WHERE p.id = $1 GROUP BY p.id
      """, [.text(id)]
    ).map {
      ProjectStatistics(
        generationCount: try $0.integer("generations"), completed: try $0.integer("completed"),
        failed: try $0.integer("failed"), creditsUsed: try $0.integer("used"),
        lastActivity: Timestamp.rfc3339(
          milliseconds: max(try $0.integer("generated_at"), try $0.integer("edited_at"))))
    }
  }

  private func project(_ condition: String, _ values: [SQLValue]) throws -> Project? {
    try session.first("SELECT \(Self.columns) FROM projects WHERE \(condition)", values).map {
      try Project($0, tags: tags(of: $0))
    }
  }

  private func tags(of row: Row) throws -> [String] {
    try session.query(
      "SELECT tag FROM project_tags WHERE project_id = $1 ORDER BY position", [.text(try row.text("id"))]
    ).map { try $0.text("tag") }
  }

  private func setTags(_ tags: [String], of id: String) throws {
    try session.run("DELETE FROM project_tags WHERE project_id = $1", [.text(id)])
    for (position, tag) in tags.enumerated() {
      try session.run(
        "INSERT INTO project_tags (project_id, position, tag) VALUES ($1, $2, $3)",
        [.text(id), SQLValue(position), .text(tag)])
    }
  }

  /// Lower case by Unicode's rules, which the databases' own LIKE does not know.
  private static func searchText(_ name: String, _ description: String) -> String {
    "\(name)\n\(description)".lowercased()
  }

  /// By scalars, as LIKE reads them: to Swift a `%` and an accent after it are one character, which is not `%`.
  private static func escaped(_ text: String) -> String {
    var escaped = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
      if scalar == "%" || scalar == "_" || scalar == "\\" { escaped.append("\\") }
      escaped.append(scalar)
    }
    return String(escaped)
  }
}

import JSONBodies
import SQL

/// The generations in the database, as their users see them.
struct GenerationTable {
  let session: Session
  let mount: String

  /// What a list is narrowed to.
  struct Query: Sendable {
    var projectID: String?
    var status: String?
    var isFavorite: Bool?
  }

  /// The generation; nil if there is none, or it is somebody else's.
  func find(_ id: String, of user: String, lock: RowLock = .none) throws -> Generation? {
    try session.first(
      "SELECT \(Generation.columns) FROM generations WHERE id = $1 AND user_id = $2\(lock.clause)",
      [.text(id), .text(user)]
    ).map { try Generation($0, mount: mount) }
  }

  /// One page of a user's generations, newest first, and how many there are.
  func list(of user: String, _ query: Query, page: PageRequest) throws -> (items: [Generation], total: Int) {
    var condition = "user_id = $1"
    var values: [SQLValue] = [.text(user)]
    if let project = query.projectID {
      values.append(.text(project))
      condition += " AND project_id = $\(values.count)"
    }
    if let status = query.status {
      values.append(.text(status))
      condition += " AND status = $\(values.count)"
    }
    if let isFavorite = query.isFavorite {
      values.append(SQLValue(isFavorite))
      condition += " AND is_favorite = $\(values.count)"
    }
    let total = try session.number("SELECT COUNT(*) FROM generations WHERE \(condition)", values)
    let rows = try session.query(
      """
      SELECT \(Generation.columns) FROM generations WHERE \(condition) ORDER BY sequence DESC
      LIMIT $\(values.count + 1) OFFSET $\(values.count + 2)
      """, values + [SQLValue(page.perPage), SQLValue(page.offset)])
    return (try rows.map { try Generation($0, mount: mount) }, Int(total))
  }

  /// Makes a pending generation, and reserves its cost.
  /// - Throws: `Ledger.Refusal.insufficientCredits`; the transaction must then be rolled back.
  func create(_ request: GenerationRequest, seed: Int64, by user: String) throws -> String {
    let id = Identifier.make()
    let model = request.model
    if model.price > 0 {
      try Ledger(session: session).reserve(
        model.price, for: id, by: user, description: "Generation with \(model.name)")
    }
    try session.run(
      """
      INSERT INTO generations (id, user_id, project_id, model_id, prompt, negative_prompt, width, height, seed,
        status, cost, created_at, updated_at)
      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'pending', $10, $11, $11)
      """,
      [
        .text(id), .text(user), SQLValue(request.projectID), .text(model.id), .text(request.prompt),
        .text(request.negativePrompt), SQLValue(request.width), SQLValue(request.height),
        .integer(seed), .integer(model.price), .integer(session.now),
      ])
    return id
  }

  func setFavorite(_ isFavorite: Bool, of id: String) throws {
    try session.run(
      "UPDATE generations SET is_favorite = $2, updated_at = $3, version = version + 1 WHERE id = $1",
      [.text(id), SQLValue(isFavorite), .integer(session.now)])
  }

  /// Ends a generation that has not ended, and refunds it. A run of it finds that it has lost its lease.
  /// - Returns: False if it has ended already: nothing has changed then.
  func cancel(_ id: String) throws -> Bool {
    let changed = try session.run(
      """
      UPDATE generations SET status = 'cancelled', lease_owner = NULL, lease_until = NULL,
        completed_at = $2, updated_at = $2, version = version + 1
      WHERE id = $1 AND status IN ('pending', 'processing')
      """, [.text(id), .integer(session.now)])
    guard changed == 1 else { return false }
    _ = try Ledger(session: session).refund(id, description: "Generation cancelled")
    return true
  }

  /// Deletes a generation; one that has not ended is refunded.
  func delete(_ id: String) throws {
    _ = try cancel(id)
    try session.run("DELETE FROM generations WHERE id = $1", [.text(id)])
  }

  func statistics(of user: String) throws -> GenerationStatistics {
    var counts: [String: Int64] = [:]
    for row in try session.query(
      "SELECT status, COUNT(*) AS count FROM generations WHERE user_id = $1 GROUP BY status", [.text(user)])
    {
      counts[try row.text("status")] = try row.integer("count")
    }
    let sums = try session.first(
      """
      SELECT COALESCE(SUM(is_favorite), 0) AS favorites,
        COALESCE(SUM(CASE WHEN status = 'completed' THEN cost ELSE 0 END), 0) AS spent,
        AVG(CASE WHEN status = 'completed' THEN completed_at - started_at END) AS duration
      FROM generations WHERE user_id = $1
      """, [.text(user)])
    return GenerationStatistics(
      total: counts.values.reduce(0, +), pending: counts["pending"] ?? 0,
      processing: counts["processing"] ?? 0, completed: counts["completed"] ?? 0,
      failed: counts["failed"] ?? 0, cancelled: counts["cancelled"] ?? 0,
      favorites: try sums?.integer("favorites") ?? 0, creditsSpent: try sums?.integer("spent") ?? 0,
      averageProcessingTime: try sums?.optionalReal("duration").map { $0.rounded() / 1000 })
  }
}

import SQL

/// The generations as jobs: claimed with a lease, and ended together with their credits, in one transaction.
///
/// Every step names the lease's owner. A run whose lease was taken over, or whose job was cancelled or deleted, changes
/// nothing any more, however late it comes.
struct JobQueue {
  let session: Session

  struct Job: Sendable {
    let generation: Generation
    /// Whose lease it is: this run's alone.
    let owner: String

    /// What earlier runs may have left behind.
    var staleFiles: [String] {
      (1..<max(1, generation.attempts)).flatMap { attempt in
        ImageFormat.allCases.map {
          MediaFiles.name(generation: generation.id, attempt: attempt, extension: $0.fileExtension)
        }
      }
    }
  }

  /// Takes the oldest job that waits, or whose run has given no sign of life for its lease.
  func claim(owner: String, lease: Int64) throws -> Job? {
    try session.first(
      """
      UPDATE generations SET status = 'processing', lease_owner = $1, lease_until = $2, started_at = $3,
        attempts = attempts + 1, updated_at = $3, version = version + 1
      WHERE sequence = (SELECT sequence FROM generations
        WHERE status IN ('pending', 'processing') AND (status = 'pending' OR lease_until <= $3)
        ORDER BY sequence LIMIT 1 FOR UPDATE SKIP LOCKED)
      RETURNING \(Generation.columns)
      """, [.text(owner), .integer(session.now + lease), .integer(session.now)]
    ).map { Job(generation: try Generation($0, mount: ""), owner: owner) }
  }

  /// Prolongs a lease.
  /// - Returns: False if it is lost: the run should end.
  func renew(_ job: Job, lease: Int64) throws -> Bool {
    try session.run(
      "UPDATE generations SET lease_until = $3 WHERE id = $1 AND lease_owner = $2",
      [.text(job.generation.id), .text(job.owner), .integer(session.now + lease)]) == 1
  }

  /// Ends a job with its image, and spends what was reserved for it.
  /// - Returns: False if the lease is lost: nothing has changed then.
  func complete(_ job: Job, file: String, type: String) throws -> Bool {
    let changed = try session.run(
      """
      UPDATE generations SET status = 'completed', media_file = $3, media_type = $4, lease_owner = NULL,
        lease_until = NULL, completed_at = $5, updated_at = $5, version = version + 1
      WHERE id = $1 AND lease_owner = $2
      """,
      [.text(job.generation.id), .text(job.owner), .text(file), .text(type), .integer(session.now)])
    guard changed == 1 else { return false }
    let isSettled = try Ledger(session: session).settle(job.generation.id)
    guard isSettled || job.generation.cost == 0 else {
      throw MissingReservation(generation: job.generation.id)
    }
    return true
  }

  /// Ends a job without an image, and refunds it.
  /// - Parameter message: For the user.
  /// - Returns: False if the lease is lost: nothing has changed then.
  func fail(_ job: Job, message: String) throws -> Bool {
    let changed = try session.run(
      """
      UPDATE generations SET status = 'failed', error_message = $3, lease_owner = NULL, lease_until = NULL,
        completed_at = $4, updated_at = $4, version = version + 1
      WHERE id = $1 AND lease_owner = $2
      """, [.text(job.generation.id), .text(job.owner), .text(message), .integer(session.now)])
    guard changed == 1 else { return false }
    let isRefunded = try Ledger(session: session).refund(
      job.generation.id, description: "Generation failed")
    guard isRefunded || job.generation.cost == 0 else {
      throw MissingReservation(generation: job.generation.id)
    }
    return true
  }

  /// Gives a job back, to be run by somebody else: this process is about to end.
  func giveBack(_ job: Job) throws {
    try session.run(
      """
      UPDATE generations SET status = 'pending', lease_owner = NULL, lease_until = NULL, started_at = NULL,
        attempts = attempts - 1, updated_at = $3, version = version + 1
      WHERE id = $1 AND lease_owner = $2
      """, [.text(job.generation.id), .text(job.owner), .integer(session.now)])
  }
}

/// A generation with a price has no open reservation: the ledger and the jobs disagree.
struct MissingReservation: Error { let generation: String }

import JSONBodies
import PluginAPI

/// Runs one job at a time, from its claim to its end. Any thread.
struct JobRunner: Sendable {
  let store: Store
  let media: any MediaStore
  let models: ModelCatalogue
  /// In milliseconds.
  let lease: Int64
  /// How often a job is run before it fails.
  let attempts: Int64
  let metrics: JobMetrics?
  let log: @Sendable (LogLevel, String) -> Void
  var provider: any GenerationProvider = LocalProvider()

  /// What ends a run early.
  enum Interruption: Error {
    /// The plugin stops.
    case stopping
    /// The job was cancelled, deleted, or taken over.
    case leaseLost
  }

  /// Claims a job and runs it.
  /// - Parameter isStopping: Asked every few rows of the image.
  /// - Returns: False if there was none.
  /// - Throws: `DatabaseError`, as while the database is busy: the lease runs out, and the job is run again.
  func runNext(isStopping: () -> Bool) throws -> Bool {
    guard let job = try claim() else { return false }
    for file in job.staleFiles { try media.remove(file) }
    guard job.generation.attempts <= attempts else {
      log(.error, "generation \(job.generation.id) was given up: its runs died \(attempts) times")
      _ = try store.write {
        try JobQueue(session: $0).fail(job, message: "The generation could not be completed.")
      }
      metrics?.failed.add()
      return true
    }
    do {
      let begun = store.now
      let image = try render(job, isStopping: isStopping)
      try finish(job, image)
      metrics?.completed.add()
      metrics?.duration.observe(seconds: Double(store.now - begun) / 1000)
    } catch Interruption.stopping {
      try store.write { try JobQueue(session: $0).giveBack(job) }
    } catch Interruption.leaseLost {
      log(.debug, "generation \(job.generation.id) was cancelled or taken over while it ran")
    } catch let error as MediaError {
      try fail(job, error)
    } catch let error as UnknownModel {
      try fail(job, error)
    } catch let error as GenerationFailure {
      try fail(job, error, message: error.message)
    }
    return true
  }

  func claim() throws -> JobQueue.Job? {
    try store.write { try JobQueue(session: $0).claim(owner: Identifier.make(), lease: lease) }
  }

  /// Has the image made, and keeps the lease meanwhile.
  func render(_ job: JobQueue.Job, isStopping: () -> Bool) throws -> GeneratedImage {
    let generation = job.generation
    guard let model = models[generation.modelID] else { throw UnknownModel(id: generation.modelID) }
    var renewed = store.now
    return try provider.image(for: generation, model: model) {
      if isStopping() { throw Interruption.stopping }
      guard store.now - renewed >= lease / 4 else { return }
      renewed = store.now
      guard try store.write({ try JobQueue(session: $0).renew(job, lease: lease) }) else {
        throw Interruption.leaseLost
      }
    }
  }

  /// Keeps the image, and ends the job.
  func finish(_ job: JobQueue.Job, _ image: GeneratedImage) throws {
    let file = MediaFiles.name(
      generation: job.generation.id, attempt: job.generation.attempts,
      extension: image.format.fileExtension)
    try media.write(image.bytes, to: file)
    let isCompleted = try store.write {
      try JobQueue(session: $0).complete(job, file: file, type: image.format.mediaType)
    }
    if !isCompleted {
      try media.remove(file)
      throw Interruption.leaseLost
    }
  }

  /// Removes images that no generation has.
  func sweep() throws -> Int {
    try media.sweep(now: store.now) { name in
      try store.read { try $0.first("SELECT 1 FROM generations WHERE media_file = $1", [.text(name)]) != nil }
    }
  }

  private func fail(
    _ job: JobQueue.Job, _ error: any Error,
    message: String = "The image could not be made; the credits are refunded."
  ) throws {
    log(.error, "generation \(job.generation.id) failed: \(error)")
    _ = try store.write {
      try JobQueue(session: $0).fail(job, message: message)
    }
    metrics?.failed.add()
  }
}

/// What operators see of the jobs at `/metrics`.
struct JobMetrics: Sendable {
  let completed: Counter
  let failed: Counter
  let duration: Histogram

  /// [main, during start]
  init(_ host: Host) {
    completed = host.counter("generations_completed_total", help: "Generations that completed here.")
    failed = host.counter(
      "generations_failed_total", help: "Generations that failed here, and were refunded.")
    duration = host.histogram("generation_seconds", help: "From a generation's start to its completion.")
  }
}

/// A job's model is not configured any more.
struct UnknownModel: Error, CustomStringConvertible {
  let id: String
  var description: String { "the model \(id) is not configured any more" }
}

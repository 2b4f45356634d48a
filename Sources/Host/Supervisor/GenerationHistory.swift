/// What became of the latest generations: for the time line in diagnostics. A value; the supervisor has it.
struct GenerationHistory: Sendable {
  struct Entry: Sendable, Equatable {
    var generation: Int
    var isBare: Bool
    /// Why it was started.
    var cause: String
    var pid: Int32?
    /// Nanoseconds since 1970, as the two below.
    var startedAt: Int64
    var servedAt: Int64?
    var endedAt: Int64?
    /// What was wrong with its end; nil if nothing was, or it lives.
    var failure: String?
  }

  static let capacity = 32
  private(set) var entries: [Entry] = []
  /// Of the generation that is started next.
  var cause = "the host was started"
  /// Something is here that has not been told.
  private(set) var isNews = false

  mutating func begin(_ generation: Int, isBare: Bool, at now: Int64) {
    if entries.count == GenerationHistory.capacity { entries.removeFirst() }
    entries.append(Entry(generation: generation, isBare: isBare, cause: cause, startedAt: now))
    cause = "the one before could not go on"
    isNews = true
  }

  mutating func serves(_ generation: Int, pid: Int32, at now: Int64) {
    change(generation) {
      $0.pid = pid
      $0.servedAt = now
    }
  }

  mutating func ended(_ generation: Int, pid: Int32, how failure: String?, at now: Int64) {
    change(generation) {
      $0.pid = pid
      $0.endedAt = now
      $0.failure = failure
    }
  }

  mutating func wasTold() { isNews = false }

  private mutating func change(_ generation: Int, _ body: (inout Entry) -> Void) {
    guard let index = entries.lastIndex(where: { $0.generation == generation }) else { return }
    body(&entries[index])
    isNews = true
  }

  /// A JSON array, oldest first.
  var json: String {
    var json = JSONWriter()
    json.array { array in
      for entry in entries { array.object { entry.write(to: &$0) } }
    }
    return json.text
  }
}

extension GenerationHistory.Entry {
  fileprivate func write(to json: inout JSONWriter) {
    json.field("generation", generation)
    json.field("bare", isBare)
    json.field("cause", cause)
    json.field("pid", pid)
    json.field("started_at", Clock.rfc3339(startedAt))
    json.field("served_at", servedAt.map { Clock.rfc3339($0) })
    json.field("ended_at", endedAt.map { Clock.rfc3339($0) })
    json.field("failure", failure)
  }
}

extension Supervisor {
  /// Tells the serving worker, which shows it; one that comes to serve later is told then.
  func tellHistory() {
    guard history.isNews, let number = plan.serving?.number, let worker = workers[number] else { return }
    worker.tell("history \(history.json)")
    history.wasTold()
  }
}

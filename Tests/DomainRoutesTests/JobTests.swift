import Foundation
import JSONBodies
import PluginTesting
import SQLite
import Testing

@testable import DomainRoutes

/// Jobs without threads: each step is taken, or left out as by a crash, by the test.
@Suite struct JobTests {
  private static let lease: Int64 = 20_000
  private let clock = TestClock()
  private let directory: TemporaryDirectory
  private let store: Store
  private let media: MediaFiles
  private let runner: JobRunner

  init() throws {
    directory = try TemporaryDirectory()
    store = try Store(path: directory.path + "/domain.sqlite3") { [clock] in clock.now }
    media = try MediaFiles(directory: directory.path + "/media")
    runner = JobRunner(
      store: store, media: media, models: try ModelCatalogue([]), lease: Self.lease, attempts: 3,
      metrics: nil, log: { _, _ in })
    try store.write { try Ledger(session: $0).openAccount("u", bonus: 100) }
  }

  private func create() throws -> String {
    let model = ModelCatalogue.shipped[0]
    return try store.write {
      try GenerationTable(session: $0, mount: "").create(
        GenerationRequest(model: model, prompt: "p", negativePrompt: "", width: 64, height: 64),
        seed: 1, by: "u")
    }
  }

  private func status(_ id: String) throws -> Generation.Status? {
    try store.read { try GenerationTable(session: $0, mount: "").find(id, of: "u")?.status }
  }

  private func balance() throws -> Ledger.Balance? {
    try store.read { try Ledger(session: $0).balance(of: "u") }
  }

  private func violations() throws -> [String] {
    try store.read { try LedgerAudit(session: $0).violations() }
  }

  private func files() throws -> [String] {
    try FileManager.default.subpathsOfDirectory(atPath: directory.path + "/media").filter {
      $0.contains(".")
    }
  }

  @Test("a job whose run died after its claim is run again once its lease is over, and paid once")
  func diedAfterClaim() throws {
    let id = try create()
    #expect(try runner.claim()?.generation.id == id)
    #expect(try runner.runNext { false } == false)
    clock.advance(milliseconds: Self.lease)
    #expect(try runner.runNext { false })
    #expect(try status(id) == .completed)
    #expect(try balance() == .init(current: 95, totalEarned: 100, totalSpent: 5, reserved: 0))
    #expect(try violations() == [])
  }

  @Test("a job whose run died after it wrote the image is run again, and the old file is removed")
  func diedAfterWriting() throws {
    let id = try create()
    let job = try #require(try runner.claim())
    try media.write([1, 2, 3], to: MediaFiles.name(generation: id, attempt: 1, extension: "png"))
    clock.advance(milliseconds: Self.lease)
    #expect(try runner.runNext { false })
    #expect(try files() == [MediaFiles.name(generation: id, attempt: 2, extension: "png")])
    #expect(job.generation.attempts == 1)
    #expect(try balance()?.totalSpent == 5)
  }

  @Test("a run that comes late, after another has completed its job, changes nothing")
  func lateRun() throws {
    let id = try create()
    let late = try #require(try runner.claim())
    let image = try runner.render(late) { false }
    clock.advance(milliseconds: Self.lease)
    #expect(try runner.runNext { false })
    #expect(throws: JobRunner.Interruption.self) { try runner.finish(late, image) }
    #expect(try files() == [MediaFiles.name(generation: id, attempt: 2, extension: "png")])
    #expect(try store.write { try !JobQueue(session: $0).fail(late, message: "") })
    #expect(try balance() == .init(current: 95, totalEarned: 100, totalSpent: 5, reserved: 0))
    #expect(try violations() == [])
  }

  @Test("a job whose runs die again and again fails, and is refunded once")
  func givenUp() throws {
    let id = try create()
    for _ in 0..<3 {
      #expect(try runner.claim() != nil)
      clock.advance(milliseconds: Self.lease)
    }
    #expect(try runner.runNext { false })
    #expect(try status(id) == .failed)
    #expect(try runner.runNext { false } == false)
    #expect(try balance() == .init(current: 100, totalEarned: 100, totalSpent: 0, reserved: 0))
    #expect(try violations() == [])
  }

  @Test("a job that is cancelled while it runs is refunded, and its image is dropped")
  func cancelledWhileRunning() throws {
    let id = try create()
    let job = try #require(try runner.claim())
    #expect(try store.write { try GenerationTable(session: $0, mount: "").cancel(id) })
    let image = try runner.render(job) { false }
    #expect(throws: JobRunner.Interruption.self) { try runner.finish(job, image) }
    #expect(try files() == [])
    #expect(try status(id) == .cancelled)
    #expect(try balance()?.current == 100)
    #expect(try violations() == [])
  }

  @Test("a run keeps its lease while it works, and ends when it has lost it")
  func renewal() throws {
    _ = try create()
    let job = try #require(try runner.claim())
    var rows = 0
    _ = try runner.render(job) {
      rows += 1
      clock.advance(milliseconds: Self.lease / 3)
      return false
    }
    // Sixteen looks at a third of the lease each: far past it, had it not been renewed.
    #expect(rows == 16)
    #expect(try runner.claim() == nil)
    try store.write { try GenerationTable(session: $0, mount: "").delete(job.generation.id) }
    #expect(throws: JobRunner.Interruption.self) {
      _ = try runner.render(job) {
        clock.advance(milliseconds: Self.lease / 3)
        return false
      }
    }
    #expect(try balance()?.current == 100)
  }

  @Test("a job is given back when its process stops, without counting as an attempt")
  func givenBack() throws {
    let id = try create()
    #expect(try runner.runNext { true })
    #expect(try status(id) == .pending)
    #expect(try runner.claim()?.generation.attempts == 1)
  }

  @Test("a job whose model is gone fails, and is refunded")
  func modelGone() throws {
    let id = try create()
    let other = JobRunner(
      store: store, media: media, models: try ModelCatalogue(["other price 1"]), lease: Self.lease,
      attempts: 3,
      metrics: nil, log: { _, _ in })
    #expect(try other.runNext { false })
    #expect(try status(id) == .failed)
    #expect(try balance()?.current == 100)
  }

  @Test("images that no generation has are swept once they are old, and no others")
  func sweep() throws {
    let id = try create()
    _ = try runner.runNext { false }
    try media.write([1], to: MediaFiles.name(generation: id, attempt: 9, extension: "png"))
    let kept = MediaFiles.name(generation: id, attempt: 1, extension: "png")
    func sweep(after hours: Int64) throws -> Int {
      try media.sweep(now: Int64(Date().timeIntervalSince1970 * 1000) + hours * 3_600_000) { $0 == kept }
    }
    #expect(try sweep(after: 0) == 0)
    #expect(try sweep(after: 2) == 1)
    #expect(try files() == [kept])
    // The runner's own clock is years ahead of the files, and it asks the database.
    #expect(try runner.sweep() == 0)
    try store.write { try GenerationTable(session: $0, mount: "").delete(id) }
    #expect(try runner.sweep() == 1)
  }

  @Test("jobs are claimed oldest first, each by one of many threads")
  func claimedOnce() throws {
    let ids = try (0..<20).map { _ in try create() }
    let claimed = try onThreads(8) { [runner] _ in
      var claimed: [String] = []
      while let job = try runner.claim() { claimed.append(job.generation.id) }
      return claimed
    }
    #expect(claimed.flatMap { $0 }.sorted() == ids.sorted())
  }

  @Test(
    "over random steps, crashes and late runs every credit is spent once or given back once",
    arguments: [UInt64(1), 20_250_815, UInt64.random(in: 0...UInt64.max)])
  func property(seed: UInt64) throws {
    print("seed \(seed)")
    var random = SplitMix64(seed: seed)
    var ids: [String] = []
    var jobs: [JobQueue.Job] = []
    for _ in 0..<150 {
      switch Int.random(in: 0..<9, using: &random) {
      case 0, 1:
        do {
          ids.append(try create())
        } catch Ledger.Refusal.insufficientCredits(let required, let available) {
          #expect(available < required)
        }
      case 2, 3: if let job = try runner.claim() { jobs.append(job) }
      case 4: clock.advance(milliseconds: Int64.random(in: 0...Self.lease, using: &random))
      case 5:
        guard let job = jobs.randomElement(using: &random) else { continue }
        _ = try store.write { try JobQueue(session: $0).complete(job, file: job.owner, type: "image/png") }
      case 6:
        guard let job = jobs.randomElement(using: &random) else { continue }
        _ = try store.write { try JobQueue(session: $0).fail(job, message: "x") }
      case 7:
        guard let id = ids.randomElement(using: &random) else { continue }
        _ = try store.write { try GenerationTable(session: $0, mount: "").cancel(id) }
      default:
        guard let id = ids.randomElement(using: &random) else { continue }
        let isDeleted = Bool.random(using: &random)
        if isDeleted { try store.write { try GenerationTable(session: $0, mount: "").delete(id) } }
        // A transaction that does not commit leaves nothing behind.
        struct Crash: Error {}
        #expect(throws: Crash.self) {
          try store.write { session in
            if let job = try JobQueue(session: session).claim(owner: "x", lease: 1) {
              _ = try JobQueue(session: session).complete(job, file: "f", type: "t")
            }
            throw Crash()
          }
        }
      }
      #expect(try violations() == [])
    }
  }
}

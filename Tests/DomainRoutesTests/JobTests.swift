import DatabaseTesting
import Foundation
import JSONBodies
import PluginTesting
import SQL
import Testing

@testable import DomainRoutes

/// Jobs without threads: each step is taken, or left out as by a crash, by the test.
@Suite struct JobTests {
  @Test(
    "a job whose run died after its claim is run again once its lease is over, and paid once",
    arguments: Backend.allCases)
  func diedAfterClaim(on backend: Backend) throws {
    let bench = try Bench(backend)
    let id = try bench.create()
    #expect(try bench.runner.claim()?.generation.id == id)
    #expect(try bench.runner.runNext { false } == false)
    bench.clock.advance(milliseconds: Bench.lease)
    #expect(try bench.runner.runNext { false })
    #expect(try bench.status(id) == .completed)
    #expect(try bench.balance() == .init(current: 95, totalEarned: 100, totalSpent: 5, reserved: 0))
    #expect(try bench.violations() == [])
  }

  @Test(
    "a job whose run died after it wrote the image is run again, and the old file is removed",
    arguments: Backend.allCases)
  func diedAfterWriting(on backend: Backend) throws {
    let bench = try Bench(backend)
    let id = try bench.create()
    let job = try #require(try bench.runner.claim())
    try bench.media.write([1, 2, 3], to: MediaFiles.name(generation: id, attempt: 1, extension: "png"))
    bench.clock.advance(milliseconds: Bench.lease)
    #expect(try bench.runner.runNext { false })
    #expect(try bench.files() == [MediaFiles.name(generation: id, attempt: 2, extension: "png")])
    #expect(job.generation.attempts == 1)
    #expect(try bench.balance()?.totalSpent == 5)
  }

  @Test(
    "a run that comes late, after another has completed its job, changes nothing",
    arguments: Backend.allCases)
  func lateRun(on backend: Backend) throws {
    let bench = try Bench(backend)
    let id = try bench.create()
    let late = try #require(try bench.runner.claim())
    let image = try bench.runner.render(late) { false }
    bench.clock.advance(milliseconds: Bench.lease)
    #expect(try bench.runner.runNext { false })
    #expect(throws: JobRunner.Interruption.self) { try bench.runner.finish(late, image) }
    #expect(try bench.files() == [MediaFiles.name(generation: id, attempt: 2, extension: "png")])
    #expect(try bench.store.write { try !JobQueue(session: $0).fail(late, message: "") })
    #expect(try bench.balance() == .init(current: 95, totalEarned: 100, totalSpent: 5, reserved: 0))
    #expect(try bench.violations() == [])
  }

  @Test("a job whose runs die again and again fails, and is refunded once", arguments: Backend.allCases)
  func givenUp(on backend: Backend) throws {
    let bench = try Bench(backend)
    let id = try bench.create()
    for _ in 0..<3 {
      #expect(try bench.runner.claim() != nil)
      bench.clock.advance(milliseconds: Bench.lease)
    }
    #expect(try bench.runner.runNext { false })
    #expect(try bench.status(id) == .failed)
    #expect(try bench.runner.runNext { false } == false)
    #expect(try bench.balance() == .init(current: 100, totalEarned: 100, totalSpent: 0, reserved: 0))
    #expect(try bench.violations() == [])
  }

  @Test(
    "a job that is cancelled while it runs is refunded, and its image is dropped",
    arguments: Backend.allCases)
  func cancelledWhileRunning(on backend: Backend) throws {
    let bench = try Bench(backend)
    let id = try bench.create()
    let job = try #require(try bench.runner.claim())
    #expect(try bench.store.write { try GenerationTable(session: $0, mount: "").cancel(id) })
    let image = try bench.runner.render(job) { false }
    #expect(throws: JobRunner.Interruption.self) { try bench.runner.finish(job, image) }
    #expect(try bench.files() == [])
    #expect(try bench.status(id) == .cancelled)
    #expect(try bench.balance()?.current == 100)
    #expect(try bench.violations() == [])
  }

  @Test("a run keeps its lease while it works, and ends when it has lost it", arguments: Backend.allCases)
  func renewal(on backend: Backend) throws {
    let bench = try Bench(backend)
    _ = try bench.create()
    let job = try #require(try bench.runner.claim())
    var rows = 0
    _ = try bench.runner.render(job) {
      rows += 1
      bench.clock.advance(milliseconds: Bench.lease / 3)
      return false
    }
    // Sixteen looks at a third of the lease each: far past it, had it not been renewed.
    #expect(rows == 16)
    #expect(try bench.runner.claim() == nil)
    try bench.store.write { try GenerationTable(session: $0, mount: "").delete(job.generation.id) }
    #expect(throws: JobRunner.Interruption.self) {
      _ = try bench.runner.render(job) {
        bench.clock.advance(milliseconds: Bench.lease / 3)
        return false
      }
    }
    #expect(try bench.balance()?.current == 100)
  }

  @Test(
    "a job is given back when its process stops, without counting as an attempt",
    arguments: Backend.allCases)
  func givenBack(on backend: Backend) throws {
    let bench = try Bench(backend)
    let id = try bench.create()
    #expect(try bench.runner.runNext { true })
    #expect(try bench.status(id) == .pending)
    #expect(try bench.runner.claim()?.generation.attempts == 1)
  }

  @Test("a job whose model is gone fails, and is refunded", arguments: Backend.allCases)
  func modelGone(on backend: Backend) throws {
    let bench = try Bench(backend)
    let id = try bench.create()
    let other = JobRunner(
      store: bench.store, media: bench.media, models: try ModelCatalogue(["other price 1"]),
      lease: Bench.lease,
      attempts: 3,
      metrics: nil, log: { _, _ in })
    #expect(try other.runNext { false })
    #expect(try bench.status(id) == .failed)
    #expect(try bench.balance()?.current == 100)
  }

  @Test(
    "images that no generation has are swept once they are old, and no others",
    arguments: Backend.allCases)
  func sweep(on backend: Backend) throws {
    let bench = try Bench(backend)
    let id = try bench.create()
    _ = try bench.runner.runNext { false }
    try bench.media.write([1], to: MediaFiles.name(generation: id, attempt: 9, extension: "png"))
    let kept = MediaFiles.name(generation: id, attempt: 1, extension: "png")
    // Files have the file system's times, and rows the store's.
    let written = backend == .sqlite ? Int64(Date().timeIntervalSince1970 * 1000) : bench.clock.now
    func sweep(after hours: Int64) throws -> Int {
      try bench.media.sweep(now: written + hours * 3_600_000) { $0 == kept }
    }
    #expect(try sweep(after: 0) == 0)
    #expect(try sweep(after: 2) == 1)
    #expect(try bench.files() == [kept])
    // The runner's own clock is years ahead, and it asks the database.
    bench.clock.advance(milliseconds: 365 * 86_400_000)
    #expect(try bench.runner.sweep() == 0)
    try bench.store.write { try GenerationTable(session: $0, mount: "").delete(id) }
    #expect(try bench.runner.sweep() == 1)
  }

  @Test("jobs are claimed oldest first, each by one of many threads", arguments: Backend.allCases)
  func claimedOnce(on backend: Backend) throws {
    let bench = try Bench(backend)
    let ids = try (0..<20).map { _ in try bench.create() }
    let claimed = try onThreads(8) { [bench] _ in
      var claimed: [String] = []
      while let job = try bench.runner.claim() { claimed.append(job.generation.id) }
      return claimed
    }
    #expect(claimed.flatMap { $0 }.sorted() == ids.sorted())
  }

  @Test(
    "over random steps, crashes and late runs every credit is spent once or given back once",
    arguments: Backend.allCases, [UInt64(1), 20_250_815, UInt64.random(in: 0...UInt64.max)])
  func property(on backend: Backend, seed: UInt64) throws {
    let bench = try Bench(backend)
    print("seed \(seed)")
    var random = SplitMix64(seed: seed)
    var ids: [String] = []
    var jobs: [JobQueue.Job] = []
    for _ in 0..<150 {
      switch Int.random(in: 0..<9, using: &random) {
      case 0, 1:
        do {
          ids.append(try bench.create())
        } catch Ledger.Refusal.insufficientCredits(let required, let available) {
          #expect(available < required)
        }
      case 2, 3: if let job = try bench.runner.claim() { jobs.append(job) }
      case 4: bench.clock.advance(milliseconds: Int64.random(in: 0...Bench.lease, using: &random))
      case 5:
        guard let job = jobs.randomElement(using: &random) else { continue }
        _ = try bench.store.write {
          try JobQueue(session: $0).complete(job, file: job.owner, type: "image/png")
        }
      case 6:
        guard let job = jobs.randomElement(using: &random) else { continue }
        _ = try bench.store.write { try JobQueue(session: $0).fail(job, message: "x") }
      case 7:
        guard let id = ids.randomElement(using: &random) else { continue }
        _ = try bench.store.write { try GenerationTable(session: $0, mount: "").cancel(id) }
      default:
        guard let id = ids.randomElement(using: &random) else { continue }
        let isDeleted = Bool.random(using: &random)
        if isDeleted { try bench.store.write { try GenerationTable(session: $0, mount: "").delete(id) } }
        // A transaction that does not commit leaves nothing behind.
        struct Crash: Error {}
        #expect(throws: Crash.self) {
          try bench.store.write { session in
            if let job = try JobQueue(session: session).claim(owner: "x", lease: 1) {
              _ = try JobQueue(session: session).complete(job, file: "f", type: "t")
            }
            throw Crash()
          }
        }
      }
      #expect(try bench.violations() == [])
    }
  }
}

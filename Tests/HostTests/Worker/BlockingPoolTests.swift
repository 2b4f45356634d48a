import Foundation
import Synchronization
import Testing

@testable import bulkhead

@Suite("Blocking pool")
struct BlockingPoolTests {
  /// A pool, and a gate that its jobs wait at.
  private final class Fixture: Sendable {
    let pool: BlockingPool
    let running = Atomic<Int>(0)
    let done = Atomic<Int>(0)
    private let gate = DispatchSemaphore(value: 0)

    init(limit: Int) throws {
      let memory = try SharedMemory.create()
      let next = Atomic<Int>(0)
      let box = Box(next)
      pool = BlockingPool(
        limit: limit,
        takeFrame: { memory.frame(box.counter.wrappingAdd(1, ordering: .relaxed).oldValue, generation: 1) },
        started: {})
    }

    private final class Box: Sendable {
      let counter: Atomic<Int>
      init(_ counter: consuming Atomic<Int>) { self.counter = counter }
    }

    func submitBlocking(of plugin: Int? = nil) -> Bool {
      pool.submit(for: nil, of: plugin) { _ in
        self.running.wrappingAdd(1, ordering: .relaxed)
        self.gate.wait()
        self.running.wrappingSubtract(1, ordering: .relaxed)
        self.done.wrappingAdd(1, ordering: .relaxed)
      }
    }

    func open(_ count: Int) { for _ in 0..<count { gate.signal() } }
  }

  @Test("two jobs that come at once do not wait for one another because one thread was idle")
  func noSharedIdleThread() throws {
    let fixture = try Fixture(limit: 4)
    // One thread, idle again.
    #expect(fixture.submitBlocking())
    fixture.open(1)
    try wait(for: "the first job") { fixture.done.load(ordering: .relaxed) == 1 }
    for round in 1...50 {
      let before = fixture.done.load(ordering: .relaxed)
      for _ in 0..<4 { #expect(fixture.submitBlocking()) }
      try wait(for: "all four to run, in round \(round)") { fixture.running.load(ordering: .relaxed) == 4 }
      fixture.open(4)
      try wait(for: "the round's end") { fixture.done.load(ordering: .relaxed) == before + 4 }
    }
  }

  @Test("past its threads jobs wait in order, and past its queue they are refused")
  func bounds() throws {
    let fixture = try Fixture(limit: 2)
    for _ in 0..<2 { #expect(fixture.submitBlocking()) }
    try wait(for: "both threads to be busy") { fixture.running.load(ordering: .relaxed) == 2 }
    for _ in 0..<BlockingPool.maxQueued { #expect(fixture.submitBlocking()) }
    #expect(!fixture.submitBlocking())
    fixture.open(BlockingPool.maxQueued + 2)
    try wait(for: "every job") { fixture.done.load(ordering: .relaxed) == BlockingPool.maxQueued + 2 }
    #expect(fixture.submitBlocking())
    fixture.open(1)
  }

  @Test(
    "a plugin whose jobs do not come back leaves threads to the others, and goes on in order when they do")
  func shares() throws {
    let fixture = try Fixture(limit: 8)
    #expect(fixture.pool.share == 6)
    for _ in 0..<50 { #expect(fixture.submitBlocking(of: 3)) }
    try wait(for: "its share to be at work") { fixture.running.load(ordering: .relaxed) == 6 }
    let others = Atomic<Int>(0)
    let box = LeftBox(others)
    for _ in 0..<100 {
      #expect(fixture.pool.submit(for: nil, of: 0) { _ in box.counter.wrappingAdd(1, ordering: .relaxed) })
    }
    try wait(for: "the others' jobs") { box.counter.load(ordering: .relaxed) == 100 }
    #expect(fixture.running.load(ordering: .relaxed) == 6)
    #expect(fixture.done.load(ordering: .relaxed) == 0)
    // Past its own queue it alone is refused.
    for _ in 0..<(BlockingPool.maxQueued - 44) { #expect(fixture.submitBlocking(of: 3)) }
    #expect(!fixture.submitBlocking(of: 3))
    #expect(fixture.submitBlocking(of: 1))
    fixture.open(BlockingPool.maxQueued + 7)
    try wait(for: "every job") { fixture.done.load(ordering: .relaxed) == BlockingPool.maxQueued + 7 }
  }

  @Test("a job that has run is let go, though the queue never runs empty")
  func letsGo() throws {
    final class Token: Sendable {
      static let alive = Atomic<Int>(0)
      init() { Token.alive.wrappingAdd(1, ordering: .relaxed) }
      deinit { Token.alive.wrappingSubtract(1, ordering: .relaxed) }
      func touch() {}
    }
    let fixture = try Fixture(limit: 1)
    func submitToken() -> Bool {
      let token = Token()
      return fixture.pool.submit(for: nil, of: nil) { _ in token.touch() }
    }
    // Every job puts another behind itself before it ends.
    let left = Atomic<Int>(20_000)
    let box = LeftBox(left)
    @Sendable func relay(_ frame: FaultFrame) {
      guard box.counter.wrappingSubtract(1, ordering: .relaxed).newValue > 0 else { return }
      let token = Token()
      _ = fixture.pool.submit(for: nil, of: nil) {
        token.touch()
        relay($0)
      }
      box.peak = max(box.peak, Token.alive.load(ordering: .relaxed))
    }
    #expect(submitToken())
    #expect(fixture.pool.submit(for: nil, of: nil) { relay($0) })
    try wait(for: "the relay's end") { box.counter.load(ordering: .relaxed) <= 0 }
    #expect(box.peak < 100)
  }

  private final class LeftBox: @unchecked Sendable {
    let counter: Atomic<Int>
    /// Written by the pool's one thread.
    var peak = 0
    init(_ counter: consuming Atomic<Int>) { self.counter = counter }
  }

  @Test("ending runs what is queued, and says whether all came back")
  func end() throws {
    let fixture = try Fixture(limit: 2)
    for _ in 0..<5 { #expect(fixture.submitBlocking()) }
    #expect(!fixture.pool.end(by: Clock.monotonic() + 50_000_000))
    fixture.open(5)
    #expect(fixture.pool.end(by: Clock.monotonic() + 5_000_000_000))
    #expect(fixture.done.load(ordering: .relaxed) == 5)
    #expect(!fixture.submitBlocking())
  }
}

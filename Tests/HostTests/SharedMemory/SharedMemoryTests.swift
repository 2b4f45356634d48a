import Foundation
import Synchronization
import Testing

@testable import bulkhead

@Suite("Shared memory")
struct SharedMemoryTests {
  @Test("a region is found again under its name and size, from every mapping, with what was written")
  func found() throws {
    let memory = try SharedMemory.create()
    let other = try SharedMemory(memory.descriptor)
    let region = try #require(memory.region("a/counters", count: 100))
    region.storeBytes(of: 42, as: UInt64.self)
    let again = try #require(other.region("a/counters", count: 100))
    #expect(again.load(as: UInt64.self) == 42)
    #expect(memory.region("a/counters", count: 100) == region)
    // Another size, another name, another plugin: another region, zero at first.
    for (name, count) in [("a/counters", 101), ("a/counter", 100), ("b/counters", 100)] {
      let different = try #require(memory.region(name, count: count))
      #expect(different != region)
      #expect(different.load(as: UInt64.self) == 0)
      #expect(Int(bitPattern: different) % 64 == 0)
    }
  }

  @Test(
    "what asks for too much gets nothing, and takes nothing from the others",
    arguments: [0, -1, 1 << 30, Int.max, Int.max - 4095])
  func tooMuch(_ count: Int) throws {
    let memory = try SharedMemory.create()
    for _ in 0..<1000 { #expect(memory.region("greedy", count: count) == nil) }
    #expect(memory.region("modest", count: 1 << 20) != nil)
  }

  @Test("a region lies within the memory, and no two overlap")
  func apart() throws {
    let memory = try SharedMemory.create()
    let seed = UInt64.random(in: 0 ... .max)
    print("seed \(seed)")
    var random = SplitMix64(state: seed)
    var regions: [(start: Int, count: Int)] = []
    for number in 0..<200 {
      let count = Int.random(in: 1...100_000, using: &random)
      guard let region = memory.region("r\(number)", count: count) else {
        Issue.record("no room, seed \(seed)")
        return
      }
      region.storeBytes(of: UInt8(truncatingIfNeeded: number), as: UInt8.self)
      (region + count - 1).storeBytes(of: UInt8(truncatingIfNeeded: number), as: UInt8.self)
      regions.append((Int(bitPattern: region), count))
    }
    let sorted = regions.sorted { $0.start < $1.start }
    for (one, next) in zip(sorted, sorted.dropFirst()) {
      #expect(one.start + one.count <= next.start, "seed \(seed)")
    }
  }

  @Test("two generations that ask at once get the same region")
  func atOnce() throws {
    for round in 0..<200 {
      let memory = try SharedMemory.create()
      let results = Results()
      let start = DoneFlag()
      for _ in 0..<2 {
        let mapping = try SharedMemory(memory.descriptor)
        Foundation.Thread.detachNewThread {
          while !start.isSet {}
          guard let region = mapping.region("p/state", count: 64) else { return results.add(nil) }
          let counter = region.assumingMemoryBound(to: Atomic<UInt64>.self)
          results.add(counter.pointee.wrappingAdd(1, ordering: .relaxed).newValue)
        }
      }
      start.set()
      try wait(for: "both") { results.values.count == 2 }
      #expect(Set(results.values) == [1, 2], "round \(round)")
    }
  }

  private final class Results: Sendable {
    private let list = Mutex<[UInt64?]>([])
    func add(_ value: UInt64?) { list.withLock { $0.append(value) } }
    var values: [UInt64?] { list.withLock { $0 } }
  }

  @Test("a frame names its occupant, from every mapping, and is cleared for the next generation of its bank")
  func frames() throws {
    let memory = try SharedMemory.create()
    let other = try SharedMemory(memory.descriptor)
    let frame = memory.frame(7, generation: 3)
    #expect(other.frame(7, generation: 3).occupant == nil)
    frame.enter(plugin: 5, phase: 1, requestID: bh_bytes("request-1"), at: 99)
    let occupant = try #require(other.frame(7, generation: 3).occupant)
    #expect(
      occupant.plugin == 5 && occupant.phase == 1 && occupant.since == 99 && occupant.requestID == "request-1"
    )
    #expect(!occupant.hasCrashed && !occupant.isTaken)
    #expect(other.frame(8, generation: 3).occupant == nil)
    #expect(other.frame(7, generation: 4).occupant == nil)
    frame.leave()
    #expect(other.frame(7, generation: 3).occupant == nil)
    frame.enter(plugin: 0, phase: 0, requestID: bh_bytes(), at: 1)
    other.clearFrames(generation: 3 + SharedMemory.bankCount)
    #expect(frame.occupant == nil)
  }

  @Test("a request id longer than the frame's room is cut, and nothing is written past it")
  func longID() throws {
    let memory = try SharedMemory.create()
    let frame = memory.frame(0, generation: 1)
    let long = String(repeating: "i", count: 500)
    long.withBytes { frame.enter(plugin: 1, phase: 0, requestID: $0, at: 1) }
    #expect(frame.occupant?.requestID == String(repeating: "i", count: FaultFrame.maxRequestID))
    #expect(frame.guarded.pointee.signal == 0)
  }

  @Test("a frame that is taken is not left again, and is taken once")
  func taking() throws {
    let memory = try SharedMemory.create()
    let frame = memory.frame(0, generation: 1)
    frame.enter(plugin: 2, phase: 0, requestID: bh_bytes(), at: 1)
    let owner = try #require(frame.occupant).owner
    #expect(guard_take(frame.guarded, owner))
    #expect(!guard_take(frame.guarded, owner))
    #expect(frame.occupant?.isTaken == true)
    #expect(frame.occupant?.plugin == 2)
  }

  @Test("nobody who has its descriptor can make it shorter or longer, or unseal it")
  func sealed() throws {
    let memory = try SharedMemory.create()
    for size in [0, SharedMemory.byteCount - 4096, SharedMemory.byteCount + 4096] {
      #expect(ftruncate(memory.descriptor.raw, off_t(size)) == -1 && errno == EPERM)
    }
    let region = try #require(memory.region("a/counters", count: 8))
    region.storeBytes(of: 42, as: UInt64.self)
    #expect(region.load(as: UInt64.self) == 42)
  }
}

import Glibc
import Synchronization

/// The last requests of one loop, each with the time that its plugins took.
///
/// The loop's thread writes, any thread reads: a record's sequence is odd while it is written (a seqlock), and a reader
/// skips what changes under its eyes.
final class RecentRequests: @unchecked Sendable {
  static let capacity = 64

  /// One request; fixed size, so that recording it allocates nothing.
  struct Record {
    var realtime: Int64 = 0
    var nanoseconds: UInt64 = 0
    var status: UInt32 = 0
    var method = Text16()
    var path = Text128()
    var requestID = Text64()
    var passCount = 0
    var passes = Passes(repeating: PassRecord())
    var blamed: Int32 = -1
    /// As `Exchange.responder`.
    var responder: Int32 = -1

    typealias Passes = InlineArray<16, PassRecord>
    static let maxPasses = 16
  }

  struct PassRecord {
    var plugin: UInt8 = 0
    var phase: UInt8 = 0
    var outcome: UInt8 = 0
    var nanoseconds: Float = 0
    var entry: Float = -1
  }

  private let sequences: UnsafeMutablePointer<Atomic<UInt32>>
  private let records: UnsafeMutablePointer<Record>
  private var next = 0

  init() {
    sequences = .allocate(capacity: RecentRequests.capacity)
    records = .allocate(capacity: RecentRequests.capacity)
    for index in 0..<RecentRequests.capacity { (sequences + index).initialize(to: Atomic(0)) }
    records.initialize(repeating: Record(), count: RecentRequests.capacity)
  }

  deinit {
    sequences.deallocate()
    records.deallocate()
  }

  /// Loop's thread.
  func record(_ x: Exchange, nanoseconds: UInt64, realtime: Int64) {
    let slot = next
    next = (next + 1) % RecentRequests.capacity
    let sequence = sequences[slot].load(ordering: .relaxed)
    sequences[slot].store(sequence &+ 1, ordering: .relaxed)
    // What is written next may not be seen before the sequence is odd.
    atomicMemoryFence(ordering: .releasing)
    let view = x.request.pointee
    let record = records + slot
    record.pointee.realtime = realtime
    record.pointee.nanoseconds = nanoseconds
    record.pointee.status = x.status
    record.pointee.method.set(view.method_name)
    record.pointee.path.set(view.path)
    record.pointee.requestID.set(view.request_id)
    record.pointee.blamed = x.blamed.map { Int32($0.index) } ?? -1
    record.pointee.responder = x.responder
    let count = min(x.timelineCount, Record.maxPasses)
    record.pointee.passCount = count
    for index in 0..<count {
      let pass = x.timeline[index]
      record.pointee.passes[index] = PassRecord(
        plugin: pass.plugin, phase: pass.phase.rawValue, outcome: pass.outcome.rawValue,
        nanoseconds: pass.nanoseconds, entry: pass.entry)
    }
    sequences[slot].store(sequence &+ 2, ordering: .releasing)
  }

  /// Copies of the records that are whole, in no order. Any thread.
  func snapshot() -> [Record] {
    var found: [Record] = []
    for slot in 0..<RecentRequests.capacity {
      let before = sequences[slot].load(ordering: .acquiring)
      guard before != 0, before % 2 == 0 else { continue }
      let copy = records[slot]
      atomicMemoryFence(ordering: .acquiring)
      if sequences[slot].load(ordering: .relaxed) == before { found.append(copy) }
    }
    return found
  }
}

/// Text of at most so many bytes, in place; what is longer is cut.
typealias Text16 = FixedText<16>
typealias Text64 = FixedText<64>
typealias Text128 = FixedText<128>

struct FixedText<let capacity: Int> {
  private var count: UInt16 = 0
  private var bytes = InlineArray<capacity, UInt8>(repeating: 0)

  init() {}

  mutating func set(_ text: bh_bytes) {
    count = UInt16(min(text.count, capacity))
    let length = Int(count)
    guard length > 0, let data = text.data else { return }
    withUnsafeMutableBytes(of: &bytes) { _ = memcpy($0.baseAddress!, data, length) }
  }

  var string: String {
    withUnsafeBytes(of: bytes) { String(decoding: $0.prefix(Int(count)), as: UTF8.self) }
  }
}

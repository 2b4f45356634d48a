import Glibc
import LinuxShims
import Synchronization

/// The memory that supervisor and workers share (memfd_create(2)): who is on which thread's stack, and the regions
/// that plugins own. It outlives every worker.
///
/// Layout, in this order: the frames, the directory of regions, the regions. A writer may die at any instruction: each
/// word is an atomic, and a directory entry counts only once its `state` says ready.
final class SharedMemory: @unchecked Sendable {
  /// The worker's; set once, before any plugin starts.
  nonisolated(unsafe) static var current: SharedMemory?

  let descriptor: FileDescriptor
  private let base: UnsafeMutableRawPointer

  static let byteCount = 256 << 20
  /// Frames of one worker; generations that live side by side have different banks.
  static let frameCount = 128
  static let bankCount = 16
  static let frameSize = MemoryLayout<guard_frame>.size
  static let entryCount = 512
  static let entrySize = 256
  private static let directoryOffset = bankCount * frameCount * frameSize
  private static let regionsOffset = (directoryOffset + entryCount * entrySize + 4095) & ~4095

  /// Supervisor: makes the memory, all zero; pages take room only once they are written.
  static func create() throws(SystemError) -> SharedMemory {
    let descriptor = FileDescriptor(raw: try checked("memfd_create") { shim_memfd("bulkhead-shared") })
    try checked("ftruncate") { ftruncate(descriptor.raw, off_t(byteCount)) }
    return try SharedMemory(descriptor)
  }

  /// Maps memory that another process made.
  init(_ descriptor: FileDescriptor) throws(SystemError) {
    let address = mmap(
      nil, SharedMemory.byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor.raw, 0)
    guard let address, address != MAP_FAILED else { throw SystemError("mmap") }
    self.descriptor = descriptor
    base = address
  }

  deinit { munmap(base, SharedMemory.byteCount) }

  // MARK: Frames

  /// Frame `index` of a generation.
  func frame(_ index: Int, generation: Int) -> FaultFrame {
    let offset = ((generation % SharedMemory.bankCount) * SharedMemory.frameCount + index) * SharedMemory.frameSize
    return FaultFrame(guarded: (base + offset).assumingMemoryBound(to: guard_frame.self))
  }

  /// Supervisor, before a generation starts.
  func clearFrames(generation: Int) {
    memset(frame(0, generation: generation).guarded, 0, SharedMemory.frameCount * SharedMemory.frameSize)
  }

  // MARK: Regions

  private enum EntryState { static let free: UInt32 = 0, claimed: UInt32 = 1, ready: UInt32 = 2 }

  /// The region `name` of `count` bytes, made at first asking; nil if there is no room.
  ///
  /// Main thread of one worker at a time claims entries; two generations may ask at once, so each entry is claimed by
  /// exchange. An entry whose writer died between claim and ready is skipped for good.
  func region(_ name: String, count: Int) -> UnsafeMutableRawPointer? {
    let key = Array("\(name)#\(count)".utf8)
    guard key.count <= SharedMemory.entrySize - 32, count > 0 else { return nil }
    let size = (count + 4095) & ~4095
    for index in 0..<SharedMemory.entryCount {
      let entry = base + SharedMemory.directoryOffset + index * SharedMemory.entrySize
      let state = entry.assumingMemoryBound(to: Atomic<UInt32>.self)
      if state.pointee.load(ordering: .acquiring) == EntryState.free {
        let (isMine, _) = state.pointee.compareExchange(
          expected: EntryState.free, desired: EntryState.claimed, ordering: .acquiringAndReleasing)
        if isMine {
          guard let offset = claim(size) else { return nil }
          entry.storeBytes(of: UInt64(offset), toByteOffset: 8, as: UInt64.self)
          entry.storeBytes(of: UInt32(key.count), toByteOffset: 16, as: UInt32.self)
          key.withUnsafeBytes { (entry + 32).copyMemory(from: $0.baseAddress!, byteCount: key.count) }
          state.pointee.store(EntryState.ready, ordering: .releasing)
          return base + offset
        }
      }
      guard state.pointee.load(ordering: .acquiring) == EntryState.ready else { continue }
      let length = Int(entry.load(fromByteOffset: 16, as: UInt32.self))
      if length == key.count, key.withUnsafeBytes({ memcmp(entry + 32, $0.baseAddress!, length) }) == 0 {
        return base + Int(entry.load(fromByteOffset: 8, as: UInt64.self))
      }
    }
    return nil
  }

  /// Room for a region: the word before the first region counts what is taken.
  private func claim(_ size: Int) -> Int? {
    let next = (base + SharedMemory.regionsOffset).assumingMemoryBound(to: Atomic<UInt64>.self)
    let taken = next.pointee.wrappingAdd(UInt64(size), ordering: .acquiringAndReleasing).oldValue
    let offset = SharedMemory.regionsOffset + 4096 + Int(taken)
    return offset + size <= SharedMemory.byteCount ? offset : nil
  }
}

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

  /// The supervisor's; a worker closes its own once the memory is mapped, as plugins need not find it.
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

  /// Supervisor: makes the memory, all zero; pages take room only once they are written. Its size is sealed: were it
  /// shortened by a plugin, whoever reads it would die, the supervisor among them.
  static func create() throws(SystemError) -> SharedMemory {
    let raw = try checked("memfd_create") { shim_sealed_memfd("bulkhead-shared", off_t(byteCount)) }
    return try SharedMemory(FileDescriptor(raw: raw))
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

  /// All frames of all generations, in whole pages.
  var frames: (first: UnsafeMutablePointer<guard_frame>, count: Int) {
    (base.assumingMemoryBound(to: guard_frame.self), SharedMemory.bankCount * SharedMemory.frameCount)
  }

  /// Frame `index` of a generation.
  func frame(_ index: Int, generation: Int) -> FaultFrame {
    let offset =
      ((generation % SharedMemory.bankCount) * SharedMemory.frameCount + index) * SharedMemory.frameSize
    return FaultFrame(guarded: (base + offset).assumingMemoryBound(to: guard_frame.self))
  }

  /// Supervisor, before a generation starts.
  func clearFrames(generation: Int) {
    memset(frame(0, generation: generation).guarded, 0, SharedMemory.frameCount * SharedMemory.frameSize)
  }

  // MARK: Regions

  private enum EntryState {
    static let free: UInt32 = 0, claimed: UInt32 = 1, ready: UInt32 = 2
    /// For good: there was no room after all.
    static let void: UInt32 = 3
  }

  /// The region `name` of `count` bytes, made at first asking; nil if there is no room.
  ///
  /// Entries are taken in their order, each by exchange, so that of two generations that ask at once the later finds what
  /// the earlier makes. An entry whose writer died between claim and ready is skipped for good.
  func region(_ name: String, count: Int) -> UnsafeMutableRawPointer? {
    let key = Array("\(name)#\(count)".utf8)
    guard key.count <= SharedMemory.entrySize - 32, (1...SharedMemory.byteCount).contains(count) else {
      return nil
    }
    let size = (count + 4095) & ~4095
    for index in 0..<SharedMemory.entryCount {
      let entry = base + SharedMemory.directoryOffset + index * SharedMemory.entrySize
      if settledState(of: entry) == EntryState.free {
        guard hasRoom(size) else { return nil }
        let (isMine, _) = state(of: entry).pointee.compareExchange(
          expected: EntryState.free, desired: EntryState.claimed, ordering: .acquiringAndReleasing)
        if isMine { return fill(entry, key, size) }
      }
      guard settledState(of: entry) == EntryState.ready else { continue }
      let length = Int(entry.load(fromByteOffset: 16, as: UInt32.self))
      if length == key.count, key.withUnsafeBytes({ memcmp(entry + 32, $0.baseAddress!, length) }) == 0 {
        // A plugin that writes past its own region may have been here.
        let offset = Int(clamping: entry.load(fromByteOffset: 8, as: UInt64.self))
        guard offset > SharedMemory.regionsOffset, offset <= SharedMemory.byteCount - size else { return nil }
        return base + offset
      }
    }
    return nil
  }

  private func state(of entry: UnsafeMutableRawPointer) -> UnsafeMutablePointer<Atomic<UInt32>> {
    entry.assumingMemoryBound(to: Atomic<UInt32>.self)
  }

  /// The entry's state once it is no longer being filled in; that takes its writer microseconds, unless it died.
  private func settledState(of entry: UnsafeMutableRawPointer) -> UInt32 {
    for _ in 0..<200 {
      let state = state(of: entry).pointee.load(ordering: .acquiring)
      if state != EntryState.claimed { return state }
      usleep(250)
    }
    return EntryState.claimed
  }

  private func fill(_ entry: UnsafeMutableRawPointer, _ key: [UInt8], _ size: Int) -> UnsafeMutableRawPointer?
  {
    guard let offset = claim(size) else {
      state(of: entry).pointee.store(EntryState.void, ordering: .releasing)
      return nil
    }
    entry.storeBytes(of: UInt64(offset), toByteOffset: 8, as: UInt64.self)
    entry.storeBytes(of: UInt32(key.count), toByteOffset: 16, as: UInt32.self)
    key.withUnsafeBytes { (entry + 32).copyMemory(from: $0.baseAddress!, byteCount: key.count) }
    state(of: entry).pointee.store(EntryState.ready, ordering: .releasing)
    return base + offset
  }

  // MARK: Room

  /// The word before the first region counts what is taken.
  private var taken: UnsafeMutablePointer<Atomic<UInt64>> {
    (base + SharedMemory.regionsOffset).assumingMemoryBound(to: Atomic<UInt64>.self)
  }

  private static let room = byteCount - regionsOffset - 4096

  private static func fits(_ size: Int, after taken: UInt64) -> Bool {
    size <= room && taken <= UInt64(room - size)
  }

  private func hasRoom(_ size: Int) -> Bool {
    SharedMemory.fits(size, after: taken.pointee.load(ordering: .acquiring))
  }

  /// The offset of a new region; nil, with nothing taken, if it does not fit.
  private func claim(_ size: Int) -> Int? {
    var old = taken.pointee.load(ordering: .acquiring)
    while SharedMemory.fits(size, after: old) {
      let (isDone, found) = taken.pointee.compareExchange(
        expected: old, desired: old + UInt64(size), ordering: .acquiringAndReleasing)
      if isDone { return SharedMemory.regionsOffset + 4096 + Int(old) }
      old = found
    }
    return nil
  }
}

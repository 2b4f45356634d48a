import Synchronization

/// How often each plugin was called, and has faulted, since the host started: in shared memory, so that the counts go on
/// over generations, edits and crashes.
///
/// An entry belongs to a plugin's name. The supervisor gives and takes entries; whoever counts adds to them. Layout:
/// entries of sixteen words: the key, 0 for a free entry; calls; faults; roll-backs; and faults by reason.
struct PluginCountTable: @unchecked Sendable {
  struct Counts: Sendable, Equatable {
    var calls: UInt64 = 0
    var faults: UInt64 = 0
  }

  static let entryCount = 256
  private static let entryWords = 16
  private static let firstReason = 4
  private static let byteCount = entryCount * entryWords * MemoryLayout<UInt64>.size

  private let words: UnsafeMutablePointer<Atomic<UInt64>>

  /// Nil if the shared memory has no room, which only plugins can take.
  init?(_ memory: SharedMemory) {
    guard let region = memory.region("plugin-counts", count: PluginCountTable.byteCount) else { return nil }
    words = region.assumingMemoryBound(to: Atomic<UInt64>.self)
  }

  /// Of a plugin's name; never 0.
  static func key(of name: String) -> UInt64 {
    var hash = IdentityHash()
    hash.add(name.utf8)
    return hash.value | 1
  }

  // MARK: Entries; the supervisor's

  /// Makes sure that the key has an entry. False if the table is full.
  @discardableResult
  func claim(_ key: UInt64) -> Bool {
    if entry(key) != nil { return true }
    guard let free = entry(0) else { return false }
    for word in 1..<PluginCountTable.entryWords { (free + word).pointee.store(0, ordering: .relaxed) }
    free.pointee.store(key, ordering: .releasing)
    return true
  }

  /// Forgets all keys but these, once there is little room left: counts of a plugin that comes back go on.
  func keep(only keys: Set<UInt64>) {
    let free = (0..<PluginCountTable.entryCount).count {
      words[$0 * PluginCountTable.entryWords].load(ordering: .relaxed) == 0
    }
    guard free < PluginCountTable.entryCount / 4 else { return }
    for index in 0..<PluginCountTable.entryCount {
      let entry = words + index * PluginCountTable.entryWords
      let key = entry.pointee.load(ordering: .relaxed)
      if key != 0, !keys.contains(key) { entry.pointee.store(0, ordering: .releasing) }
    }
  }

  // MARK: Counts

  /// Adds to a key's counts; nothing if it has no entry. Any thread of any process; allocates nothing.
  func add(_ counts: Counts, to key: UInt64) {
    guard let entry = entry(key) else { return }
    (entry + 1).pointee.wrappingAdd(counts.calls, ordering: .relaxed)
    (entry + 2).pointee.wrappingAdd(counts.faults, ordering: .relaxed)
  }

  /// Nil if it has no entry.
  func read(_ key: UInt64) -> Counts? {
    entry(key).map {
      Counts(
        calls: ($0 + 1).pointee.load(ordering: .relaxed), faults: ($0 + 2).pointee.load(ordering: .relaxed))
    }
  }

  /// Counts a fault's reason; nothing if the key has no entry. As `add`.
  func add(_ reason: Quarantine.Reason, to key: UInt64) {
    guard let entry = entry(key), let word = PluginCountTable.word(of: reason) else { return }
    (entry + word).pointee.wrappingAdd(1, ordering: .relaxed)
  }

  /// Nil if it has no entry, or the reason is of no fault in service.
  func count(of reason: Quarantine.Reason, _ key: UInt64) -> UInt64? {
    guard let entry = entry(key), let word = PluginCountTable.word(of: reason) else { return nil }
    return (entry + word).pointee.load(ordering: .relaxed)
  }

  func addRollBack(to key: UInt64) {
    guard let entry = entry(key) else { return }
    (entry + 3).pointee.wrappingAdd(1, ordering: .relaxed)
  }

  func rollBacks(of key: UInt64) -> UInt64? { entry(key).map { ($0 + 3).pointee.load(ordering: .relaxed) } }

  /// The reasons that are counted: of faults in service.
  static let reasons: [Quarantine.Reason] = [.threw, .crashed, .hung, .exited, .tampered]

  private static func word(of reason: Quarantine.Reason) -> Int? {
    reasons.firstIndex(of: reason).map { firstReason + $0 }
  }

  private func entry(_ key: UInt64) -> UnsafeMutablePointer<Atomic<UInt64>>? {
    for index in 0..<PluginCountTable.entryCount {
      let entry = words + index * PluginCountTable.entryWords
      if entry.pointee.load(ordering: .acquiring) == key { return entry }
    }
    return nil
  }
}

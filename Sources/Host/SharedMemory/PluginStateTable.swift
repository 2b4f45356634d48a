import Glibc
import Synchronization

/// The state of every plugin in shared memory, so that it outlives generations and crashes: a quarantine goes on where
/// the dead worker left it.
///
/// An entry belongs to a key, which stands for a plugin's section and library as they are now: an edit of either is
/// another key, and with it a new start. The supervisor gives and takes entries; workers write states.
///
/// Layout: entries of 16 words. Word 0 is the key, 0 for a free entry. Then two slots of six words: sequence,
/// generation, state, since, retry time, checksum. A writer fills the slot that does not count, its checksum last. One
/// that dies midway, or two that write at once, spoil that slot only, and the other still counts: a reader takes the
/// valid one with the higher sequence.
struct PluginStateTable: @unchecked Sendable {
  /// What is kept of a plugin.
  struct Saved: Sendable, Equatable {
    var core: Quarantine.Core
    /// That wrote it.
    var generation: Int
  }

  static let entryCount = 256
  private static let entryWords = 16
  private static let slotWords = 6
  private static let byteCount = entryCount * entryWords * MemoryLayout<UInt64>.size

  private let words: UnsafeMutablePointer<Atomic<UInt64>>

  /// Nil if the shared memory has no room, which only plugins can take.
  init?(_ memory: SharedMemory) {
    guard let region = memory.region("plugin-states", count: PluginStateTable.byteCount) else { return nil }
    self.init(region)
  }

  /// - Parameter region: `byteCount` bytes, zero at first, aligned to words.
  init(_ region: UnsafeMutableRawPointer) {
    words = region.assumingMemoryBound(to: Atomic<UInt64>.self)
  }

  // MARK: Entries; the supervisor's

  /// Makes sure that the key has an entry. False if the table is full.
  func claim(_ key: UInt64) -> Bool {
    if entry(key) != nil { return true }
    guard key != 0, let free = (0..<PluginStateTable.entryCount).first(where: { load($0, 0) == 0 }) else {
      return false
    }
    for word in 1..<PluginStateTable.entryWords { store(free, word, 0) }
    words[free * PluginStateTable.entryWords].store(key, ordering: .releasing)
    return true
  }

  /// Forgets what was written for a key.
  func forget(_ key: UInt64) {
    guard let entry = entry(key) else { return }
    words[entry * PluginStateTable.entryWords].store(0, ordering: .releasing)
  }

  /// Forgets all keys but these.
  func keep(only keys: Set<UInt64>) {
    for index in 0..<PluginStateTable.entryCount {
      let key = load(index, 0)
      if key != 0, !keys.contains(key) {
        words[index * PluginStateTable.entryWords].store(0, ordering: .releasing)
      }
    }
  }

  // MARK: States

  /// The latest state; nil if none was written.
  func read(_ key: UInt64) -> Saved? {
    guard let entry = entry(key) else { return nil }
    return latest(entry, key)?.saved
  }

  /// Writes a state, unless a later generation has written already. One thread of a process at a time.
  ///
  /// - Parameter limit: how many words to write before dying, for tests.
  func write(_ core: Quarantine.Core, key: UInt64, generation: Int, dyingAfter limit: Int = .max) {
    guard let entry = entry(key) else { return }
    let current = latest(entry, key)
    if let current, current.saved.generation > generation { return }
    let slot = current.map { 1 - $0.slot } ?? 0
    let base = 1 + slot * PluginStateTable.slotWords
    let fields = PluginStateTable.pack(core, generation, sequence: (current?.sequence ?? 0) &+ 1)
    var left = limit
    func put(_ word: Int, _ value: UInt64) {
      guard left > 0 else { return }
      left -= 1
      words[entry * PluginStateTable.entryWords + base + word].store(value, ordering: .releasing)
    }
    put(5, 0)
    for (word, value) in fields.enumerated() { put(word, value) }
    put(5, PluginStateTable.checksum(fields, key))
  }

  private func latest(_ entry: Int, _ key: UInt64) -> (saved: Saved, sequence: UInt64, slot: Int)? {
    var before = look(entry, key)
    // What is written meanwhile can make a look miss the newest, and see an older one that is overwritten just then.
    // Two looks that agree have not missed it; a dead writer's slot stays spoilt, and they agree at once.
    for _ in 0..<8 {
      let now = look(entry, key)
      if now?.sequence == before?.sequence { return now }
      before = now
    }
    return before
  }

  private func look(_ entry: Int, _ key: UInt64) -> (saved: Saved, sequence: UInt64, slot: Int)? {
    var best: (saved: Saved, sequence: UInt64, slot: Int)?
    for slot in 0..<2 {
      let base = 1 + slot * PluginStateTable.slotWords
      let checksum = load(entry, base + 5)
      let fields = (0..<5).map { load(entry, base + $0) }
      guard checksum == PluginStateTable.checksum(fields, key), let saved = PluginStateTable.unpack(fields)
      else {
        continue
      }
      if best.map({ fields[0] > $0.sequence }) ?? true { best = (saved, fields[0], slot) }
    }
    return best
  }

  private func entry(_ key: UInt64) -> Int? {
    guard key != 0 else { return nil }
    return (0..<PluginStateTable.entryCount).first { load($0, 0) == key }
  }

  private func load(_ entry: Int, _ word: Int) -> UInt64 {
    words[entry * PluginStateTable.entryWords + word].load(ordering: .acquiring)
  }

  private func store(_ entry: Int, _ word: Int, _ value: UInt64) {
    words[entry * PluginStateTable.entryWords + word].store(value, ordering: .releasing)
  }
}

// MARK: A slot's words

extension PluginStateTable {
  private static func pack(_ core: Quarantine.Core, _ generation: Int, sequence: UInt64) -> [UInt64] {
    let state = UInt64(Quarantine.State.allCases.firstIndex(of: core.state) ?? 0)
    let reason =
      core.reason.flatMap { Quarantine.Reason.allCases.firstIndex(of: $0) }.map { UInt64($0) + 1 } ?? 0
    let streak = UInt64(UInt32(clamping: core.streak))
    let retry: UInt64 = core.retryAt == nil ? 0 : 1
    return [
      sequence, UInt64(generation), state | reason << 8 | retry << 16 | streak << 32, core.since,
      core.retryAt ?? 0,
    ]
  }

  private static func unpack(_ fields: [UInt64]) -> Saved? {
    let states = Quarantine.State.allCases
    let reasons = Quarantine.Reason.allCases
    let state = Int(fields[2] & 0xff)
    let reason = Int(fields[2] >> 8 & 0xff)
    guard fields[0] != 0, state < states.count, reason <= reasons.count,
      let generation = Int(exactly: fields[1])
    else {
      return nil
    }
    let core = Quarantine.Core(
      state: states[state], reason: reason == 0 ? nil : reasons[reason - 1], since: fields[3],
      retryAt: fields[2] >> 16 & 1 == 0 ? nil : fields[4], streak: Int(fields[2] >> 32))
    return Saved(core: core, generation: generation)
  }

  private static func checksum(_ fields: [UInt64], _ key: UInt64) -> UInt64 {
    var hash = IdentityHash()
    hash.add(word: key)
    for field in fields { hash.add(word: field) }
    return hash.value | 1
  }
}

/// One plugin's entry as its worker writes it.
struct PluginStateCell: Sendable {
  let table: PluginStateTable
  let key: UInt64
  let generation: Int

  /// One thread at a time.
  func write(_ core: Quarantine.Core) { table.write(core, key: key, generation: generation) }
  func read() -> PluginStateTable.Saved? { table.read(key) }
}

/// FNV-1a in 64 bits: for telling things apart that nobody wants to collide.
struct IdentityHash: Sendable {
  private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

  mutating func add(_ bytes: some Sequence<UInt8>) {
    for byte in bytes { value = (value ^ UInt64(byte)) &* 0x100_0000_01b3 }
  }

  mutating func add(word: UInt64) {
    for shift in stride(from: UInt64(0), to: 64, by: 8) {
      add(CollectionOfOne(UInt8(truncatingIfNeeded: word >> shift)))
    }
  }
}

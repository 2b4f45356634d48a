import Synchronization

/// The table's memory: shared by all loops, by the generations before and after, and left as it stands by a
/// crash.
///
/// This is the one file that touches it. Invariants:
/// - Every change of an entry is one 16-byte compare-and-exchange of its key and time together. So whoever
///   dies, and wherever, leaves no entry half written, and no lock.
/// - `Atomic<WordPair>` and `Atomic<UInt64>` are laid out as their values are (SE-0410). An entry's halves
///   are also read alone, since a 16-byte load costs a locked instruction on x86; two halves that belong to
///   different states are found out by the exchange that follows, which then fails.
/// - The region is zero when first made, and its layout's version is in its name.
///
/// ```
/// 0    hash key (16 bytes, 0 until the first start)
/// 16   how many entries have ever been placed (8 bytes)
/// 64   shared entries, one a limit
/// …    the entries, four a cache line
/// ```
struct CounterMemory: @unchecked Sendable {
  // Invariant of Sendable: every access is atomic, and the memory lives as long as the process.
  private let base: UnsafeMutableRawPointer

  /// Of the layout above: a change of it needs another.
  static let layout = "counters/1"
  static let sharedEntryCount = 32
  private static let headerByteCount = 64
  private static let entryByteCount = 16

  /// For `entryCount` entries, and the shared ones.
  static func byteCount(entryCount: Int) -> Int {
    headerByteCount + (sharedEntryCount + entryCount) * entryByteCount
  }

  /// - Parameter region: `byteCount(entryCount:)` bytes, aligned to 16, for the life of the process.
  init(region: UnsafeMutableRawPointer) { base = region }

  /// The key of the hash: the first process that asks brings it, and all others take it over.
  func hashKey(orFirst fresh: (UInt64, UInt64)) -> (UInt64, UInt64) {
    let (_, found) = pair(at: base).pointee.compareExchange(
      expected: WordPair(first: 0, second: 0),
      // Never zero, which stands for none.
      desired: WordPair(first: UInt(fresh.0 | 1), second: UInt(fresh.1)), ordering: .sequentiallyConsistent)
    return found.first == 0 ? (fresh.0 | 1, fresh.1) : (UInt64(found.first), UInt64(found.second))
  }

  /// A number that no one has had before, in any process.
  func nextPlacement() -> UInt64 {
    word(at: base + 16).pointee.wrappingAdd(1, ordering: .relaxed).newValue
  }

  /// An entry: whose it is, and a time. `{0, 0}` until first used.
  struct Entry: Equatable {
    var key: UInt64
    var time: UInt64
  }

  /// Where an entry lies. Shared entries come first.
  struct Place: Equatable {
    fileprivate let offset: Int

    static func shared(_ index: Int) -> Place {
      Place(offset: headerByteCount + index * entryByteCount)
    }

    static func entry(_ index: Int) -> Place {
      Place(offset: headerByteCount + (sharedEntryCount + index) * entryByteCount)
    }
  }

  @inline(__always)
  func key(at place: Place) -> UInt64 {
    word(at: base + place.offset).pointee.load(ordering: .sequentiallyConsistent)
  }

  @inline(__always)
  func time(at place: Place) -> UInt64 {
    word(at: base + place.offset + 8).pointee.load(ordering: .sequentiallyConsistent)
  }

  /// Both halves as they stood at one instant.
  func entry(at place: Place) -> Entry {
    let found = pair(at: base + place.offset).pointee.load(ordering: .sequentiallyConsistent)
    return Entry(key: UInt64(found.first), time: UInt64(found.second))
  }

  /// Replaces `old` by `new`; false if the entry is not `old` any more.
  @inline(__always)
  func exchange(at place: Place, _ old: Entry, for new: Entry) -> Bool {
    pair(at: base + place.offset).pointee.compareExchange(
      expected: WordPair(first: UInt(old.key), second: UInt(old.time)),
      desired: WordPair(first: UInt(new.key), second: UInt(new.time)), ordering: .sequentiallyConsistent
    ).exchanged
  }

  @inline(__always)
  private func pair(at address: UnsafeMutableRawPointer) -> UnsafeMutablePointer<Atomic<WordPair>> {
    address.assumingMemoryBound(to: Atomic<WordPair>.self)
  }

  @inline(__always)
  private func word(at address: UnsafeMutableRawPointer) -> UnsafeMutablePointer<Atomic<UInt64>> {
    address.assumingMemoryBound(to: Atomic<UInt64>.self)
  }
}

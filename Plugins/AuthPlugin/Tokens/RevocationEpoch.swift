import Synchronization

/// A count of revocations in memory that all generations share: whoever finds it changed reads the list again.
///
/// Invariants: the region is zero when first made and lives as long as the process; `Atomic<UInt64>` is laid out as its
/// value is (SE-0410), and nothing else is in the region.
struct RevocationEpoch: @unchecked Sendable {
  static let regionName = "revocations/1"
  static let regionByteCount = 64

  private let counter: UnsafeMutablePointer<Atomic<UInt64>>

  init(region: UnsafeMutableRawPointer) {
    counter = region.assumingMemoryBound(to: Atomic<UInt64>.self)
  }

  var value: UInt64 { counter.pointee.load(ordering: .acquiring) }

  /// - Returns: the count before.
  func advance() -> UInt64 { counter.pointee.wrappingAdd(1, ordering: .acquiringAndReleasing).oldValue }
}

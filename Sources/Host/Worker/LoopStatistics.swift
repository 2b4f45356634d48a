import Synchronization

/// Counts of one loop; written by its thread, read by any.
final class LoopStatistics: Sendable {
  let open = Atomic<Int>(0)
  let accepted = Atomic<UInt64>(0)
  /// By the status's first digit, 1 to 5.
  let responses1 = Atomic<UInt64>(0)
  let responses2 = Atomic<UInt64>(0)
  let responses3 = Atomic<UInt64>(0)
  let responses4 = Atomic<UInt64>(0)
  let responses5 = Atomic<UInt64>(0)
  let refused = Atomic<UInt64>(0)
  let latency = Histogram(isShared: false)

  func count(status: UInt32) {
    switch status / 100 {
    case 1: responses1.wrappingAdd(1, ordering: .relaxed)
    case 2: responses2.wrappingAdd(1, ordering: .relaxed)
    case 3: responses3.wrappingAdd(1, ordering: .relaxed)
    case 4: responses4.wrappingAdd(1, ordering: .relaxed)
    default: responses5.wrappingAdd(1, ordering: .relaxed)
    }
  }

  /// Responses by class, from 1xx to 5xx.
  var responses: [UInt64] {
    [
      responses1.load(ordering: .relaxed), responses2.load(ordering: .relaxed),
      responses3.load(ordering: .relaxed), responses4.load(ordering: .relaxed),
      responses5.load(ordering: .relaxed),
    ]
  }
}

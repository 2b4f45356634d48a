import SQL

/// How many password hashes are computed at once: each takes tens of megabytes, and a core for a tenth of a second. Any
/// thread that may block.
final class HashingTurns: Sendable {
  /// None became free in time.
  struct Busy: Error {}

  private let free: Monitor<Int>

  init(count: Int) {
    free = Monitor(count)
  }

  /// - Throws: `Busy` if it is nobody's turn to end within `limit`; and what `body` throws.
  func withTurn<R>(within limit: Duration, _ body: () throws -> R) throws -> R {
    try free.wait(
      milliseconds: Int32(clamping: limit.milliseconds), until: { $0 > 0 }, then: { $0 -= 1 }, orThrow: Busy()
    )
    defer { free.update { $0 += 1 } }
    return try body()
  }
}

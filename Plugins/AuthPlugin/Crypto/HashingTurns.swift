import Glibc

// Unsafe memory: the semaphore is made once and destroyed in deinit, when nobody can be waiting, since a waiter holds a
// reference.

/// How many password hashes are computed at once: each takes tens of megabytes, and a core for a tenth of a second. Any
/// thread that may block.
final class HashingTurns: @unchecked Sendable {
  /// None became free in time.
  struct Busy: Error {}

  private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

  init(count: Int) {
    sem_init(semaphore, 0, UInt32(count))
  }

  deinit {
    sem_destroy(semaphore)
    semaphore.deallocate()
  }

  /// - Throws: `Busy` if it is nobody's turn to end within `limit`; and what `body` throws.
  func withTurn<R>(within limit: Duration, _ body: () throws -> R) throws -> R {
    var deadline = timespec()
    clock_gettime(CLOCK_REALTIME, &deadline)
    let (seconds, attoseconds) = max(limit, .zero).components
    let nanoseconds = deadline.tv_nsec + Int(attoseconds / 1_000_000_000)
    deadline.tv_sec += Int(seconds) + nanoseconds / 1_000_000_000
    deadline.tv_nsec = nanoseconds % 1_000_000_000
    while sem_timedwait(semaphore, &deadline) != 0 {
      guard errno == EINTR else { throw Busy() }
    }
    defer { sem_post(semaphore) }
    return try body()
  }
}

import Foundation
import Synchronization

/// Runs `body` on `count` threads at once, and gathers what each returns or throws.
///
/// Threads of its own: tests that wait for answers must not wait for each other.
func crowd<Value: Sendable>(_ count: Int, _ body: @escaping @Sendable (Int) throws -> Value) -> [Result<
  Value, any Error
>] {
  let results = Mutex<[Int: Result<Value, any Error>]>([:])
  let group = DispatchGroup()
  for index in 0..<count {
    group.enter()
    Thread.detachNewThread {
      let result = Result { try body(index) }
      results.withLock { $0[index] = result }
      group.leave()
    }
  }
  group.wait()
  return results.withLock { all in (0..<count).compactMap { all[$0] } }
}

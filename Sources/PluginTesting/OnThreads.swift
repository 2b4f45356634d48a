import Foundation

/// Runs `body` on `count` threads at once, and hands out what each returned, in the order of their numbers.
///
/// Each call has a thread of its own from the start, so that they may wait for each other; calls that share the threads of
/// a pool run one after the other when it is busy, and wait for ever.
///
/// - Parameters:
///   - count: how many threads.
///   - body: is given the thread's number, from 0.
/// - Throws: what the first of them threw, after all have ended.
@discardableResult
public func onThreads<R, E: Error>(_ count: Int, _ body: (Int) throws(E) -> R) throws(E) -> [R] {
  // Each thread writes its own; nobody reads before all have left the group.
  nonisolated(unsafe) let results = UnsafeMutableBufferPointer<Result<R, E>?>.allocate(capacity: count)
  results.initialize(repeating: nil)
  defer {
    results.deinitialize()
    results.deallocate()
  }
  let group = DispatchGroup()
  withoutActuallyEscaping(body) { body in
    withUnsafePointer(to: body) { body in
      // By its address: a thread lets go of what it holds itself only after it has left the group.
      nonisolated(unsafe) let body = body
      for index in 0..<count {
        group.enter()
        Thread {
          results[index] = Result { () throws(E) in try body.pointee(index) }
          group.leave()
        }.start()
      }
      group.wait()
    }
  }
  var values: [R] = []
  for case let result? in results { values.append(try result.get()) }
  return values
}

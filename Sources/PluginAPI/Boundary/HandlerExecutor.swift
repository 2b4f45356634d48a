import Glibc
import Synchronization

/// Runs an async handler on the thread that calls it, a job after the other; while there is none, the thread waits.
///
/// A task executor (SE-0417): the tasks below the handler's, and the actors that they call, prefer it too. One is never
/// freed, but used again: an actor may hand it a job when the handler that it was taken for has returned.
final class HandlerExecutor: TaskExecutor, @unchecked Sendable {
  private struct State {
    /// Whether a thread is in `run`.
    var isDriven = false
    var jobs: [UnownedJob] = []
  }

  private static let spare = Mutex<[HandlerExecutor]>([])

  private let state = Mutex(State())
  /// Posted once for each job.
  private let arrival = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

  private init() { sem_init(arrival, 0, 0) }

  /// The response of `handler`, or what it throws.
  static func respond(to request: borrowing Request, _ handler: @escaping Routes.AsyncHandler) throws
    -> Response
  {
    // Lent for as long as this call lasts, as the handler's task does.
    nonisolated(unsafe) let (raw, exchange) = (request.raw, request.exchange)
    let services = request.services
    nonisolated(unsafe) var result: Result<Response, any Error> = .failure(CancellationError())
    let executor = spare.withLock { $0.popLast() } ?? HandlerExecutor()
    executor.run {
      do {
        result = .success(try await handler(Request(raw: raw, exchange: exchange, services: services)))
      } catch {
        result = .failure(error)
      }
    }
    spare.withLock { $0.append(executor) }
    return try result.get()
  }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    let isDriven = state.withLock { state in
      if state.isDriven { state.jobs.append(job) }
      return state.isDriven
    }
    if isDriven {
      sem_post(arrival)
    } else {
      globalConcurrentExecutor.enqueue(job)
    }
  }

  /// Returns when the operation has, and no job is left.
  private func run(_ operation: @escaping @Sendable () async -> Void) {
    state.withLock { $0.isDriven = true }
    // Read and written on this thread alone: the task's own code runs nowhere else.
    nonisolated(unsafe) var isOver = false
    Task(executorPreference: self) {
      await operation()
      isOver = true
    }
    repeat {
      while sem_wait(arrival) != 0 {}  // EINTR
      let job = state.withLock { $0.jobs.removeFirst() }
      job.runSynchronously(on: asUnownedTaskExecutor())
    } while !(isOver && rest())
  }

  /// False if there are jobs to be run.
  private func rest() -> Bool {
    state.withLock { state in
      state.isDriven = !state.jobs.isEmpty
      return !state.isDriven
    }
  }
}

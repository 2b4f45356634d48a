import Glibc
import Synchronization

/// One remote service: a client that tries again, and stops asking while nobody answers. Any thread.
public final class HTTPService: Sendable {
  /// What operators want to know of it.
  public enum Event: Sendable, Equatable {
    /// One request was sent; `isFailure` if it counts against the service.
    case attempt(isFailure: Bool)
    /// It is sent again, `attempt` times so far.
    case retry(attempt: Int, wait: Duration, reason: String)
    case breaker(from: CircuitBreaker.State.Name, to: CircuitBreaker.State.Name, reason: String)
  }

  /// The service was not asked, since it has not answered lately.
  public struct Unavailable: Error, Equatable, CustomStringConvertible {
    /// When it may be asked again.
    public let retryAfter: Duration
    public var description: String { "not asked: it has not answered lately" }
  }

  /// Where time comes from, and passes; a test brings its own.
  public struct Time: Sendable {
    /// Milliseconds of a monotonic clock.
    public var now: @Sendable () -> Int64
    /// Lets that many milliseconds pass, at most 50.
    public var pause: @Sendable (Int64) -> Void

    public init(now: @escaping @Sendable () -> Int64, pause: @escaping @Sendable (Int64) -> Void) {
      self.now = now
      self.pause = pause
    }

    public static let system = Time(
      now: {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
      },
      pause: { milliseconds in usleep(UInt32(clamping: milliseconds * 1000)) })
  }

  /// Sends one request, once.
  public typealias Sender =
    @Sendable (_ request: ClientRequest, _ limit: Duration, _ checkpoint: () throws -> Void) throws ->
    ClientResponse

  private let retry: RetryPolicy
  private let breaker: Mutex<CircuitBreaker>
  private let time: Time
  private let send: Sender
  private let observe: @Sendable (Event) -> Void

  /// - Parameters:
  ///   - send: What sends; `HTTPClient.send` in earnest.
  ///   - observe: Told of each event, on the thread that sends. Must not throw or wait.
  public init(
    retry: RetryPolicy, breaker: CircuitBreaker.Policy, time: Time = .system, send: @escaping Sender,
    observe: @escaping @Sendable (Event) -> Void = { _ in }
  ) {
    self.retry = retry
    self.breaker = Mutex(CircuitBreaker(breaker))
    self.time = time
    self.send = send
    self.observe = observe
  }

  public convenience init(
    _ client: HTTPClient, retry: RetryPolicy, breaker: CircuitBreaker.Policy,
    observe: @escaping @Sendable (Event) -> Void = { _ in }
  ) {
    self.init(
      retry: retry, breaker: breaker,
      send: { try client.send($0, within: $1, checkpoint: $2) }, observe: observe)
  }

  /// How the breaker stands.
  public var state: CircuitBreaker.State { breaker.withLock { $0.state } }

  /// Sends a request, and again while that may help, the request is repeatable and there is time.
  ///
  /// - Parameters:
  ///   - limit: The time for all attempts and the waits between them.
  ///   - checkpoint: Called at least every 50 ms; what it throws ends the request, and is not held against the
  ///     service.
  /// - Returns: The last answer, also one with a status of an error.
  /// - Throws: `Unavailable`, `HTTPClientError` of the last attempt, and what `checkpoint` throws. `wasSent` of the
  ///   error is true if any attempt may have arrived.
  public func send(
    _ request: ClientRequest, within limit: Duration, checkpoint: () throws -> Void = {}
  ) throws -> ClientResponse {
    let end = time.now() + Int64(limit.milliseconds)
    var mayHaveArrived = false
    var attempt = 1
    while true {
      let outcome: Result<ClientResponse, HTTPClientError>
      do {
        outcome = try once(request, until: end, checkpoint)
      } catch let error as Unavailable where mayHaveArrived {
        // The breaker opened between attempts: what was sent before may still have had an effect.
        throw HTTPClientError(.unreachable, error.description, wasSent: true)
      }
      let reason: String
      let retryAfter: Duration?
      switch outcome {
      case .success(let response):
        guard RetryPolicy.isTransient(status: response.status) else { return response }
        (reason, retryAfter) = ("status \(response.status)", response.retryAfter)
        mayHaveArrived = true
      case .failure(let error):
        (reason, retryAfter) = (error.description, nil)
        mayHaveArrived = mayHaveArrived || error.wasSent
        guard error.isTransient else { return try final(outcome, mayHaveArrived) }
      }
      guard request.isRepeatable,
        let wait = retry.wait(after: attempt, retryAfter: retryAfter, random: .random(in: 0..<1)),
        time.now() + Int64(wait.milliseconds) < end
      else { return try final(outcome, mayHaveArrived) }
      observe(.retry(attempt: attempt, wait: wait, reason: reason))
      try pause(wait, checkpoint)
      attempt += 1
    }
  }

  private func final(
    _ outcome: Result<ClientResponse, HTTPClientError>, _ mayHaveArrived: Bool
  ) throws(HTTPClientError) -> ClientResponse {
    switch outcome {
    case .success(let response): return response
    case .failure(let error):
      throw HTTPClientError(error.kind, error.message, wasSent: mayHaveArrived)
    }
  }

  /// Lets time pass, and asks now and then whether to go on.
  public func pause(_ duration: Duration, _ checkpoint: () throws -> Void) throws {
    let end = time.now() + Int64(duration.milliseconds)
    while true {
      try checkpoint()
      let left = end - time.now()
      guard left > 0 else { return }
      time.pause(min(left, 50))
    }
  }

  /// One attempt, with leave of the breaker.
  private func once(
    _ request: ClientRequest, until end: Int64, _ checkpoint: () throws -> Void
  ) throws -> Result<ClientResponse, HTTPClientError> {
    let permit: CircuitBreaker.Permit
    switch change("its time was up", { $0.admit(at: time.now()) }) {
    case .refused(let wait): throw Unavailable(retryAfter: .milliseconds(wait))
    case .admitted(let given): permit = given
    }
    do {
      let limit = Duration.milliseconds(max(1, end - time.now()))
      let response = try send(request, limit, checkpoint)
      let isFailure = response.status >= 500
      observe(.attempt(isFailure: isFailure))
      change("status \(response.status)") { breaker in
        if isFailure { breaker.fail(permit, at: time.now()) } else { breaker.succeed(permit) }
      }
      return .success(response)
    } catch let error as HTTPClientError {
      observe(.attempt(isFailure: error.isTransient || error.kind == .insecure))
      change(error.description) { breaker in
        switch error.kind {
        case .timedOut, .unreachable, .broken, .insecure: breaker.fail(permit, at: time.now())
        // It is there, if not as we would have it.
        case .tooLarge, .malformed, .redirected: breaker.succeed(permit)
        case .invalid: breaker.withdraw(permit, at: time.now())
        }
      }
      return .failure(error)
    } catch {
      change("given up") { $0.withdraw(permit, at: time.now()) }
      throw error
    }
  }

  @discardableResult
  private func change<R: Sendable>(
    _ reason: String, _ body: (inout sending CircuitBreaker) -> sending R
  ) -> R {
    let (result, before, after) = breaker.withLock { breaker in
      let before = breaker.state.name
      let result = body(&breaker)
      return (result, before, breaker.state.name)
    }
    if before != after { observe(.breaker(from: before, to: after, reason: reason)) }
    return result
  }
}

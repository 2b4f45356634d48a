import HTTPClient
import PluginAPI

/// What operators see of a provider, at `/metrics` and in the log.
struct ProviderMetrics: Sendable {
  private let requests: Counter
  private let failures: Counter
  private let retries: Counter
  private let breaker: Gauge

  /// [main, during start]
  init(_ host: Host, name: String) {
    requests = host.counter(
      "\(name)_provider_requests_total", help: "Requests to the \(name) provider, retries included.")
    failures = host.counter(
      "\(name)_provider_failures_total", help: "Requests to the \(name) provider without a proper answer.")
    retries = host.counter(
      "\(name)_provider_retries_total", help: "Requests that were sent to the \(name) provider again.")
    breaker = host.gauge(
      "\(name)_provider_breaker", help: "0: asked as usual; 1: being probed; 2: not asked for a while.")
    breaker.set(0)
  }

  func observe(_ event: HTTPService.Event, of name: String, host: Host) {
    switch event {
    case .attempt(let isFailure):
      requests.add()
      if isFailure { failures.add() }
    case .retry(let attempt, let wait, let reason):
      retries.add()
      host.log(.debug, "\(name) provider: \(reason); retry \(attempt) in \(wait)")
    case .breaker(_, let state, let reason):
      switch state {
      case .closed:
        breaker.set(0)
        host.log(.info, "the \(name) provider answers again: breaker closed")
      case .halfOpen:
        breaker.set(1)
        host.log(.info, "the \(name) provider is asked once: breaker half-open")
      case .open:
        breaker.set(2)
        host.log(.warning, "the \(name) provider is not asked for a while: breaker open (\(reason))")
      }
    }
  }
}

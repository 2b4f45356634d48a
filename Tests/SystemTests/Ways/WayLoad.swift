import Foundation
import PluginTesting
import Synchronization

/// Eight clients on keep-alive connections that ask for other routes and for `/health` all the time, and count what they
/// lose.
final class WayLoad: Sendable {
  /// What became of the requests of one case.
  struct Period: Sendable {
    var served = 0
    /// Answers that say to come again, in another plugin's place, while no worker has started.
    var starting = 0
    /// Connections that broke under a request.
    var broken: [String] = []
    /// Connections that were refused.
    var refused = 0
    /// Any other answer than 2xx, and whatever is no answer.
    var lost: [String] = []
    /// The longest wait, in milliseconds.
    var health = 0
    var other = 0
  }

  private struct State {
    var isOver = false
    var period = Period()
  }

  static let targets = [
    "/health", "/health", "/other/echo", "/other/echo", "/other/blocking", "/other/async", "/plain/hello",
    "/plain/items/7",
  ]

  private let state = Mutex(State())
  private let group = DispatchGroup()

  init(on endpoint: Endpoint) {
    for target in WayLoad.targets {
      group.enter()
      Thread.detachNewThread { [self] in
        run(endpoint, target)
        group.leave()
      }
    }
  }

  private func run(_ endpoint: Endpoint, _ target: String) {
    var connection: HTTPConnection?
    var since = ContinuousClock.now
    while !state.withLock({ $0.isOver }) {
      do {
        let open = try connection ?? HTTPConnection(endpoint, timeout: .seconds(10))
        connection = open
        let answer = try open.request("GET", target)
        note(answer, to: target, after: .now - since)
        if answer.header("Connection")?.lowercased() == "close" { connection = nil }
        usleep(10_000)
        since = .now
      } catch {
        note(error, of: target, hadConnected: connection != nil, after: .now - since)
        connection = nil
        usleep(20_000)
        // A request that was lost in one way is not lost again in another.
        if case HarnessError.timedOut = error { since = .now }
      }
    }
  }

  private func note(_ answer: HTTPResponse, to target: String, after time: Duration) {
    let milliseconds = Int(time / .milliseconds(1))
    state.withLock {
      if target == "/health" {
        $0.period.health = max($0.period.health, milliseconds)
      } else {
        $0.period.other = max($0.period.other, milliseconds)
      }
      if (200...299).contains(answer.status) {
        $0.period.served += 1
      } else if answer.status == 503, answer.json["code"].string == "starting" {
        $0.period.starting += 1
      } else {
        $0.period.lost.append("\(target): \(answer.status) \(answer.json["code"].string ?? answer.text)")
      }
    }
  }

  private func note(_ error: any Error, of target: String, hadConnected: Bool, after time: Duration) {
    state.withLock {
      if target == "/health" { $0.period.health = max($0.period.health, Int(time / .milliseconds(1))) }
      switch error {
      case HarnessError.reset, HarnessError.closed: $0.period.broken.append("\(target): \(error)")
      case HarnessError.system where !hadConnected: $0.period.refused += 1
      default: $0.period.lost.append("\(target): \(error)")
      }
    }
  }

  /// What became of them since this was last called.
  func take() -> Period {
    state.withLock { state in
      defer { state.period = Period() }
      return state.period
    }
  }

  /// Waits until each client has been answered, or a moment is over.
  func settle() {
    // Whoever is not answered by then is judged with the case.
    try? wait("answers", within: .seconds(3)) { isServed }  // lint: allow
  }

  private var isServed: Bool { state.withLock { $0.period.served >= 2 * WayLoad.targets.count } }

  func end() {
    state.withLock { $0.isOver = true }
    group.wait()
  }
}

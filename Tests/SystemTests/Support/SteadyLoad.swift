import Foundation
import PluginTesting
import Synchronization

/// Clients that go on asking while a test does its worst, and whatever went wrong for any of them.
final class SteadyLoad: Sendable {
  private struct State {
    var isOver = false
    var served = 0
    var failures: [String] = []
  }

  private let state = Mutex(State())
  private let group = DispatchGroup()

  /// One client's turn on its connection; throws, or answers what was wrong.
  typealias Turn = @Sendable (HTTPConnection) throws -> String?

  /// Starts `count` clients for each of `turns`, with a keep-alive connection each.
  init(on endpoint: Endpoint, clients count: Int, turns: [Turn]) throws {
    for (kind, turn) in turns.enumerated() {
      for _ in 0..<count {
        let connection = try HTTPConnection(endpoint)
        group.enter()
        nonisolated(unsafe) let own = connection
        Thread.detachNewThread { [self] in
          run(own, kind, turn)
          group.leave()
        }
      }
    }
  }

  private func run(_ connection: HTTPConnection, _ kind: Int, _ turn: Turn) {
    while !state.withLock({ $0.isOver }) {
      let wrong: String?
      do { wrong = try turn(connection) } catch { wrong = "\(error)" }
      state.withLock {
        if let wrong { $0.failures.append("turn \(kind): \(wrong)") } else { $0.served += 1 }
      }
      if wrong != nil { return }
    }
  }

  /// Ends the clients. How many turns went well, and what went wrong.
  func end() -> (served: Int, failures: [String]) {
    state.withLock { $0.isOver = true }
    group.wait()
    return state.withLock { ($0.served, $0.failures) }
  }

  // MARK: Turns

  /// One request, answered 200, on a connection that stays open.
  static func get(_ target: String) -> Turn {
    { connection in
      let answer = try connection.request("GET", target)
      if answer.status != 200 { return "\(target) answered \(answer.status): \(answer.text)" }
      if answer.header("Connection")?.lowercased() == "close" { return "\(target) closes the connection" }
      // A breath, lest a few clients take the whole machine.
      usleep(2000)
      return nil
    }
  }

  /// Eight requests in one write, answered in order.
  static func pipelined(_ target: String) -> Turn {
    { connection in
      try connection.send(String(repeating: "GET \(target) HTTP/1.1\r\nHost: a\r\n\r\n", count: 8))
      for _ in 0..<8 {
        let answer = try connection.receive()
        if answer.status != 200 { return "pipelined \(target) answered \(answer.status)" }
      }
      usleep(2000)
      return nil
    }
  }

  /// A body that trickles in, and comes back whole.
  static func slowUpload(_ target: String) -> Turn {
    { connection in
      try connection.send("POST \(target) HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\n")
      for _ in 0..<4 {
        try connection.send("0123456789")
        usleep(15_000)
      }
      let answer = try connection.receive(to: "POST")
      if answer.status != 200 { return "upload to \(target) answered \(answer.status)" }
      let body = String(repeating: "0123456789", count: 4)
      return answer.json["body"].string == body ? nil : "upload to \(target) came back as \(answer.text)"
    }
  }
}

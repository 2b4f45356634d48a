import Foundation
import PluginTesting
import Synchronization

/// Clients that go on asking on keep-alive connections, and hold each answer against what was served before. A worker that a
/// test kills takes its connections with it, and nothing else may.
final class WatchfulLoad: Sendable {
  /// Answers what is wrong with an answer; nil if nothing is.
  typealias Judge = @Sendable (HTTPResponse) -> String?

  struct Question: Sendable {
    var target: String
    var judge: Judge
  }

  private struct State {
    var isOver = false
    var served = 0
    var broken = 0
    var waits = 0
    var kills = 0
    /// A worker was killed, and none has served since.
    var isDark = false
    /// What the test does now.
    var step = ""
    var failures: [String] = []
  }

  private let state = Mutex(State())
  private let group = DispatchGroup()

  /// Starts a client for each question.
  init(on endpoint: Endpoint, asking questions: [Question]) throws {
    for question in questions {
      let connection = try HTTPConnection(endpoint)
      group.enter()
      nonisolated(unsafe) let own = connection
      Thread.detachNewThread { [self] in
        run(own, endpoint, question)
        group.leave()
      }
    }
  }

  private func run(_ first: HTTPConnection, _ endpoint: Endpoint, _ question: Question) {
    var connection = first
    var kills = state.withLock { $0.kills }
    while !state.withLock({ $0.isOver }) {
      do {
        let answer = try connection.request("GET", question.target, headers: [("Origin", Origin.own)])
        guard note(answer, to: question) else { return }
        // A breath, lest a few clients take the whole machine.
        usleep(3000)
      } catch {
        let isByKill = state.withLock { state in
          defer { kills = state.kills }
          if state.kills > kills { state.broken += 1 }
          return state.kills > kills
        }
        guard isByKill else { return fail("\(question.target): \(error)") }
        do { connection = try HTTPConnection(endpoint) } catch {
          return fail("\(question.target): connecting again after a kill: \(error)")
        }
      }
    }
  }

  /// False if the answer is not as before.
  private func note(_ answer: HTTPResponse, to question: Question) -> Bool {
    // Nobody serves: a client is told to try again if the next worker takes long to start.
    let isWait = answer.status == 503 && answer.json["code"].string == "starting"
    let isAllowed = state.withLock { state in
      if isWait, state.isDark { state.waits += 1 }
      return isWait && state.isDark
    }
    if isAllowed { return true }
    if let wrong = question.judge(answer) {
      fail(
        "\(question.target) is answered \(answer.status): \(wrong): \(answer.headers) \(answer.text)")
      return false
    }
    state.withLock { $0.served += 1 }
    return true
  }

  private func fail(_ what: String) {
    state.withLock { $0.failures.append("in step \($0.step): \(what)") }
  }

  /// What the test does from now on.
  func enter(step: String) { state.withLock { $0.step = step } }

  /// The test is about to kill the worker.
  func expectBrokenConnections() {
    state.withLock {
      $0.kills += 1
      $0.isDark = true
    }
  }

  /// The next worker serves.
  func expectAnswers() { state.withLock { $0.isDark = false } }

  var failures: [String] { state.withLock { $0.failures } }

  /// Ends the clients, and counts: answers as before, connections that a kill has broken, and answers to try again after one.
  func end() -> (served: Int, broken: Int, waits: Int) {
    state.withLock { $0.isOver = true }
    group.wait()
    return state.withLock { ($0.served, $0.broken, $0.waits) }
  }
}

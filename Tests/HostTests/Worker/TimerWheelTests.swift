import Foundation
import Testing

@testable import bulkhead

@Suite("Timer wheel")
struct TimerWheelTests {
  private static let tick: UInt64 = 100_000_000

  /// Connections that no loop watches; their wheel is the test's.
  private final class Fixture {
    let host: TestHost
    init() throws { host = try TestHost() }

    func connection() throws -> Connection {
      var pair: [Int32] = [-1, -1]
      guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair) == 0 else {
        throw TestFailure("socketpair")
      }
      close(pair[0])
      close(pair[1])
      return Connection(FileDescriptor(raw: -1), Peer.unix(), isTCP: false, loop: host.worker.loops[0])
    }
  }

  @Test(
    "random deadlines, moved and removed: each passes once its time has come, never before, and no more than two ticks late"
  )
  func walk() throws {
    let fixture = try Fixture()
    let seed = UInt64.random(in: 0 ... .max)
    print("seed \(seed)")
    var random = SplitMix64(state: seed)
    var now: UInt64 = 1_000_000_000_000
    let wheel = TimerWheel(now: now)
    let connections = try (0..<40).map { _ in try fixture.connection() }
    var deadlines: [UInt64?] = Array(repeating: nil, count: connections.count)
    for step in 0..<3000 {
      let index = Int.random(in: 0..<connections.count, using: &random)
      switch Int.random(in: 0..<10, using: &random) {
      case 0:
        wheel.remove(connections[index])
        deadlines[index] = nil
      case 1:
        wheel.set(connections[index], deadline: .max)
        deadlines[index] = .max
      default:
        // From a moment to far beyond once around.
        let ahead = UInt64.random(
          in: 0...(TimerWheelTests.tick * (Bool.random(using: &random) ? 5 : 1500)), using: &random)
        wheel.set(connections[index], deadline: now + ahead)
        deadlines[index] = now + ahead
      }
      now += UInt64.random(
        in: 0...(TimerWheelTests.tick * (Int.random(in: 0..<50, using: &random) == 0 ? 900 : 3)),
        using: &random)
      wheel.advance(to: now) { connection in
        guard let index = connections.firstIndex(where: { $0 === connection }) else { return }
        guard let deadline = deadlines[index], deadline <= now else {
          Issue.record("seed \(seed), step \(step): too early, or removed")
          return
        }
        wheel.remove(connection)
        deadlines[index] = nil
      }
      for (index, deadline) in deadlines.enumerated() {
        guard let deadline, deadline != .max else { continue }
        #expect(now < deadline + 2 * TimerWheelTests.tick, "seed \(seed), step \(step), connection \(index)")
      }
      #expect(wheel.isEmpty == deadlines.allSatisfy { $0 == nil }, "seed \(seed), step \(step)")
    }
    for connection in connections { wheel.remove(connection) }
  }

  @Test("one that is not heeded passes again at the next tick; one that sets itself anew does not")
  func again() throws {
    let fixture = try Fixture()
    let wheel = TimerWheel(now: 0)
    let (stubborn, renewed) = (try fixture.connection(), try fixture.connection())
    wheel.set(stubborn, deadline: TimerWheelTests.tick)
    wheel.set(renewed, deadline: TimerWheelTests.tick)
    var counts = [0, 0]
    for turn in 0..<100 {
      let now = UInt64(turn) * TimerWheelTests.tick
      wheel.advance(to: now) { connection in
        if connection === stubborn {
          counts[0] += 1
        } else {
          counts[1] += 1
          wheel.set(connection, deadline: now + 1000 * TimerWheelTests.tick)
        }
      }
    }
    #expect(counts[0] > 90)
    #expect(counts[1] == 1)
    wheel.remove(stubborn)
    wheel.remove(renewed)
  }

  @Test("a deadline that is put off and then moved near again passes in time")
  func nearAgain() throws {
    let fixture = try Fixture()
    let wheel = TimerWheel(now: 0)
    let connection = try fixture.connection()
    wheel.set(connection, deadline: 600 * TimerWheelTests.tick)
    wheel.set(connection, deadline: .max)
    wheel.set(connection, deadline: 3 * TimerWheelTests.tick)
    var passed = 0
    for turn in 0...5 {
      wheel.advance(to: UInt64(turn) * TimerWheelTests.tick) { _ in
        passed = passed == 0 ? turn : passed
        wheel.set(connection, deadline: .max)
      }
    }
    #expect((3...5).contains(passed))
    var all = 0
    wheel.visitAll { _ in all += 1 }
    #expect(all == 1)
    wheel.remove(connection)
    #expect(wheel.isEmpty)
  }
}

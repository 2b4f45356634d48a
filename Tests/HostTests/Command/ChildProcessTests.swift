import Foundation
import Testing

@testable import bulkhead

@Suite("Child processes")
struct ChildProcessTests {
  private func shell(_ script: String, timeLimit: Duration = .seconds(20)) throws -> ChildOutcome {
    try ChildProcess.run(
      "/bin/sh", ["-c", script], environment: ["PATH": "/usr/bin:/bin"], timeLimit: timeLimit)
  }

  /// Zombies, which an init of a container may leave, are not.
  private func isAlive(_ pid: String) -> Bool {
    guard let stat = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else { return false }
    return !stat.contains(") Z ")
  }

  @Test("the report comes apart from what is printed")
  func output() throws {
    let outcome = try shell("echo report >&3; echo out; echo err >&2; read line || echo no input; exit 7")
    #expect(outcome.end == .exited(7))
    #expect(String(decoding: outcome.report, as: UTF8.self) == "report\n")
    #expect(String(decoding: outcome.chatter, as: UTF8.self) == "out\nerr\nno input\n")
    #expect(outcome.lastWords == "no input")
  }

  @Test("a signal is named")
  func signal() throws {
    let outcome = try shell("echo partial >&3; kill -SEGV $$")
    #expect(outcome.end == .signalled(11))
    #expect(outcome.howItEnded == "ended the process by signal 11 (Segmentation fault)")
    #expect(outcome.report == Array("partial\n".utf8))
  }

  @Test("a child that hangs is killed when its time is over, with what it has started")
  func hang() throws {
    let start = ContinuousClock.now
    let outcome = try shell("sleep 600 & echo $! >&3; wait", timeLimit: .milliseconds(300))
    #expect(outcome.end == .timedOut)
    #expect(ContinuousClock.now - start < .seconds(60))
    let grandchild = String(decoding: outcome.report, as: UTF8.self).trimmingCharacters(in: .newlines)
    while isAlive(grandchild), ContinuousClock.now - start < .seconds(60) { usleep(5000) }
    #expect(!isAlive(grandchild))
  }

  @Test("a grandchild that keeps the pipes open does not keep us waiting")
  func grandchild() throws {
    let start = ContinuousClock.now
    #expect(try shell("sleep 600 & exit 0").end == .exited(0))
    #expect(ContinuousClock.now - start < .seconds(20))
  }

  @Test("more output than we keep neither blocks the child nor fills our memory")
  func flood() throws {
    let outcome = try shell("head -c 3000000 /dev/zero >&3; echo done")
    #expect(outcome.end == .exited(0))
    #expect(outcome.report.count == ChildProcess.outputLimit)
    #expect(outcome.lastWords == "done")
  }

  @Test("a program that is not there is an error")
  func missing() {
    #expect(throws: SystemError.self) {
      try ChildProcess.run("/nonexistent", [], environment: [:], timeLimit: .seconds(1))
    }
  }
}

import Testing

@testable import bulkhead

private let second: UInt64 = 1_000_000_000
private let backoff = Backoff(initial: .seconds(1), maximum: .seconds(4))

@Suite("When plugins that did not start are tried again")
struct RetryScheduleTests {
  @Test("the back-off doubles up to its maximum, for each plugin by itself")
  func doubles() {
    var schedule = RetrySchedule()
    var now = 10 * second
    schedule.note(out: ["a": backoff], at: now)
    for wait in [1, 2, 4, 4].map({ $0 * second }) {
      #expect(schedule["a"] == now + wait)
      #expect(schedule.takeDue(at: now + wait - 1).isEmpty)
      now += wait
      #expect(schedule.takeDue(at: now) == ["a"])
      schedule.note(out: ["a": backoff], at: now)
    }
    schedule.note(out: ["a": backoff, "b": backoff], at: now)
    #expect(schedule["b"] == now + second)
    #expect(schedule.nextDue == now + second)
  }

  @Test(
    "one that is back for as long as its longest back-off begins anew, and one that relapses sooner does not")
  func relapse() {
    var schedule = RetrySchedule()
    schedule.note(out: ["a": backoff], at: 0)
    _ = schedule.takeDue(at: second)
    schedule.note(out: [:], at: second)
    #expect(schedule.nextDue == nil && schedule["a"] == nil)
    schedule.note(out: ["a": backoff], at: 2 * second)
    #expect(schedule["a"] == 6 * second, "the third try")
    _ = schedule.takeDue(at: 6 * second)
    schedule.note(out: [:], at: 6 * second)
    schedule.note(out: ["a": backoff], at: 20 * second)
    #expect(schedule["a"] == 21 * second)
  }

  @Test("an operator's word hastens a try")
  func hastened() {
    var schedule = RetrySchedule()
    schedule.note(out: ["a": Backoff(initial: .seconds(60), maximum: .seconds(60))], at: 0)
    schedule.hasten("a", at: second)
    #expect(schedule.takeDue(at: second) == ["a"])
    schedule.hasten("unknown", at: second)
    #expect(schedule.nextDue == 61 * second)
  }
}

import Testing

@testable import bulkhead

@Suite("When a timer fires")
struct PluginTimerTests {
  typealias Schedule = PluginTimer.Schedule

  @Test("one that was never set, or was cancelled, does not")
  func never() {
    var schedule = Schedule()
    #expect(!schedule.isDue(at: .max - 1))
    schedule.set(delay: 5, period: 5, at: 10)
    schedule.cancel()
    #expect(!schedule.isDue(at: .max - 1))
    #expect(schedule.wait == .max)
  }

  @Test("once, if it has no period")
  func once() {
    var schedule = Schedule()
    schedule.set(delay: 5, period: 0, at: 10)
    #expect(!schedule.isDue(at: 14))
    #expect(schedule.isDue(at: 15))
    schedule.begin(at: 15)
    schedule.isFiring = false
    #expect(!schedule.isDue(at: .max - 1))
  }

  @Test("each period, in its beat, and beats that were missed are one")
  func beat() {
    var schedule = Schedule()
    schedule.set(delay: 3, period: 10, at: 0)
    schedule.begin(at: 4)
    #expect(!schedule.isDue(at: 100), "not while a call is under way")
    #expect(schedule.wait == .max)
    schedule.isFiring = false
    #expect(schedule.wait == 13)
    schedule.begin(at: 47)
    schedule.isFiring = false
    #expect(schedule.wait == 53)
  }

  @Test("set anew while it fires, it keeps to what was said last")
  func setWhileFiring() {
    var schedule = Schedule()
    schedule.set(delay: 0, period: 10, at: 0)
    schedule.begin(at: 0)
    schedule.set(delay: 100, period: 0, at: 5)
    schedule.isFiring = false
    #expect(schedule.wait == 105)
  }

  @Test("a delay or a period past all time is never")
  func overflow() {
    var schedule = Schedule()
    schedule.set(delay: .max, period: .max, at: 10)
    #expect(schedule.wait == .max)
    schedule.set(delay: 0, period: .max, at: 10)
    schedule.begin(at: 10)
    schedule.isFiring = false
    #expect(schedule.wait == .max)
  }
}

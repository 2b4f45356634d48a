import Testing

@testable import bulkhead

private let second: UInt64 = 1_000_000_000

private func policy(_ change: (inout PluginConfiguration) -> Void = { _ in }) -> PluginConfiguration {
  var policy = PluginConfiguration(name: "auth")
  policy.recover = Backoff(initial: .seconds(1), maximum: .seconds(8))
  change(&policy)
  return policy
}

@Suite("Quarantine")
struct QuarantineTests {
  @Test("a throw quarantines at once by default, and names its reason")
  func throwQuarantines() {
    var q = Quarantine(policy: policy())
    #expect(q.admit(at: 0) == .run)
    #expect(q.fault(.threw, at: 10) == .quarantined(retryAt: 10 + second))
    #expect(q.state == .quarantined)
    #expect(q.reason == .threw)
    #expect(q.since == 10)
    #expect(q.retryAt == 10 + second)
  }

  @Test("a quarantined plugin refuses with the seconds until its probe, or is skipped if it fails open")
  func refuses() {
    var closed = Quarantine(
      policy: policy { $0.recover = Backoff(initial: .seconds(4), maximum: .seconds(8)) })
    var open = Quarantine(policy: policy { $0.onFailure = .open })
    closed.fault(.threw, at: 0)
    open.fault(.threw, at: 0)
    #expect(closed.admit(at: 1) == .refuse(retryAfter: 4))
    #expect(closed.admit(at: 3 * second) == .refuse(retryAfter: 1))
    #expect(closed.admit(at: 4 * second - 1) == .refuse(retryAfter: 1))
    #expect(open.admit(at: 1) == .skip)
  }

  @Test("a plugin in shadow mode never stops a request")
  func shadow() {
    var q = Quarantine(policy: policy { $0.mode = .shadow })
    q.fault(.crashed, at: 0)
    #expect(q.admit(at: 1) == .skip)
  }

  @Test("five faults in ten seconds: the fifth quarantines, and those that are older do not count")
  func threshold() {
    var q = Quarantine(policy: policy { $0.quarantineAfter = FaultThreshold(count: 5, window: .seconds(10)) })
    for i in 0..<4 { #expect(q.fault(.threw, at: UInt64(i) * second) == .counted(i + 1)) }
    // At 11 s those of 0 s and 1 s have left the window.
    #expect(q.fault(.threw, at: 11 * second) == .counted(3))
    #expect(q.fault(.threw, at: 11 * second) == .counted(4))
    #expect(q.state == .active)
    #expect(q.reason == nil)
    #expect(q.fault(.threw, at: 11 * second) == .quarantined(retryAt: 12 * second))
  }

  @Test(
    "a crash, a hang and an exit quarantine at once", arguments: [Quarantine.Reason.crashed, .hung, .exited])
  func atOnce(reason: Quarantine.Reason) {
    var q = Quarantine(policy: policy { $0.quarantineAfter = FaultThreshold(count: 5, window: .seconds(10)) })
    q.fault(reason, at: 0)
    #expect(q.state == .quarantined)
    #expect(q.reason == reason)
  }

  @Test("one request is the probe, all others wait, and success makes it active")
  func probe() {
    var q = Quarantine(policy: policy())
    q.fault(.threw, at: 0)
    #expect(q.admit(at: second - 1) == .refuse(retryAfter: 1))
    #expect(q.admit(at: second) == .probe)
    #expect(q.state == .probing)
    #expect(q.reason == .threw)
    #expect(q.admit(at: second) == .refuse(retryAfter: 1))
    #expect(q.admit(at: 5 * second) == .refuse(retryAfter: 1))
    #expect(q.succeed(at: 5 * second) == .activated)
    #expect(q.state == .active)
    #expect(q.reason == nil)
    #expect(q.admit(at: 5 * second) == .run)
  }

  @Test("a request that is not to be a probe is refused even if one is due, and leaves it due")
  func notToBeProbe() {
    var q = Quarantine(policy: policy())
    q.fault(.threw, at: 0)
    #expect(q.admit(at: 2 * second, mayProbe: false) == .refuse(retryAfter: 1))
    #expect(q.state == .quarantined)
    #expect(q.admit(at: 2 * second) == .probe)
    #expect(q.admit(at: 200 * second, mayProbe: false) == .refuse(retryAfter: 1))
  }

  @Test("the back-off doubles for each failed probe, up to the maximum")
  func doubling() {
    var q = Quarantine(policy: policy())
    var now: UInt64 = 0
    for expected in [1, 2, 4, 8, 8, 8] as [UInt64] {
      q.fault(.threw, at: now)
      #expect(q.retryAt == now + expected * second)
      now += expected * second
      #expect(q.admit(at: now) == .probe)
    }
  }

  @Test("the back-off begins anew only after the longest back-off in service")
  func reset() {
    var q = Quarantine(policy: policy())
    q.fault(.threw, at: 0)
    #expect(q.admit(at: second) == .probe)
    q.succeed(at: second)
    q.fault(.threw, at: 2 * second)
    #expect(q.retryAt == 4 * second)
    #expect(q.admit(at: 4 * second) == .probe)
    q.succeed(at: 4 * second)
    q.fault(.threw, at: 12 * second)
    #expect(q.retryAt == 13 * second)
  }

  @Test("a back-off near the end of time saturates")
  func saturates() {
    var q = Quarantine(
      policy: policy { $0.recover = Backoff(initial: .seconds(1), maximum: .seconds(86_400)) })
    for _ in 0..<200 {
      q.fault(.threw, at: .max - 1)
      #expect(q.retryAt == .max)
      #expect(q.admit(at: .max) == .probe)
    }
  }

  @Test("an abandoned probe lets the next request probe")
  func abandoned() {
    var q = Quarantine(policy: policy())
    q.fault(.threw, at: 0)
    #expect(q.admit(at: second) == .probe)
    q.abandonProbe(at: 2 * second)
    #expect(q.state == .quarantined)
    #expect(q.admit(at: 2 * second) == .probe)
  }

  @Test("a probe that is never heard of again is replaced after its limit")
  func lostProbe() {
    var q = Quarantine(policy: policy { $0.timeout = .seconds(2) })
    q.fault(.threw, at: 0)
    #expect(q.admit(at: second) == .probe)
    #expect(q.admit(at: 33 * second) == .refuse(retryAfter: 1))
    #expect(q.admit(at: 33 * second + 1) == .probe)
  }

  @Test("without recovery no probe is ever made, but the operator can release it")
  func never() {
    var q = Quarantine(policy: policy { $0.recover = nil })
    #expect(q.fault(.crashed, at: 0) == .quarantined(retryAt: nil))
    #expect(q.admit(at: .max) == .refuse(retryAfter: Quarantine.unplannedRetryAfter))
    #expect(q.release(at: 5) == .activated)
    #expect(q.admit(at: 5) == .run)
  }

  @Test("a fault while quarantined is that of a request that ran already, and changes nothing")
  func lateFault() {
    var q = Quarantine(policy: policy())
    q.fault(.threw, at: 0)
    #expect(q.fault(.crashed, at: 5) == .unchanged)
    #expect(q.reason == .threw)
    #expect(q.retryAt == second)
    #expect(q.succeed(at: 6) == .unchanged)
    #expect(q.abandonProbe(at: 6) == .unchanged)
  }

  @Test(
    "what fails to load or start is failed for good",
    arguments: Quarantine.Reason.allCases.filter(\.isOfLoading))
  func failed(reason: Quarantine.Reason) {
    var q = Quarantine(policy: policy())
    #expect(q.fail(reason, at: 0) == .failed)
    #expect(q.admit(at: .max) == .refuse(retryAfter: Quarantine.unplannedRetryAfter))
    #expect(q.release(at: 1) == .unchanged)
    #expect(q.fault(.crashed, at: 1) == .unchanged)
    #expect(q.fault(.operator, at: 1) == .unchanged)
    #expect(q.state == .failed)
    #expect(q.reason == reason)
  }

  @Test("the operator quarantines without a probe to come, and releases")
  func operatorQuarantine() {
    var q = Quarantine(policy: policy())
    q.fault(.operator, at: 7)
    #expect(q.state == .quarantined)
    #expect(q.reason == .operator)
    #expect(q.admit(at: .max) == .refuse(retryAfter: Quarantine.unplannedRetryAfter))
    q.release(at: 8)
    #expect(q.state == .active)
  }

  @Test("off skips, until every cause is gone; a fault in the meantime is remembered")
  func off() {
    var q = Quarantine(policy: policy { $0.mode = .off })
    #expect(q.state == .off)
    #expect(q.reason == nil)
    q.switchOff(.operator, at: 1)
    q.switchOn(.configuration)
    #expect(q.admit(at: 2) == .skip)
    q.fault(.crashed, at: 3)
    #expect(q.state == .off)
    #expect(q.reason == .operator)
    q.switchOn(.operator)
    #expect(q.state == .quarantined)
    #expect(q.reason == .crashed)
  }

  @Test("the next generation goes on with the quarantine, the back-off and the lost probe")
  func inheritance() {
    var old = Quarantine(policy: policy())
    old.fault(.hung, at: 0)
    var new = Quarantine(policy: policy(), resuming: old.inheritance, at: 5)
    #expect(new.state == .quarantined)
    #expect(new.reason == .hung)
    #expect(new.retryAt == second)
    #expect(old.admit(at: second) == .probe)
    new = Quarantine(policy: policy(), resuming: old.inheritance, at: second)
    #expect(new.admit(at: second) == .probe)
    new.fault(.hung, at: second)
    #expect(new.retryAt == 3 * second)
    old.fail(.startFailed, at: 4)
    #expect(Quarantine(policy: policy(), resuming: old.inheritance, at: 5).state == .active)
  }

  @Test("reasons and states have their documented names")
  func names() {
    #expect(
      Quarantine.Reason.allCases.map(\.rawValue) == [
        "load-failed", "abi-mismatch", "digest-mismatch", "unsafe-file", "bad-settings", "start-failed",
        "threw",
        "crashed", "hung", "exited", "tampered", "operator",
      ])
    #expect(
      Quarantine.State.allCases.map(\.rawValue) == ["active", "probing", "quarantined", "failed", "off"])
  }
}

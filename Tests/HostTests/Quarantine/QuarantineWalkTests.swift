import Testing

@testable import bulkhead

/// Random events against a quarantine, and what must hold after each of them.
@Suite("Quarantine: random walks")
struct QuarantineWalkTests {
  @Test("never two probes at once, never run while out, back-off within its bounds")
  func walks() {
    let seed = UInt64.random(in: 0 ... .max)
    print("seed \(seed)")
    for walk in 0..<300 {
      var random = SplitMix64(state: seed &+ UInt64(walk))
      var observer = Observer(random: &random)
      for step in 0..<400 {
        if let broken = observer.step(&random) {
          Issue.record("seed \(seed), walk \(walk), step \(step): \(broken)")
          return
        }
      }
    }
  }

  private struct Observer {
    var quarantine: Quarantine
    let policy: PluginConfiguration
    var now: UInt64 = 1
    /// When the probe under way began.
    var probeStart: UInt64?
    var earliestProbe: UInt64 = 0
    var isOff = false
    var lastDelay: UInt64 = 0

    init(random: inout SplitMix64) {
      var policy = PluginConfiguration(name: "p")
      let initial = Int64.random(in: 1...5000, using: &random)
      policy.recover =
        Int.random(in: 0..<8, using: &random) == 0
        ? nil
        : Backoff(
          initial: .milliseconds(initial),
          maximum: .milliseconds(initial * Int64.random(in: 1...100, using: &random)))
      policy.onFailure = Bool.random(using: &random) ? .open : .closed
      if Bool.random(using: &random) {
        policy.quarantineAfter = FaultThreshold(
          count: Int.random(in: 1...4, using: &random),
          window: .milliseconds(Int64.random(in: 1...4000, using: &random)))
      }
      self.policy = policy
      quarantine = Quarantine(policy: policy)
    }

    /// What does not hold after a random event; nil if all does.
    mutating func step(_ random: inout SplitMix64) -> String? {
      now += UInt64.random(in: 0...1_000_000_000, using: &random)
      let before = quarantine.state
      switch Int.random(in: 0..<20, using: &random) {
      case 0..<10: if let broken = admit(before) { return broken }
      case 10..<14:
        let reason = [Quarantine.Reason.threw, .threw, .crashed, .hung, .exited].randomElement(
          using: &random)!
        if let broken = fault(reason, before) { return broken }
      case 14, 15:
        quarantine.succeed(at: now)
        if before == .probing, quarantine.state != .active {
          return "a passed probe left it \(quarantine.state)"
        }
        if before == .quarantined, quarantine.state != .quarantined { return "success without a probe" }
        probeStart = nil
      case 16:
        quarantine.abandonProbe(at: now)
        if probeStart != nil { earliestProbe = now }
        probeStart = nil
      case 17:
        isOff.toggle()
        if isOff { quarantine.switchOff(.operator, at: now) } else { quarantine.switchOn(.operator) }
      case 18:
        quarantine.fault(.operator, at: now)
        (probeStart, earliestProbe) = (nil, .max)
      default:
        quarantine.release(at: now)
        if !isOff, quarantine.state != .active { return "release left it \(quarantine.state)" }
        (probeStart, lastDelay) = (nil, 0)
      }
      return invariant()
    }

    private mutating func admit(_ before: Quarantine.State) -> String? {
      let admission = quarantine.admit(at: now)
      switch admission {
      case .run: return before == .active ? nil : "ran while \(before)"
      case .skip:
        return isOff || (policy.onFailure == .open && before != .active) ? nil : "skipped while \(before)"
      case .refuse(let seconds):
        if isOff || policy.onFailure == .open || before == .active { return "refused while \(before)" }
        return seconds >= 1 ? nil : "Retry-After \(seconds)"
      case .probe:
        if before == .probing, let start = probeStart, now - start <= quarantine.probeLimit {
          return "a second probe"
        }
        if before != .quarantined && before != .probing { return "probed while \(before)" }
        if before == .quarantined, now < earliestProbe { return "probed \(earliestProbe - now) ns too early" }
        if policy.recover == nil { return "probed without recovery" }
        probeStart = now
        return nil
      }
    }

    private mutating func fault(_ reason: Quarantine.Reason, _ before: Quarantine.State) -> String? {
      let transition = quarantine.fault(reason, at: now)
      if !isOff, before == .active || before == .probing, reason != .threw, quarantine.state != .quarantined {
        return "\(reason) left it \(quarantine.state)"
      }
      guard case .quarantined(let retryAt) = transition else { return nil }
      probeStart = nil
      guard let backoff = policy.recover else { return retryAt == nil ? nil : "a probe is planned" }
      guard let retryAt else { return "no probe is planned" }
      let delay = retryAt - now
      if delay < backoff.initial.nanoseconds || delay > backoff.maximum.nanoseconds {
        return "back-off \(delay)"
      }
      let isNext =
        delay == min(lastDelay * 2, backoff.maximum.nanoseconds) || delay == backoff.initial.nanoseconds
      if !isNext { return "back-off \(delay) after \(lastDelay)" }
      if before == .probing, delay < lastDelay { return "a failed probe made the back-off shorter" }
      lastDelay = delay
      earliestProbe = retryAt
      return nil
    }

    private func invariant() -> String? {
      if isOff != (quarantine.state == .off) { return "off: \(isOff), but \(quarantine.state)" }
      if quarantine.state == .active, quarantine.reason != nil { return "active for a reason" }
      if quarantine.state == .quarantined, quarantine.reason == nil { return "quarantined for no reason" }
      if quarantine.state != .quarantined, quarantine.retryAt != nil {
        return "a probe planned in \(quarantine.state)"
      }
      if quarantine.since > now { return "since the future" }
      return nil
    }
  }
}

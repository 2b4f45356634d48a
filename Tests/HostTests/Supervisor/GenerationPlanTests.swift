import Testing

@testable import bulkhead

private let second: UInt64 = 1_000_000_000

@Suite("The plan of generations")
struct GenerationPlanTests {
  /// A plan whose first generation serves.
  private func serving(at now: UInt64 = second) -> GenerationPlan {
    var plan = GenerationPlan()
    #expect(plan.handle(.reload(revision: 1), at: now) == [.start(generation: 1, revision: 1, isBare: false)])
    #expect(plan.handle(.ready(generation: 1), at: now) == [.serve(generation: 1)])
    return plan
  }

  @Test("a reload prepares beside the serving one, which hands over only when the next is ready")
  func reload() {
    var plan = serving()
    #expect(
      plan.handle(.reload(revision: 2), at: 2 * second) == [.start(generation: 2, revision: 2, isBare: false)]
    )
    #expect(plan.serving?.number == 1)
    #expect(
      plan.handle(.ready(generation: 2), at: 2 * second) == [
        .serve(generation: 2), .handOver(from: 1, to: 2),
      ])
    #expect(plan.serving?.number == 2)
    #expect(plan[1]?.phase == .draining)
    #expect(plan.handle(.ended(generation: 1, isExplained: false), at: 3 * second) == [])
    #expect(plan.generations.map(\.number) == [2])
  }

  @Test("a prepared generation that dies changes nothing, and the next start is of what served")
  func refused() {
    var plan = serving()
    _ = plan.handle(.reload(revision: 2), at: 2 * second)
    #expect(
      plan.handle(.ended(generation: 2, isExplained: false), at: 2 * second) == [
        .refused(generation: 2, revision: 2)
      ])
    #expect(plan.serving?.number == 1)
    #expect(plan.nextTick == nil)
    #expect(
      plan.handle(.ended(generation: 1, isExplained: true), at: 3 * second) == [
        .start(generation: 3, revision: 1, isBare: false)
      ])
  }

  @Test("what drains is cut off once it is asked for, and not before the host stops")
  func cut() {
    var plan = serving()
    #expect(plan.handle(.cut, at: second) == [])
    #expect(plan.handle(.stop, at: 2 * second) == [.drain(generation: 1)])
    #expect(plan.handle(.cut, at: 2 * second) == [.kill(generation: 1, cause: .cut)])
    #expect(plan.handle(.cut, at: 2 * second) == [])
    #expect(plan.handle(.ended(generation: 1, isExplained: false), at: 2 * second) == [.finished])
  }

  @Test("a prepared generation that a plugin takes down is prepared again, without that plugin")
  func explainedStart() {
    var plan = serving()
    _ = plan.handle(.reload(revision: 2), at: 2 * second)
    #expect(
      plan.handle(.ended(generation: 2, isExplained: true), at: 2 * second) == [
        .start(generation: 3, revision: 2, isBare: false)
      ])
  }

  @Test("a prepared generation that hangs is killed after its time")
  func hangs() {
    var plan = serving()
    _ = plan.handle(.reload(revision: 2), at: 2 * second)
    let due = 2 * second + plan.startLimit
    #expect(plan.nextTick == due)
    #expect(plan.handle(.tick, at: due - 1) == [])
    #expect(plan.handle(.tick, at: due) == [.kill(generation: 2, cause: .notReady)])
    #expect(plan.handle(.tick, at: due + 1) == [])
    #expect(plan.handle(.ready(generation: 2), at: due) == [], "too late")
    #expect(
      plan.handle(.ended(generation: 2, isExplained: false), at: due) == [
        .refused(generation: 2, revision: 2)
      ])
  }

  @Test("an edit while an older one is being prepared supersedes it")
  func superseded() {
    var plan = serving()
    _ = plan.handle(.reload(revision: 2), at: 2 * second)
    #expect(
      plan.handle(.reload(revision: 3), at: 2 * second) == [
        .kill(generation: 2, cause: .superseded), .start(generation: 3, revision: 3, isBare: false),
      ])
    #expect(plan.handle(.ready(generation: 2), at: 2 * second) == [])
    #expect(
      plan.handle(.ready(generation: 3), at: 2 * second) == [
        .serve(generation: 3), .handOver(from: 1, to: 3),
      ])
    #expect(plan.handle(.ended(generation: 2, isExplained: false), at: 2 * second) == [])
  }

  @Test("the serving one dies while the next of its revision is prepared: that one is waited for")
  func deathDuringPreparation() {
    var plan = serving()
    _ = plan.handle(.replace(generation: 1), at: 2 * second)
    #expect(plan.handle(.ended(generation: 1, isExplained: true), at: 2 * second) == [])
    #expect(plan.handle(.ready(generation: 2), at: 2 * second) == [.serve(generation: 2)])
  }

  @Test("and if neither what served nor what came after it starts, what served is started again")
  func bothDie() {
    var plan = serving()
    _ = plan.handle(.reload(revision: 2), at: 2 * second)
    _ = plan.handle(.ended(generation: 1, isExplained: true), at: 2 * second)
    _ = plan.handle(.ended(generation: 3, isExplained: false), at: 2 * second)
    #expect(plan.preparing?.revision == 2)
    #expect(
      plan.handle(.ended(generation: 4, isExplained: false), at: 2 * second) == [
        .refused(generation: 4, revision: 2), .start(generation: 5, revision: 1, isBare: false),
      ])
  }

  @Test("a tainted generation serves until another of its revision is ready, and that is tried until it is")
  func taint() {
    var plan = serving()
    #expect(
      plan.handle(.replace(generation: 1), at: 2 * second) == [
        .start(generation: 2, revision: 1, isBare: false)
      ]
    )
    #expect(plan.handle(.replace(generation: 1), at: 2 * second) == [], "one at a time")
    #expect(
      plan.handle(.ended(generation: 2, isExplained: false), at: 2 * second) == [
        .refused(generation: 2, revision: 1)
      ])
    let retry = 2 * second + GenerationPlan.firstRetryInterval
    #expect(plan.nextTick == retry)
    #expect(plan.handle(.tick, at: retry) == [.start(generation: 3, revision: 1, isBare: false)])
  }

  @Test("a taint during a reload that is refused is not forgotten")
  func taintDuringReload() {
    var plan = serving()
    _ = plan.handle(.reload(revision: 2), at: 2 * second)
    _ = plan.handle(.replace(generation: 1), at: 2 * second)
    _ = plan.handle(.ended(generation: 2, isExplained: false), at: 2 * second)
    let retry = 2 * second + GenerationPlan.firstRetryInterval
    #expect(plan.handle(.tick, at: retry) == [.start(generation: 3, revision: 1, isBare: false)])
  }

  @Test("while the first generation takes its time a stand-in serves, and hands over to it")
  func standIn() {
    var plan = GenerationPlan()
    _ = plan.handle(.reload(revision: 1), at: second)
    let due = second + GenerationPlan.firstPatience
    #expect(plan.nextTick == due)
    #expect(plan.handle(.tick, at: due - 1) == [])
    #expect(plan.handle(.tick, at: due) == [.standIn(generation: 2, revision: 1)])
    #expect(plan.handle(.tick, at: due + 1) == [], "one at a time")
    #expect(plan.handle(.ready(generation: 2), at: due) == [.serve(generation: 2)])
    #expect(plan.serving?.isStandIn == true && plan.preparing?.number == 1)
    #expect(!plan.hasServed)
    #expect(
      plan.handle(.ready(generation: 1), at: 2 * second) == [
        .serve(generation: 1), .handOver(from: 2, to: 1),
      ])
    #expect(plan.serving?.number == 1)
  }

  @Test("a stand-in that is not ready before the generation it stands in for is not needed")
  func lateStandIn() {
    var plan = GenerationPlan()
    _ = plan.handle(.reload(revision: 1), at: second)
    _ = plan.handle(.tick, at: 2 * second)
    #expect(
      plan.handle(.ready(generation: 1), at: 2 * second) == [
        .serve(generation: 1), .kill(generation: 2, cause: .superseded),
      ])
    #expect(plan.handle(.ready(generation: 2), at: 2 * second) == [])
    #expect(plan.handle(.ended(generation: 2, isExplained: false), at: 2 * second) == [])
    #expect(plan.generations.map(\.number) == [1])
  }

  @Test("plugins that end one start after the other leave the stand-in serving; it dies, and another comes")
  func standInGoesOn() {
    var plan = GenerationPlan()
    _ = plan.handle(.reload(revision: 1), at: second)
    _ = plan.handle(.tick, at: 2 * second)
    _ = plan.handle(.ready(generation: 2), at: 2 * second)
    #expect(
      plan.handle(.ended(generation: 1, isExplained: true), at: 3 * second) == [
        .start(generation: 3, revision: 1, isBare: false)
      ])
    #expect(plan.handle(.ended(generation: 2, isExplained: false), at: 4 * second) == [])
    let due = 4 * second + GenerationPlan.laterPatience
    #expect(plan.handle(.tick, at: due - 1) == [])
    #expect(plan.handle(.tick, at: due) == [.standIn(generation: 4, revision: 1)])
  }

  @Test("when the serving one dies, connections wait for a second before a stand-in answers them")
  func standInAfterDeath() {
    var plan = serving()
    #expect(
      plan.handle(.ended(generation: 1, isExplained: true), at: 2 * second) == [
        .start(generation: 2, revision: 1, isBare: false)
      ])
    let due = 2 * second + GenerationPlan.laterPatience
    #expect(plan.handle(.tick, at: due - 1) == [])
    #expect(plan.handle(.tick, at: due) == [.standIn(generation: 3, revision: 1)])
  }

  @Test("a generation that would serve less is withheld, and what served is what is started next")
  func withheld() {
    var plan = serving()
    _ = plan.handle(.reload(revision: 2), at: 2 * second)
    #expect(
      plan.handle(.withhold(generation: 2), at: 2 * second) == [
        .kill(generation: 2, cause: .superseded), .refused(generation: 2, revision: 2),
      ])
    #expect(plan.handle(.ended(generation: 2, isExplained: false), at: 2 * second) == [])
    #expect(plan.serving?.number == 1 && plan.nextTick == nil)
    #expect(
      plan.handle(.ended(generation: 1, isExplained: true), at: 3 * second) == [
        .start(generation: 3, revision: 1, isBare: false)
      ])
  }

  @Test("a withheld replacement of a tainted generation is tried again")
  func withheldReplacement() {
    var plan = serving()
    _ = plan.handle(.replace(generation: 1), at: 2 * second)
    _ = plan.handle(.withhold(generation: 2), at: 2 * second)
    #expect(plan.nextTick == 2 * second + GenerationPlan.firstRetryInterval)
  }

  @Test("an edit that is being prepared when the serving one dies is set aside until that serves again")
  func setAside() {
    var plan = serving()
    _ = plan.handle(.reload(revision: 2), at: 2 * second)
    #expect(
      plan.handle(.ended(generation: 1, isExplained: true), at: 2 * second) == [
        .kill(generation: 2, cause: .superseded), .setAside(revision: 2),
        .start(generation: 3, revision: 1, isBare: false),
      ])
    #expect(plan.handle(.ended(generation: 2, isExplained: false), at: 2 * second) == [])
    #expect(plan.pendingRevision == 2)
    #expect(
      plan.handle(.ready(generation: 3), at: 2 * second) == [
        .serve(generation: 3), .start(generation: 4, revision: 2, isBare: false),
      ])
    #expect(
      plan.handle(.ready(generation: 4), at: 2 * second) == [
        .serve(generation: 4), .handOver(from: 3, to: 4),
      ])
  }

  @Test(
    "edits while what served is started again do not put that off, and the last of them is prepared after it")
  func pending() {
    var plan = serving()
    _ = plan.handle(.ended(generation: 1, isExplained: true), at: 2 * second)
    #expect(plan.handle(.reload(revision: 2), at: 2 * second) == [])
    #expect(plan.handle(.reload(revision: 3), at: 2 * second) == [])
    #expect(
      plan.handle(.ready(generation: 2), at: 2 * second) == [
        .serve(generation: 2), .start(generation: 3, revision: 3, isBare: false),
      ])
  }

  @Test("an edit that came while what served was started again is tried if that does not start")
  func pendingInstead() {
    var plan = serving()
    _ = plan.handle(.ended(generation: 1, isExplained: true), at: 2 * second)
    _ = plan.handle(.reload(revision: 2), at: 2 * second)
    #expect(
      plan.handle(.ended(generation: 2, isExplained: false), at: 2 * second) == [
        .start(generation: 3, revision: 2, isBare: false)
      ])
    #expect(plan.pendingRevision == nil)
  }

  @Test("what is withheld when nobody serves any more gives way to what served")
  func withheldAlone() {
    var plan = serving()
    _ = plan.handle(.ended(generation: 1, isExplained: true), at: 2 * second)
    _ = plan.handle(.reload(revision: 2), at: 2 * second)
    _ = plan.handle(.ended(generation: 2, isExplained: false), at: 2 * second)
    #expect(
      plan.handle(.withhold(generation: 3), at: 2 * second) == [
        .kill(generation: 3, cause: .superseded), .refused(generation: 3, revision: 2),
        .start(generation: 4, revision: 1, isBare: false),
      ])
    #expect(plan.handle(.ended(generation: 3, isExplained: false), at: 2 * second) == [])
    #expect(plan.handle(.ready(generation: 4), at: 2 * second) == [.serve(generation: 4)])
  }

  @Test("what served is not withheld when nobody serves any more")
  func nothingToHoldOnTo() {
    var plan = serving()
    _ = plan.handle(.ended(generation: 1, isExplained: true), at: 2 * second)
    #expect(plan.handle(.withhold(generation: 2), at: 2 * second) == [])
    #expect(plan.handle(.ready(generation: 2), at: 2 * second) == [.serve(generation: 2)])
  }

  @Test("three unexplained deaths within ten seconds make the next one bare; explained ones do not")
  func crashLoop() {
    var plan = serving()
    #expect(kill(&plan, at: 2 * second, isExplained: true) == [])
    #expect(kill(&plan, at: 3 * second) == [])
    #expect(kill(&plan, at: 4 * second) == [])
    #expect(kill(&plan, at: 5 * second) == [.becameBare])
    #expect(plan.serving?.isBare == true)
  }

  @Test("three deaths over more than ten seconds are no loop")
  func slowDeaths() {
    var plan = serving()
    for time: UInt64 in [2, 8, 14, 20, 26] { #expect(kill(&plan, at: time * second) == []) }
    #expect(plan.serving?.isBare == false)
  }

  @Test("beside a bare one a full one is tried after 5 s, doubling up to 5 min")
  func leavingBare() {
    var plan = bare(at: 5 * second)
    var now = 5 * second
    for interval: UInt64 in [5, 10, 20, 40, 80, 160, 300, 300] {
      #expect(plan.nextTick == now + interval * second)
      #expect(plan.handle(.tick, at: now + interval * second - 1) == [])
      now += interval * second
      let effects = plan.handle(.tick, at: now)
      guard case .start(let number, _, false) = effects.first else {
        Issue.record("\(effects)")
        return
      }
      #expect(
        plan.handle(.ended(generation: number, isExplained: false), at: now) == [
          .refused(generation: number, revision: 1)
        ])
      #expect(plan.serving?.isBare == true)
    }
  }

  @Test(
    "a full one that becomes ready takes over; if it dies unexplained soon after, the host is bare at once")
  func leftBare() {
    var plan = bare(at: 5 * second)
    let number = plan.serving?.number ?? 0
    #expect(
      plan.handle(.tick, at: 10 * second) == [.start(generation: number + 1, revision: 1, isBare: false)])
    #expect(
      plan.handle(.ready(generation: number + 1), at: 10 * second) == [
        .serve(generation: number + 1), .handOver(from: number, to: number + 1), .leftBare,
      ])
    #expect(kill(&plan, at: 11 * second) == [.becameBare])
    #expect(plan.nextTick.map { $0 > 20 * second } == true, "with twice the interval")
  }

  @Test("an edit leaves bare at once")
  func editLeavesBare() {
    var plan = bare(at: 5 * second)
    let number = plan.serving?.number ?? 0
    #expect(
      plan.handle(.reload(revision: 2), at: 6 * second) == [
        .start(generation: number + 1, revision: 2, isBare: false)
      ])
    #expect(plan.handle(.ready(generation: number + 1), at: 6 * second).contains(.leftBare))
  }

  @Test("of too many draining generations the oldest is killed for the next one")
  func bounded() {
    var plan = serving()
    var killed: [GenerationPlan.Effect] = []
    for revision in 2...GenerationPlan.generationLimit + 3 {
      let effects = plan.handle(.reload(revision: revision), at: 2 * second)
      killed += effects.filter { if case .kill = $0 { true } else { false } }
      guard case .start(let number, _, _) = effects.last else {
        Issue.record("\(effects)")
        return
      }
      _ = plan.handle(.ready(generation: number), at: 2 * second)
    }
    #expect(killed == (1...3).map { .kill(generation: $0, cause: .notDrained) })
  }

  @Test("a host that cannot make its first generation gives up")
  func givesUp() {
    var plan = GenerationPlan()
    var effects = plan.handle(.reload(revision: 1), at: 0)
    var now: UInt64 = 0
    for _ in 0..<100 where effects != [.giveUp] {
      if case .start(let number, _, _) = effects.last {
        effects = plan.handle(.cannotStart(generation: number), at: now)
      } else {
        now = plan.nextTick ?? now
        effects = plan.handle(.tick, at: now)
      }
    }
    #expect(effects == [.giveUp])
  }

  @Test("stopping drains what serves, kills what is prepared, and is finished with the last process")
  func stopping() {
    var plan = serving()
    _ = plan.handle(.reload(revision: 2), at: 2 * second)
    #expect(
      plan.handle(.stop, at: 3 * second) == [.drain(generation: 1), .kill(generation: 2, cause: .superseded)])
    #expect(plan.handle(.ended(generation: 2, isExplained: false), at: 3 * second) == [])
    let due = 3 * second + plan.drainLimit
    #expect(plan.handle(.tick, at: due) == [.kill(generation: 1, cause: .notDrained)])
    #expect(plan.handle(.ended(generation: 1, isExplained: false), at: due) == [.finished])
  }

  // MARK: Steps

  private func kill(_ plan: inout GenerationPlan, at now: UInt64, isExplained: Bool = false)
    -> [GenerationPlan.Effect]
  {
    let number = plan.serving?.number ?? 0
    var effects = plan.handle(.ended(generation: number, isExplained: isExplained), at: now)
    guard case .start(let next, _, _) = effects.last else {
      Issue.record("nothing was started: \(effects)")
      return effects
    }
    effects.removeLast()
    _ = plan.handle(.ready(generation: next), at: now)
    return effects
  }

  private func bare(at now: UInt64) -> GenerationPlan {
    var plan = serving(at: now - second)
    for _ in 0..<3 { _ = kill(&plan, at: now) }
    #expect(plan.serving?.isBare == true)
    return plan
  }
}

@Suite("The plan of generations, on random walks")
struct GenerationPlanWalkTests {
  @Test(
    "one serves, one is prepared, nothing serving is killed, and nobody is left waiting", arguments: 0..<200)
  func walk(run: UInt64) {
    let seed = run &* 7919 &+ UInt64.random(in: 0...UInt64.max)
    var random = WalkGenerator(state: seed)
    var plan = GenerationPlan()
    var now: UInt64 = second
    var alive: Set<Int> = []
    var started: Set<Int> = []
    var revision = 1

    func check(_ effects: [GenerationPlan.Effect]) -> Bool {
      for effect in effects {
        switch effect {
        case .start(let number, _, _), .standIn(let number, _):
          guard started.insert(number).inserted else { return false }
          alive.insert(number)
        case .kill(let number, _):
          guard alive.contains(number), plan.serving?.number != number else { return false }
        case .serve(let number), .drain(let number):
          guard alive.contains(number) else { return false }
        case .handOver(let old, let new):
          guard alive.contains(old), alive.contains(new), old != new else { return false }
        default: break
        }
      }
      let serving = plan.generations.filter { $0.phase == .serving }
      let starting = plan.generations.filter { $0.phase == .starting && !$0.isKilled }
      let preparing = starting.filter { !$0.isStandIn }
      guard serving.count <= 1, preparing.count <= 1, starting.count - preparing.count <= 1 else {
        return false
      }
      guard Set(plan.generations.map(\.number)) == alive else { return false }
      // Nor do two write into the same fault frames.
      let banks = Set(plan.generations.map { $0.number % SharedMemory.bankCount })
      guard banks.count == plan.generations.count else { return false }
      // Without anybody at the counter, somebody is on the way or a time is set, or an end is waited for that starts the next.
      let isEnding = plan.generations.contains { $0.killed == .notReady }
      return !serving.isEmpty || !preparing.isEmpty || isEnding || plan.nextTick != nil
    }

    #expect(check(plan.handle(.reload(revision: 1), at: now)), "seed \(seed)")
    for step in 0..<400 {
      now += random.next() % (3 * second)
      let event: GenerationPlan.Event
      // What is killed ends soon.
      let dying = plan.generations.filter(\.isKilled).map(\.number).sorted()
      if dying.count > 2, let number = dying.first {
        alive.remove(number)
        event = .ended(generation: number, isExplained: false)
      } else {
        switch random.next() % 10 {
        case 0:
          revision += 1
          event = .reload(revision: revision)
        case 1, 2:
          guard let number = alive.sorted().randomElement(using: &random) else { continue }
          alive.remove(number)
          event = .ended(generation: number, isExplained: random.next() % 3 == 0)
        case 3, 4:
          guard let number = plan.preparing?.number else { continue }
          event = .ready(generation: number)
        case 5: event = .replace(generation: plan.serving?.number ?? 0)
        case 6: event = .prepareAgain
        case 7:
          guard let standIn = plan.generations.first(where: { $0.isStandIn && $0.phase == .starting }) else {
            continue
          }
          event = .ready(generation: standIn.number)
        case 8: event = .withhold(generation: plan.preparing?.number ?? 0)
        default: event = .tick
        }
      }
      let effects = plan.handle(event, at: now)
      if effects.contains(.giveUp) { return }
      guard check(effects) else {
        Issue.record("seed \(seed), step \(step): \(event) came to \(effects) in \(plan)")
        return
      }
    }
  }
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct WalkGenerator: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

/// Which generations live, and what becomes of them: a pure value, without clock, processes or I/O.
///
/// At most one generation is being prepared, and at most one serves; any number drain.
///
/// | event | in which state | then |
/// | --- | --- | --- |
/// | `reload`, `replace` | nothing is being prepared | the next generation is started beside the serving one |
/// | `reload` | an older revision is being prepared | that one, which serves nobody yet, is killed; the next is started |
/// | `reload` | what served last is started again, and nobody serves | it is `pending`: prepared once that serves |
/// | `ready` | of the one being prepared | it serves; the one that served hands over and drains |
/// | `ended` | of the one being prepared, a plugin explains it | it is started again, without that plugin |
/// | `ended` | of the one being prepared, nobody explains it | `refused`: the serving one goes on |
/// | `ended` | of the serving one | if none is being prepared, the next is started at once |
/// | `ended` | of the serving one, while another revision is being prepared | that is set aside, `pending`; what served is started |
/// | `ended` | three times within ten seconds while nobody serves or of the serving one, unexplained | the next is bare |
/// | `tick` | the bare one has served for the back-off | a full one is prepared beside it; each time the back-off doubles |
/// | `tick` | no generation serves, and the one being prepared takes its time | a stand-in, which is bare, is started beside it |
/// | `ready` | of the stand-in | it serves until the one being prepared does |
/// | `withhold` | of the one being prepared | it is killed and `refused`: the serving one goes on |
/// | `withhold` | the same, of another revision than the last that served, while nobody serves | the last that served is started |
///
/// Times are nanoseconds of one monotonic clock.
struct GenerationPlan: Sendable {
  enum Phase: Sendable, Equatable { case starting, serving, draining }

  struct Generation: Sendable, Equatable {
    let number: Int
    /// Of the configuration that it was made from.
    let revision: Int
    let isBare: Bool
    /// It is bare, and serves only until the generation that is being prepared does.
    var isStandIn = false
    fileprivate(set) var phase = Phase.starting
    /// When this phase began.
    fileprivate(set) var since: UInt64
    /// It has been told to die. The end of what was superseded means nothing any more.
    fileprivate(set) var killed: KillCause?
    var isKilled: Bool { killed != nil }
  }

  enum Event: Sendable, Equatable {
    /// The first generation, or the next from another revision of the configuration.
    case reload(revision: Int)
    /// The generation is tainted, or has grown too large: another of the same revision is to take its place.
    case replace(generation: Int)
    /// What was prepared is not to serve as it is: start it again (a library is rolled back).
    case prepareAgain
    case ready(generation: Int)
    /// The generation is ready, and would serve less than the one that serves: it is not to take its place.
    case withhold(generation: Int)
    /// The process has ended. Explained if a plugin is to blame, which will not be started as it was again.
    case ended(generation: Int, isExplained: Bool)
    /// No process could be made.
    case cannotStart(generation: Int)
    case stop
    /// What is under way is not waited for any longer.
    case cut
    case tick
  }

  enum KillCause: Sendable, Equatable { case notReady, notDrained, superseded, cut }

  enum Effect: Sendable, Equatable {
    case start(generation: Int, revision: Int, isBare: Bool)
    /// Start a bare generation that serves while another is prepared.
    case standIn(generation: Int, revision: Int)
    case serve(generation: Int)
    /// Pass connections on, finish what is under way, end.
    case handOver(from: Int, to: Int)
    /// The same without an heir.
    case drain(generation: Int)
    case kill(generation: Int, cause: KillCause)
    /// It is prepared later: what served before is started first.
    case setAside(revision: Int)
    /// It did not come to serve, and the one before goes on.
    case refused(generation: Int, revision: Int)
    case becameBare
    case leftBare
    /// No generation has ever served, and none can be made.
    case giveUp
    /// Stopped, and the last process has ended.
    case finished
  }

  /// How long the host may be dark at its beginning before a stand-in is started: what is left of 100 ms pays for its start.
  static let firstPatience: UInt64 = 60_000_000
  /// The same once it has served: a replacement is mostly ready sooner, and connections wait for it in the listen queue.
  static let laterPatience: UInt64 = 1_000_000_000
  static let crashWindow: UInt64 = 10_000_000_000
  static let crashLimit = 3
  static let firstBareInterval: UInt64 = 5_000_000_000
  static let longestBareInterval: UInt64 = 300_000_000_000
  /// Before a start that follows an unexplained end is tried again, doubled each time.
  static let firstRetryInterval: UInt64 = 100_000_000
  static let longestRetryInterval: UInt64 = 30_000_000_000
  /// Starts without a serving generation before the host gives up at its beginning.
  static let patience = 6
  /// Starts in a row that a plugin's fault ended: more than there are plugins, each of which can do so once or twice.
  static let explainedLimit = 200

  /// Generations that live at once, the draining ones included: each is a process, and has fault frames of its own.
  static let generationLimit = 12

  /// How long a process may take to be ready: more than all its plugins may take to load and start.
  var startLimit: UInt64 = 30_000_000_000
  /// How long a process may take to drain; the configuration's, and a little more.
  var drainLimit: UInt64 = 32_000_000_000

  private(set) var generations: [Generation] = []
  private(set) var isStopping = false
  private(set) var hasServed = false
  private(set) var isBare = false
  private var lastNumber = 0
  /// What the next start is made from, should no other be asked for: the last that served.
  private var servedRevision: Int?
  private var wantedRevision = 0
  /// Is prepared as soon as what served last serves again.
  private(set) var pendingRevision: Int?
  private var unexplainedEnds: [UInt64] = []
  private var bareInterval = GenerationPlan.firstBareInterval
  /// When a full generation is tried beside the bare one.
  private var leavesBareAt: UInt64?
  /// A full generation that dies unexplained before then has proven nothing: bare again at once.
  private var bareProbationEnds: UInt64 = 0
  /// A replacement is still wanted, and this is when it is tried.
  private var retryAt: UInt64?
  private var retryInterval = GenerationPlan.firstRetryInterval
  private var failedStarts = 0
  /// The serving generation is to be replaced, whatever becomes of what is being prepared.
  private var isReplacementWanted = false
  /// When a stand-in is started, should no generation serve by then; nil while one does.
  private var standInAt: UInt64?

  /// The generation that takes connections, a stand-in included.
  var serving: Generation? { generations.first { $0.phase == .serving } }
  /// The same without a stand-in, which has nothing that could be lost.
  private var servingInFull: Generation? { serving.flatMap { $0.isStandIn ? nil : $0 } }
  var preparing: Generation? {
    generations.first { $0.phase == .starting && !$0.isKilled && !$0.isStandIn }
  }
  subscript(number: Int) -> Generation? { generations.first { $0.number == number } }

  /// When `tick` will next do something; nil if only events can.
  var nextTick: UInt64? {
    let limits = generations.compactMap { generation -> UInt64? in
      switch generation.phase {
      case _ where generation.isKilled: nil
      case .starting: generation.since &+ startLimit
      case .draining: generation.since &+ drainLimit
      case .serving: nil
      }
    }
    return (limits + [retryAt, leavesBareAt, standInDue].compactMap { $0 }).min()
  }

  /// The one transition. The effects are to be carried out in their order.
  mutating func handle(_ event: Event, at now: UInt64) -> [Effect] {
    switch event {
    case .reload(let revision): return reload(revision, at: now)
    case .replace(let number):
      guard !isStopping, serving?.number == number else { return [] }
      isReplacementWanted = true
      return preparing == nil ? start(at: now) : []
    case .prepareAgain:
      guard !isStopping else { return [] }
      return supersede(at: now) + start(at: now)
    case .ready(let number): return ready(number, at: now)
    case .withhold(let number): return withhold(number, at: now)
    case .ended(let number, let isExplained): return ended(number, isExplained: isExplained, at: now)
    case .cannotStart(let number): return ended(number, isExplained: false, at: now)
    case .stop: return stop(at: now)
    case .cut: return cut()
    case .tick: return tick(at: now)
    }
  }
}

// MARK: Starting

extension GenerationPlan {
  private mutating func reload(_ revision: Int, at now: UInt64) -> [Effect] {
    guard !isStopping else { return [] }
    if isRestarting {
      pendingRevision = revision
      return []
    }
    pendingRevision = nil
    wantedRevision = revision
    // An edit may be the cure: whatever was tried before begins anew.
    isBare = false
    unexplainedEnds = []
    bareInterval = GenerationPlan.firstBareInterval
    retryInterval = GenerationPlan.firstRetryInterval
    return supersede(at: now) + start(at: now)
  }

  /// Nobody serves, and what served last is on its way: edits that follow one another are not to put it off for ever.
  private var isRestarting: Bool {
    guard servingInFull == nil, let preparing, !preparing.isBare else { return false }
    return preparing.revision == servedRevision
  }

  /// What was put off until something serves.
  private mutating func startPending(at now: UInt64) -> [Effect] {
    guard let revision = pendingRevision else { return [] }
    pendingRevision = nil
    wantedRevision = revision
    return start(at: now)
  }

  /// What is being prepared serves nobody, so it may go at once.
  private mutating func supersede(at now: UInt64) -> [Effect] {
    guard let number = preparing?.number else { return [] }
    mark(number) { $0.killed = .superseded }
    return [.kill(generation: number, cause: .superseded)]
  }

  private mutating func start(at now: UInt64) -> [Effect] {
    retryAt = nil
    leavesBareAt = nil
    var effects: [Effect] = []
    if generations.count >= GenerationPlan.generationLimit,
      let oldest = generations.first(where: { $0.phase == .draining && !$0.isKilled })
    {
      mark(oldest.number) { $0.killed = .notDrained }
      effects.append(.kill(generation: oldest.number, cause: .notDrained))
    }
    takeNumber()
    for index in generations.indices
    where generations[index].phase == .starting && generations[index].isKilled {
      generations[index].killed = .superseded
    }
    let generation = Generation(number: lastNumber, revision: wantedRevision, isBare: isBare, since: now)
    generations.append(generation)
    if serving == nil, standInAt == nil {
      standInAt = now &+ (hasServed ? GenerationPlan.laterPatience : GenerationPlan.firstPatience)
    }
    return effects + [.start(generation: lastNumber, revision: wantedRevision, isBare: isBare)]
  }

  /// Numbers whose fault frames a living generation has are passed over.
  private mutating func takeNumber() {
    for _ in 0..<SharedMemory.bankCount {
      lastNumber += 1
      if !generations.contains(where: { isOfOneBank($0.number, lastNumber) }) { break }
    }
  }

  private func isOfOneBank(_ a: Int, _ b: Int) -> Bool { (a - b) % SharedMemory.bankCount == 0 }

  private mutating func ready(_ number: Int, at now: UInt64) -> [Effect] {
    guard let generation = self[number], generation.phase == .starting, !generation.isKilled else {
      return []
    }
    guard !isStopping else {
      mark(number) { $0.begin(.draining, at: now) }
      return [.drain(generation: number)]
    }
    if generation.isStandIn { return standInReady(number, at: now) }
    var effects: [Effect] = [.serve(generation: number)]
    standInAt = nil
    for other in generations where other.isStandIn && other.phase == .starting && !other.isKilled {
      mark(other.number) { $0.killed = .superseded }
      effects.append(.kill(generation: other.number, cause: .superseded))
    }
    if let old = serving {
      mark(old.number) { $0.begin(.draining, at: now) }
      effects.append(.handOver(from: old.number, to: number))
      if old.isBare && !old.isStandIn && !generation.isBare {
        effects.append(.leftBare)
        bareProbationEnds = now &+ max(bareInterval, GenerationPlan.crashWindow)
      }
    }
    mark(number) { $0.begin(.serving, at: now) }
    hasServed = true
    servedRevision = generation.revision
    failedStarts = 0
    isReplacementWanted = false
    retryInterval = GenerationPlan.firstRetryInterval
    retryAt = nil
    leavesBareAt = generation.isBare ? now &+ bareInterval : nil
    return effects + startPending(at: now)
  }

  private mutating func withhold(_ number: Int, at now: UInt64) -> [Effect] {
    guard !isStopping, preparing?.number == number, let generation = self[number] else { return [] }
    let isAlone = servingInFull == nil
    if isAlone { guard let servedRevision, servedRevision != generation.revision else { return [] } }
    mark(number) { $0.killed = .superseded }
    let effects = [.kill(generation: number, cause: .superseded)] + refuse(generation, at: now)
    return isAlone ? effects + start(at: now) : effects
  }

  /// What was prepared does not come to serve, and the serving one goes on.
  private mutating func refuse(_ generation: Generation, at now: UInt64) -> [Effect] {
    wantedRevision = servedRevision ?? wantedRevision
    if servingInFull?.isBare == true {
      scheduleLeavingBare(at: now)
    } else if isReplacementWanted {
      retryLater(at: now)
    }
    return [.refused(generation: generation.number, revision: generation.revision)]
  }
}

// MARK: Stand-ins

extension GenerationPlan {
  /// When one is started; nil if none is wanted.
  private var standInDue: UInt64? {
    guard !isStopping, serving == nil,
      !generations.contains(where: { $0.isStandIn && $0.phase == .starting && !$0.isKilled })
    else { return nil }
    return standInAt
  }

  private mutating func startStandIn(at now: UInt64) -> [Effect] {
    takeNumber()
    generations.append(
      Generation(number: lastNumber, revision: wantedRevision, isBare: true, isStandIn: true, since: now))
    return [.standIn(generation: lastNumber, revision: wantedRevision)]
  }

  private mutating func standInReady(_ number: Int, at now: UInt64) -> [Effect] {
    guard serving == nil else {
      mark(number) { $0.killed = .superseded }
      return [.kill(generation: number, cause: .superseded)]
    }
    mark(number) { $0.begin(.serving, at: now) }
    standInAt = nil
    return [.serve(generation: number)]
  }
}

// MARK: Ends

extension GenerationPlan {
  private mutating func ended(_ number: Int, isExplained: Bool, at now: UInt64) -> [Effect] {
    guard let index = generations.firstIndex(where: { $0.number == number }) else { return [] }
    let generation = generations.remove(at: index)
    if isStopping { return generations.isEmpty ? [.finished] : [] }
    if generation.killed == .superseded { return [] }
    if generation.isStandIn {
      // The next one is not started at once: what ended this one may end it too.
      if generation.phase != .draining { standInAt = now &+ GenerationPlan.laterPatience }
      return []
    }
    switch generation.phase {
    case .draining: return []
    case .serving:
      var effects: [Effect] = []
      standInAt = now &+ GenerationPlan.laterPatience
      if !isExplained { effects += noteUnexplained(at: now) }
      guard preparing == nil else { return effects + setAside(for: generation, at: now) }
      // Not even a bare one lives: the machine is broken, and is not to spin.
      if isBare && generation.isBare && unexplainedEnds.count >= GenerationPlan.crashLimit {
        retryLater(at: now)
      } else {
        effects += start(at: now)
      }
      return effects
    case .starting: return endedStarting(generation, isExplained: isExplained, at: now)
    }
  }

  private mutating func endedStarting(_ generation: Generation, isExplained: Bool, at now: UInt64) -> [Effect]
  {
    failedStarts += 1
    if isExplained && failedStarts < GenerationPlan.explainedLimit { return start(at: now) }
    if servingInFull != nil { return refuse(generation, at: now) }
    var effects: [Effect] = []
    // What served does not start any more: what came after it may.
    if pendingRevision != nil { return noteUnexplained(at: now) + startPending(at: now) }
    let isOther = servedRevision.map { $0 != wantedRevision } ?? false
    // The one that served has died meanwhile: back to what is known to serve.
    if isOther { return refuse(generation, at: now) + start(at: now) }
    if !hasServed && serving == nil && failedStarts >= GenerationPlan.patience { return [.giveUp] }
    effects += noteUnexplained(at: now)
    retryLater(at: now)
    return effects
  }

  /// The serving one has ended. Whatever else is being prepared has not proven that it starts: what served goes first.
  private mutating func setAside(for ended: Generation, at now: UInt64) -> [Effect] {
    guard let preparing, preparing.revision != ended.revision, !ended.isBare, !isBare else { return [] }
    pendingRevision = preparing.revision
    wantedRevision = ended.revision
    return supersede(at: now) + [.setAside(revision: preparing.revision)] + start(at: now)
  }

  private mutating func retryLater(at now: UInt64) {
    retryAt = now &+ retryInterval
    retryInterval = min(retryInterval * 2, GenerationPlan.longestRetryInterval)
  }

  private mutating func noteUnexplained(at now: UInt64) -> [Effect] {
    unexplainedEnds = unexplainedEnds.filter { now &- $0 < GenerationPlan.crashWindow } + [now]
    let isUnproven = now < bareProbationEnds
    guard !isBare, isUnproven || unexplainedEnds.count >= GenerationPlan.crashLimit else { return [] }
    isBare = true
    if isUnproven {
      bareInterval = min(bareInterval * 2, GenerationPlan.longestBareInterval)
    } else {
      bareInterval = GenerationPlan.firstBareInterval
    }
    unexplainedEnds = []
    bareProbationEnds = 0
    return [.becameBare]
  }

  private mutating func scheduleLeavingBare(at now: UInt64) {
    isBare = true
    bareInterval = min(bareInterval * 2, GenerationPlan.longestBareInterval)
    leavesBareAt = now &+ bareInterval
  }
}

// MARK: Time and stopping

extension GenerationPlan {
  private mutating func tick(at now: UInt64) -> [Effect] {
    var effects: [Effect] = []
    for generation in generations where !generation.isKilled {
      let age = now >= generation.since ? now &- generation.since : 0
      switch generation.phase {
      case .starting where age >= startLimit:
        // Its end is waited for, and judged as any other.
        mark(generation.number) { $0.killed = .notReady }
        effects.append(.kill(generation: generation.number, cause: .notReady))
      case .draining where age >= drainLimit:
        mark(generation.number) { $0.killed = .notDrained }
        effects.append(.kill(generation: generation.number, cause: .notDrained))
      default: break
      }
    }
    if let due = standInDue, now >= due { effects += startStandIn(at: now) }
    guard !isStopping, !generations.contains(where: { $0.phase == .starting && !$0.isStandIn }) else {
      return effects
    }
    if let at = retryAt, now >= at { return effects + start(at: now) }
    if let at = leavesBareAt, now >= at {
      isBare = false
      return effects + start(at: now)
    }
    return effects
  }

  private mutating func stop(at now: UInt64) -> [Effect] {
    guard !isStopping else { return [] }
    isStopping = true
    pendingRevision = nil
    retryAt = nil
    leavesBareAt = nil
    if generations.isEmpty { return [.finished] }
    var effects: [Effect] = []
    for generation in generations where !generation.isKilled {
      switch generation.phase {
      case .starting:
        mark(generation.number) { $0.killed = .superseded }
        effects.append(.kill(generation: generation.number, cause: .superseded))
      case .serving:
        mark(generation.number) { $0.begin(.draining, at: now) }
        effects.append(.drain(generation: generation.number))
      case .draining: break
      }
    }
    return effects
  }

  private mutating func cut() -> [Effect] {
    guard isStopping else { return [] }
    return generations.filter { !$0.isKilled }.map { generation in
      mark(generation.number) { $0.killed = .cut }
      return .kill(generation: generation.number, cause: .cut)
    }
  }

  private mutating func mark(_ number: Int, _ change: (inout Generation) -> Void) {
    guard let index = generations.firstIndex(where: { $0.number == number }) else { return }
    change(&generations[index])
  }
}

extension GenerationPlan.Generation {
  fileprivate mutating func begin(_ phase: GenerationPlan.Phase, at now: UInt64) {
    self.phase = phase
    since = now
  }
}

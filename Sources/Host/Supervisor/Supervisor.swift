import Glibc
import LinuxShims

/// The process that must not die: owns the listening sockets and the shared memory, starts workers, replaces them when
/// they die, and runs no plugin code.
///
/// One thread, which waits in poll(2) for signals, workers, files and operators. What is to be done is decided by
/// `GenerationPlan` and `RollBack`, which are values; here it is done.
final class Supervisor {
  let configurationPath: String
  let listenOverride: String?
  let stateDirectory: String
  let memory: SharedMemory
  let states: PluginStateTable
  let counts: PluginCountTable
  let control: ControlServer
  let watch: ConfigurationWatch
  let reader: ConfigurationReader
  let startedAt = Clock.monotonic()
  /// Plugins and workers may take any time, as under a debugger or a memory checker.
  let isDebugging: Bool
  /// Until when workers look after each call of a plugin, since one had to end and nobody is known to have done it.
  var vigilantUntil: UInt64 = 0
  private let signals: FileDescriptor
  /// Nil if nothing can be written to the state directory.
  private var stateLock: FileDescriptor?

  var plan = GenerationPlan()
  /// By generation.
  var workers: [Int: WorkerHandle] = [:]
  /// That served last with its plugins, dead or alive; nil while a bare one does.
  var lastServed: WorkerHandle?
  /// Those that live, or may be asked for again.
  var revisions: [Int: Revision] = [:]
  var lastRevision = 0
  /// The one that serves, or is to be served first.
  var activeRevision = 0
  /// The one that the file as it is now has become; nil if it makes no sense.
  var wantedRevision: Int?
  var listeners = ListenerSet()
  /// Good copies; those in use are the reader's.
  let libraries: LibraryStore
  /// Generations that wait for copies of their libraries.
  var waiting: Set<Int> = []
  var rollBack: RollBack
  var ledger: FaultLedger

  var status = ConfigurationStatus.active
  /// When a notice of a change came last, and first: it is looked at once it has been quiet for a moment.
  var noticedAt: UInt64?
  var firstNoticeAt: UInt64 = 0
  /// What was last tried, so that a file that failed is not tried again without a change.
  var lastTried: Revision?
  /// A file that may be cut off, and until when it is not taken.
  var suspect: Suspect?
  /// What is wrong with the settings of a revision, as its generation has found.
  var rejections: [Int: String] = [:]
  /// The latest fault of each plugin.
  var lastSaid: [String: String] = [:]
  /// When plugins that are out, or held, are tried again.
  var retries = RetrySchedule()
  /// What an edit has put an end to, should it not be taken.
  var endedRollBacks: [String: RollBack.Change] = [:]
  /// Clients of `reload`, by the revision that they wait for.
  var reloading: [(client: ControlServer.Client, revision: Int)] = []
  /// The generation that was last told to serve, until the one before takes no new connection any more.
  var successor: Successor?
  var stopping: [ControlServer.Client] = []
  /// Since the host is to end.
  private(set) var stop: Stop?
  /// When the first SIGINT came.
  private var interruptedAt: UInt64?
  /// Clients of `status` whom the worker has not answered yet, and when they are answered without it.
  var statusDue: [(client: ControlServer.Client, at: UInt64)] = []

  /// As the operator has switched them; they outlive generations.
  var bypass: Bypass?
  var isDraining = false
  var logLevel: LogLevel?

  /// Plugins that took a worker down while it started, by the key of their state: not to be started as they are.
  var culprits: [UInt64: Manifest.Culprit] = [:]
  /// Of the latest generation that was started, by plugin.
  var stateKeys: [String: UInt64] = [:]
  /// Of the latest that served.
  var servedKeys: [String: UInt64] = [:]
  /// By such a key: the identity of the section alone, whatever its library.
  var sections: [UInt64: UInt64] = [:]
  var pace = ReplacementPace()
  var deaths = DeathVerdict()
  /// The `max-rss` that was found to be too little for any worker.
  var warnedSize: Int?
  private var hasStateDirectory = true
  /// How generations ended that did not come to serve.
  var ends: [Int: String] = [:]
  var history = GenerationHistory()
  private var announced: Set<String> = []
  private var idleSignals: Set<Int32> = []
  private var exitStatus: Int32?
  var lookedAt = Clock.monotonic()
  var checkedFilesAt = Clock.monotonic()

  struct Suspect {
    var text: [UInt8]
    var until: UInt64
    /// When it is read again; nil once that is under way.
    var dueAt: UInt64?
    /// Reloads that were asked for meanwhile, and are answered when the file is read again.
    var waiting: [ConfigurationReader.Purpose] = []
  }

  struct Successor {
    var generation: Int
    var revision: Int
    /// When it is announced in any case: the one before may be at a standstill.
    var dueAt: UInt64
    /// The generation before.
    var from: Int?
  }

  struct Stop {
    /// The generation that serves to the last.
    var generation: Int?
    /// When new connections are refused in any case: that generation may be at a standstill.
    var closesAt: UInt64?
    /// What was under way then is not waited for.
    var isCut = false
  }

  /// Opens everything that workers share.
  ///
  /// - Throws: what the system refuses: a port in use, a state directory that cannot be made or is another host's.
  init(
    source: ConfigurationSource, path: String, listenOverride: String?, isDebugging: Bool = false
  ) throws(SystemError) {
    self.isDebugging = isDebugging
    configurationPath = path
    self.listenOverride = listenOverride
    stateDirectory = source.configuration.host.stateDirectory
    stateLock = try StateDirectory.openIfWritable(stateDirectory)
    let isWritable = stateLock != nil
    memory = try SharedMemory.create()
    guard let states = PluginStateTable(memory), let counts = PluginCountTable(memory) else {
      throw SystemError("shared memory", ENOMEM)
    }
    self.states = states
    self.counts = counts
    // A log that nobody reads any more is no reason to end.
    IdleSignals.ignoreFailedWrites()
    let wanted = [SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGQUIT] + IdleSignals.all
    signals = FileDescriptor(raw: try checked("signalfd") { shim_block_signals(wanted, Int32(wanted.count)) })
    libraries = try LibraryStore(stateDirectory: stateDirectory, isWritable: isWritable)
    ledger = try FaultLedger(stateDirectory: stateDirectory, isWritable: isWritable)
    rollBack = RollBack(good: Supervisor.readGoodIndex(libraries))
    let host = source.configuration.host
    let opened = try listeners.take(host.listen, mode: host.socketMode, from: [])
    control = try ControlServer(stateDirectory: isWritable ? stateDirectory : nil)
    watch = ConfigurationWatch()
    reader = try ConfigurationReader(
      path: path, listenOverride: listenOverride, libraries: libraries)
    PreloadedAllocator.sayIfThere()
    lastRevision = 1
    activeRevision = 1
    wantedRevision = 1
    revisions[1] = Revision(number: 1, source: source, listeners: opened)
    lastTried = revisions[1]
    follow()
  }

  /// Serves until a signal or an operator ends it. The exit status.
  func run() -> Int32 {
    step(.reload(revision: 1))
    while exitStatus == nil {
      waitForNews()
      takeSignals()
      hearWorkers()
      reapWorkers()
      takeNotices()
      takeFindings()
      for request in control.serve(at: Clock.monotonic()) { take(request) }
      watchTimes()
      tellHistory()
    }
    end()
    return exitStatus ?? 0
  }

  /// Who hears that the host is stopped may start the next one at once: all that only one host can have is let go
  /// before that, the lock last, since under it names are removed that the next host makes anew.
  private func end() {
    control.closeListener()
    listeners.closeAll()
    stateLock?.close()
    control.answerLast(stopping, "stopped\n")
  }

  // MARK: The state directory

  /// Somebody has removed it, or put another in its place: operators would find nobody there, and faults no place. What was in
  /// it is lost; what is needed from now on is made anew. Nothing if it is as it was, or is another host's by now.
  func mendStateDirectory() {
    let path = "\(stateDirectory)/\(StateDirectory.lockName)"
    guard let held = stateLock, !StateDirectory.isInPlace(held, at: path) || !control.isInPlace else {
      return
    }
    do throws(SystemError) {
      if !StateDirectory.isInPlace(held, at: path) {
        let lock = try StateDirectory.open(stateDirectory)
        held.close()
        stateLock = lock
      }
      try ledger.makeDirectory()
      reader.makeDirectories()
      try control.listenAnew(in: stateDirectory)
      hasStateDirectory = true
      Log.shared.write(.warning, "the state directory \(stateDirectory) was removed, and is made anew")
    } catch {
      // Said once: it is tried again every few seconds.
      if hasStateDirectory {
        Log.shared.write(
          .error, "the state directory \(stateDirectory) was removed, and cannot be made anew: \(error)")
      }
      hasStateDirectory = false
    }
  }

  // MARK: Effects

  /// Carries an event through the plan.
  func step(_ event: GenerationPlan.Event) {
    for effect in plan.handle(event, at: Clock.monotonic()) { perform(effect) }
    if let successor, successor.from == nil { announceSuccessor() }
  }

  /// Tells those who wait for it that a generation serves: from then on they meet no older one.
  func announceSuccessor() {
    guard let found = successor else { return }
    successor = nil
    if let held = revisions[found.revision]?.held {
      return answerReloads(upTo: found.revision, isYes: false, Supervisor.refusal(held))
    }
    answerReloads(upTo: found.revision, isYes: true, "generation \(found.generation) serves\n")
  }

  private func perform(_ effect: GenerationPlan.Effect) {
    switch effect {
    case .start(let generation, let revision, let isBare): start(generation, revision, isBare: isBare)
    case .standIn(let generation, let revision): startStandIn(generation, revision)
    case .serve(let generation): serve(generation)
    case .handOver(let old, let new): handOver(from: old, to: new)
    case .drain(let generation): workers[generation]?.tell("drain")
    case .kill(let generation, let cause): end(generation, cause)
    case .setAside: resumeServed()
    case .refused(let generation, let revision): refused(generation, revision)
    case .becameBare:
      Log.shared.write(
        .error, "workers die again and again, and no plugin is to blame: going on without plugins")
    case .leftBare: Log.shared.write(.info, "the plugins are back")
    case .giveUp:
      Log.shared.write(.error, "no worker can be started; giving up")
      exitStatus = ExitStatus.unavailable.rawValue
    case .finished:
      exitStatus = (stop?.isCut == true ? ExitStatus.interrupted : ExitStatus.success).rawValue
    }
  }

  private func serve(_ generation: Int) {
    guard let worker = workers[generation], let number = plan[generation]?.revision else { return }
    worker.tell("serve")
    guard let revision = revisions[number] else { return }
    guard plan[generation]?.isStandIn == false else {
      // This is logged before the addresses are announced, since scripts wait for those.
      Log.shared.write(
        .warning, "generation \(generation), pid \(worker.pid), answers without plugins while they start")
      announce(revision)
      return history.serves(generation, pid: worker.pid, at: Clock.realtime())
    }
    announce(revision)
    if let lastServed { keepPredecessors(of: worker, before: lastServed) }
    lastServed = worker.manifest.isBare ? nil : worker
    activeRevision = number
    let host = revision.configuration.host
    Log.shared.configure(level: logLevel ?? host.logLevel, format: host.logFormat)
    Log.shared.write(.info, "generation \(generation) serves, pid \(worker.pid)")
    history.serves(generation, pid: worker.pid, at: Clock.realtime())
    plan.drainLimit = host.drainTimeout.nanoseconds &+ 2_000_000_000
    dropRevisions()
    servedKeys = stateKeys
    if plan.preparing == nil { endedRollBacks = [:] }
    noteServing(worker, revision)
    if number == wantedRevision { settle(revision.held.map { .held($0) } ?? .active) }
    planRetries()
    successor = Successor(generation: generation, revision: number, dueAt: Clock.monotonic() &+ 1_000_000_000)
    askDueStatus()
    // From here on there is little to do but wait.
    shim_release_code()
  }

  /// What scripts wait for, whatever the level of the log.
  private func announce(_ revision: Revision) {
    for open in revision.listeners where announced.insert(open.listener.text).inserted {
      Log.shared.announce("bulkhead: listening on \(open.listener.text)")
    }
  }

  /// The old worker passes its connections to the new one, and ends.
  private func handOver(from old: Int, to new: Int) {
    guard let old = workers[old], let new = workers[new] else { return }
    successor?.from = old.generation
    do throws(SystemError) {
      let (first, second) = try WorkerHandle.socketPair()
      defer {
        first.close()
        second.close()
      }
      try new.tell("adopt", with: first)
      try old.tell("handover", with: second)
    } catch {
      Log.shared.write(.warning, "connections are not handed over: \(error)")
      old.tell("drain")
    }
  }

  private func end(_ generation: Int, _ cause: GenerationPlan.KillCause) {
    guard let worker = workers[generation] else {
      // It waits for its libraries, and has no process yet.
      if waiting.remove(generation) != nil { step(.ended(generation: generation, isExplained: false)) }
      return
    }
    switch cause {
    case .notReady:
      Log.shared.write(.error, "generation \(generation) is not ready in time: ending it")
      worker.isHung = true
    case .notDrained: Log.shared.write(.warning, "generation \(generation) does not end: killing it")
    case .superseded: Log.shared.write(.info, "generation \(generation) is superseded before it served")
    case .cut: break
    }
    kill(worker.pid, SIGKILL)
  }

  /// Revisions that no generation is made from, and their sockets.
  func dropRevisions() {
    let live = Set(plan.generations.filter { $0.phase != .draining }.map(\.revision) + [activeRevision])
    revisions = revisions.filter { live.contains($0.key) || $0.key == plan.pendingRevision }
    listeners.keep(only: revisions.values.map(\.listeners))
    for number in ends.keys where plan[number] == nil && number < (plan.serving?.number ?? 0) {
      ends[number] = nil
    }
  }

  // MARK: Waiting

  private func waitForNews() {
    let live = workers.values.map { pollfd(fd: $0.control.raw, events: Int16(POLLIN), revents: 0) }
    let speaking = workers.values.filter(\.output.isOpen)
      .map { pollfd(fd: $0.output.reading.raw, events: Int16(POLLIN), revents: 0) }
    var descriptors =
      [
        pollfd(fd: signals.raw, events: Int16(POLLIN), revents: 0),
        pollfd(fd: watch.descriptor?.raw ?? -1, events: Int16(POLLIN), revents: 0),
        pollfd(fd: reader.descriptor.raw, events: Int16(POLLIN), revents: 0),
      ] + live + speaking + control.interests
    let now = Clock.monotonic()
    // Once a second in any case: hearts are listened to, and files looked at.
    let due =
      [
        plan.nextTick, rollBack.nextPass, quietAt, control.nextDeadline, successor?.dueAt, stop?.closesAt,
        statusDue.map(\.at).min(), suspect?.dueAt, plan.preparing == nil ? retries.nextDue : nil,
        startDue?.at,
      ].compactMap { $0 }.min() ?? .max
    let wait = due <= now ? 0 : min((due - now) / 1_000_000 + 1, 1000)
    _ = poll(&descriptors, nfds_t(descriptors.count), Int32(wait))
  }

  private func takeSignals() {
    var info = signalfd_siginfo()
    while read(signals.raw, &info, MemoryLayout<signalfd_siginfo>.size) > 0 {
      let number = Int32(info.ssi_signo)
      if number != SIGCHLD, let worker = worker(ofProcess: pid_t(bitPattern: info.ssi_pid)) {
        ignore(number, from: worker)
        continue
      }
      switch number {
      case SIGTERM: stopServing()
      case SIGINT: interrupt()
      case SIGHUP: reload(for: .nobody, isForced: false)
      // nginx's word for it.
      case SIGQUIT: stopServing()
      case let number where IdleSignals.all.contains(number): noteIdle(number)
      default: break
      }
    }
  }

  /// Says so once: who sends it does so every night.
  private func noteIdle(_ number: Int32) {
    guard idleSignals.insert(number).inserted else { return }
    let hint = number == SIGUSR1 ? ": the log is standard error, and there is nothing to reopen" : ""
    Log.shared.write(
      .warning, "signal \(number) (\(String(cString: strsignal(number)))) is disregarded\(hint)")
  }

  /// The worker that the process is, or is of: what its plugins have forked is in its group.
  private func worker(ofProcess pid: pid_t) -> WorkerHandle? {
    guard pid > 0 else { return nil }
    let group = getpgid(pid)
    return workers.values.first { $0.pid == pid || $0.pid == group }
  }

  /// No worker signals its supervisor: it is a plugin, and it is not for plugins to stop the host.
  private func ignore(_ signal: Int32, from worker: WorkerHandle) {
    let plugin = occupants(of: worker).max { $0.since < $1.since }.map {
      worker.configuration.plugins[$0.plugin].name
    }
    Log.shared.write(
      .warning,
      "signal \(signal) of generation \(worker.generation) is ignored: sent by a plugin"
        + (plugin.map { ", \($0) as it seems" } ?? ""),
      fields: plugin.map { [("plugin", $0)] } ?? [])
  }

  func stopServing() {
    guard stop == nil else { return }
    Log.shared.write(.info, "stopping: requests in flight are finished first")
    stop = Stop(generation: plan.serving?.number, closesAt: Clock.monotonic() &+ 5_000_000_000)
    step(.stop)
  }

  /// New connections are refused, whichever worker still has the sockets. Not before the last worker has taken those that
  /// wait: the kernel resets them.
  func closeListeners() {
    stop?.closesAt = nil
    listeners.closeAll()
  }

  /// Ctrl-C: stops, and the second time ends. What starts the host may pass on a signal that the terminal has sent to both:
  /// that is no second time.
  private func interrupt() {
    let now = Clock.monotonic()
    guard let first = interruptedAt else {
      interruptedAt = now
      stopServing()
      return Log.shared.write(.info, "interrupt once more (Ctrl-C) to end without them")
    }
    guard now &- first >= Supervisor.echo, stop?.isCut == false else { return }
    Log.shared.write(.warning, "interrupted again: ending now, requests in flight are cut off")
    stop?.isCut = true
    step(.cut)
  }

  private static let echo: UInt64 = 200_000_000

  private func watchTimes() {
    let now = Clock.monotonic()
    step(.tick)
    if let quietAt, now >= quietAt { examine() }
    if let at = suspect?.dueAt, now >= at, noticedAt == nil { lookAgain() }
    retryDue(at: now)
    endLateStart(at: now)
    if let successor, now >= successor.dueAt { announceSuccessor() }
    if let at = stop?.closesAt, now >= at { closeListeners() }
    answerLateStatus(at: now)
    passProbations(at: now)
    listenToHearts(at: now)
    lookAtFiles(at: now)
    lookedAt = now
  }
}

import Glibc
import HTTPCodec
import LinuxShims
import Synchronization

/// One generation in its process: a configuration, its plugins, its loops.
///
/// Made on the main thread; constant once the loops run, but for what each part says of itself.
final class Worker: @unchecked Sendable {
  let generation: Int
  let configuration: Configuration
  let configurationPath: String
  /// Which middleware is switched off, in `Bypass.allCases`.
  private let bypassIndex = Atomic<Int>(0)
  /// Out of readiness, by the operator.
  let isDraining: Atomic<Bool>
  /// Whether the configuration, as its files are now, is what serves.
  let configurationStatus: Mutex<ConfigurationStatus>
  /// What became of generations, as the supervisor has it: a JSON array.
  let history = Mutex<String>("[]")
  let isBare: Bool
  /// It is bare until the generation that is being prepared can take its place.
  let isStandIn: Bool
  let listeners: [Listener]
  let limits: CodecLimits
  /// The same, but bodies may be as long as any route has them; how long, is judged once the route is known.
  private(set) var parserLimits: CodecLimits
  let timeouts: Timeouts
  let hasTrustedProxies: Bool
  let faults: FaultLog
  let startedAt = Clock.monotonic()
  let plugins: [Plugin]
  private(set) var pool: BlockingPool!
  private let timers = PluginTimers()
  private(set) var watchdog: Watchdog!
  private(set) var loopThreads: LoopThreads!
  private(set) var sharedState: SharedStateWatch!
  private(set) var pipeline: Pipeline!
  private(set) var builtIns: BuiltIns!
  private(set) var loops: [EventLoop] = []
  /// Plugins whose sections were edited.
  private let edited: Set<String>
  /// What is wrong with their settings: then nothing was started, and nothing can be.
  private(set) var rejection: ConfigurationErrors?
  /// Probes that did not get the answer that the configuration wants.
  let probeFailures = Mutex<[ProbeFailure]>([])
  private let running = Atomic<Int>(0)
  private let memory: SharedMemory
  /// Tells the supervisor something; any thread.
  var report: @Sendable (String) -> Void = { _ in }

  /// Nanoseconds.
  struct Timeouts {
    let head: UInt64
    let body: UInt64
    let idle: UInt64
    let request: UInt64
  }

  /// A worker before this one had to end, and nobody is known to have done it.
  private let startsVigilant: Bool
  let isChecked = MemoryChecker.current != nil
  /// Plugins and workers may take any time, as under a debugger or a memory checker.
  let isDebugging: Bool

  private static let poolThreads = 32
  private static let maxLoops = 32
  private let nextFrame = Atomic<Int>(0)
  /// The main thread's, which starts plugins and stops them.
  private(set) var mainFrame: FaultFrame!

  init(
    manifest: Manifest, configuration: Configuration, listeners: [Listener], memory: SharedMemory
  ) {
    generation = manifest.generation
    self.configuration = configuration
    configurationPath = manifest.configurationPath
    configurationStatus = Mutex(manifest.configurationStatus)
    isBare = manifest.isBare
    isStandIn = manifest.isStandIn
    startsVigilant = manifest.isVigilant
    isDebugging = manifest.isDebugging
    edited = manifest.edited
    isDraining = Atomic(manifest.isDraining)
    self.listeners = listeners
    self.memory = memory
    let host = configuration.host
    limits = CodecLimits(
      maxTarget: min(8192, host.maxHead), maxHead: host.maxHead, maxBody: host.maxBody, maxFields: 100)
    parserLimits = limits
    timeouts = Timeouts(
      head: host.headTimeout.nanoseconds, body: host.bodyTimeout.nanoseconds,
      idle: host.idleTimeout.nanoseconds,
      request: host.requestTimeout.nanoseconds)
    hasTrustedProxies = !host.trustedProxies.isEmpty
    let faults = FaultLog(generation: manifest.generation)
    self.faults = faults
    let counts = PluginCountTable(memory)
    plugins =
      isBare
      ? []
      : configuration.plugins.enumerated().map { index, plugin in
        let entry = manifest[plugin: plugin.name]
        let made = Plugin(
          index: index, configuration: plugin, sha256: entry?.sha256,
          source: entry.map { .copy($0.copy) } ?? .file,
          rolledBack: entry?.rolledBack, faults: faults)
        if let key = entry?.stateKey, key != 0, let table = PluginStateTable(memory) {
          made.stateCell = PluginStateCell(table: table, key: key, generation: manifest.generation)
        }
        if let counts { made.metrics.join(counts, name: plugin.name) }
        return made
      }
    setBypass(manifest.bypass ?? configuration.bypass)
  }

  static func loopCount(_ host: HostConfiguration) -> Int {
    min(host.threads ?? max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))), maxLoops)
  }

  /// A frame that no thread has. There are enough for every loop, pool thread, and thread lost.
  func takeFrame() -> FaultFrame {
    let index = nextFrame.wrappingAdd(1, ordering: .relaxed).oldValue
    return memory.frame(min(index, SharedMemory.frameCount - 1), generation: generation)
  }

  /// A plugin is on a stack, be it another than this one.
  func isAtWork(besides plugin: Plugin?) -> Bool {
    (0..<SharedMemory.frameCount).contains(where: {
      memory.frame($0, generation: generation).occupant.map { $0.plugin != plugin?.index } ?? false
    })
  }

  /// Nothing is under way on any loop or pool thread.
  var isQuiet: Bool {
    !isStopping && pool.isQuiet && loopThreads.isQuiet && loops.allSatisfy { $0.turnStartedAt == 0 }
  }

  // MARK: Starting

  /// Loads and starts the plugins, makes the pipeline, starts the loops and runs the probes. What goes wrong with a
  /// plugin is the plugin's state; what is thrown is the system's. With a `rejection` it ends before anything is started.
  func prepare(culprits: [Manifest.Culprit]) throws(SystemError) {
    Backtrace.prepare()
    let background = takeFrame()
    let frames = memory.frames
    try checked("sigaction") { guard_prepare(background.guarded, frames.first, frames.count) }
    guard_remember_handlers()
    sharedState = SharedStateWatch(worker: self)
    if startsVigilant { sharedState.beVigilant() }
    // A memory checker has handlers and stacks of its own, and keeps them.
    if !isChecked { for plugin in plugins { plugin.sharedState = sharedState } }
    try startPlugins(culprits)
    guard rejection == nil else { return }
    pipeline = makePipeline()
    parserLimits.maxBody = max(limits.maxBody, pipeline.routes.longestStreamedBody)
    watchdog = try Watchdog(worker: self, background: background)
    for plugin in plugins {
      plugin.onTaint = { plugin, reason, isRelapse in
        self.report("\(isRelapse ? "relapse" : "taint") \(plugin.name) \(reason.rawValue)")
      }
    }
    pool = BlockingPool(
      limit: Worker.poolThreads, takeFrame: { self.takeFrame() }, started: { self.watchdog.poke() })
    for index in 0..<Worker.loopCount(configuration.host) {
      loops.append(try EventLoop(index: index, worker: self, frame: background))
    }
    loopThreads = LoopThreads(worker: self)
    sharedState.remember(loops.flatMap(\.descriptors) + listeners.map(\.descriptor.raw))
    for loop in loops {
      running.wrappingAdd(1, ordering: .relaxed)
      try loopThreads.start(loop)
    }
    try loopThreads.start()
    try watchdog.start()
    if !isChecked { try sharedState.start() }
    if !isBare { try runProbes() }
  }

  private func startPlugins(_ culprits: [Manifest.Culprit]) throws(SystemError) {
    let environment = PluginEnvironment(
      configurationPath: configurationPath, stateDirectory: configuration.host.stateDirectory,
      generation: UInt32(generation), loopCount: UInt32(Worker.loopCount(configuration.host)),
      host: HostTable.shared, corsSettings: configuration.corsEntries)
    let frame = takeFrame()
    mainFrame = frame
    try checked("sigaltstack") { guard_adopt_thread(frame.guarded) }
    // As it is from here on it has to stay.
    _ = guard_mend_thread()
    rejection = settingsErrors(culprits, environment, frame)
    guard rejection == nil else { return }
    var images = PluginImages(capacity: plugins.count)
    for plugin in plugins {
      let culprit = culprits.first { $0.plugin == plugin.name }
      plugin.timers = timers
      if plugin.configuration.mode == .off {
        plugin.switchOff()
        continue
      }
      if let culprit {
        plugin.fail(PluginFailure(reason: culprit.reason, message: culprit.message))
        continue
      }
      frame.enter(
        plugin: plugin.index, phase: FaultFrame.Phase.start, requestID: bh_bytes(), at: Clock.monotonic())
      plugin.load(environment: environment) { images.add($0, plugin: plugin.index) }
      frame.leave()
      plugin.resume()
    }
    setBypass(bypass)
    if bypass != .off {
      Log.shared.write(
        .warning, "bypass is \(bypass.rawValue): \(bypass == .all ? "no" : "no heavy") middleware runs")
    }
  }

  /// All that is wrong with the settings of sections that were edited.
  private func settingsErrors(
    _ culprits: [Manifest.Culprit], _ environment: PluginEnvironment, _ frame: FaultFrame
  ) -> ConfigurationErrors? {
    var errors: [ConfigurationError] = []
    for plugin in plugins where edited.contains(plugin.name) && plugin.configuration.mode != .off {
      guard !culprits.contains(where: { $0.plugin == plugin.name }) else { continue }
      frame.enter(
        plugin: plugin.index, phase: FaultFrame.Phase.start, requestID: bh_bytes(), at: Clock.monotonic())
      errors += plugin.settingsErrors(environment: environment)
      frame.leave()
    }
    errors += mountErrors()
    return errors.isEmpty ? nil : ConfigurationErrors(errors)
  }

  /// Of routers of which at least one was edited: two of them at one mount.
  private func mountErrors() -> [ConfigurationError] {
    let routers = plugins.filter {
      $0.configuration.mode != .off && $0.capabilities.contains(.routes)
    }
    return MountCheck.conflicts(among: routers.map(\.configuration)).compactMap { first, second in
      guard edited.contains(first.name) || edited.contains(second.name) else { return nil }
      return ConfigurationError(
        path: configurationPath, line: second.line,
        message: MountCheck.message(of: second, and: first, line: first.line))
    }
  }

  var bypass: Bypass { Bypass.allCases[bypassIndex.load(ordering: .relaxed)] }

  /// Switches middleware off, or on again, for the requests to come. One thread at a time.
  func setBypass(_ mode: Bypass) {
    bypassIndex.store(Bypass.allCases.firstIndex(of: mode) ?? 0, ordering: .relaxed)
    for plugin in plugins where plugin.configuration.mode != .off {
      plugin.setBypassed(mode == .all || mode == .heavy && plugin.configuration.isHeavy)
    }
  }

  /// A plugin whose routes another has taken already does not start; the rest of the table is made without it.
  private func makePipeline() -> Pipeline {
    builtIns = BuiltIns(worker: self)
    while true {
      do throws(RouteTable.Conflict) {
        let table = try RouteTable(plugins)
        return Pipeline(
          plugins: plugins, middleware: plugins, routes: table,
          cors: configuration.cors, builtIns: builtIns, isBare: isBare, maxBody: limits.maxBody)
      } catch {
        error.plugin.fail(PluginFailure(reason: .startFailed, message: error.message))
        error.plugin.routes = []
      }
    }
  }

  // MARK: Frozen threads

  /// A thread of ours froze in a plugin: it is quarantined for all loops, and this worker is to be replaced.
  func freeze(_ frame: FaultFrame, exchange: Exchange?) {
    guard let occupant = frame.occupant else { return }
    // A later one may wait for what an earlier frozen thread holds, or meet memory that the first has spoilt. Should it be
    // its own, it will come again in the next worker.
    let wasTainted = faults.isTainted.exchange(true, ordering: .relaxed)
    plugins[occupant.plugin].freeze(
      in: frame, reason: occupant.hasCrashed ? .crashed : .hung, exchange: exchange, isCollateral: wasTainted)
  }

  /// A thread is frozen in a plugin, with whatever locks it held, malloc's among them. This worker is to be replaced.
  var isTainted: Bool { faults.isTainted.load(ordering: .relaxed) }

  // MARK: Serving and ending

  private let adopting = Atomic<Int>(0)

  /// The worker before may still pass connections on.
  var isAdopting: Bool { adopting.load(ordering: .sequentiallyConsistent) > 0 }

  func startTimers() { timers.begin(on: pool) }

  func startAccepting() {
    startTimers()
    for loop in loops { loop.post(.startAccepting) }
  }

  /// Passes connections on to the next worker; the loops end when they have none left.
  func handOver(on socket: FileDescriptor) {
    timers.end()
    for loop in loops { loop.post(.handOver(HandOver(socket: socket))) }
  }

  private let loopsNotAccepting = Atomic<Int>(0)

  /// A loop that hands over or drains takes no connection any more. When none does, the supervisor is told.
  func loopStoppedAccepting() {
    if loopsNotAccepting.wrappingAdd(1, ordering: .relaxed).newValue == loops.count { report("passing") }
  }

  /// Takes the connections that the worker before passes on.
  func adopt(from socket: FileDescriptor) {
    adopting.wrappingAdd(1, ordering: .sequentiallyConsistent)
    let isStarted = Thread.start(named: "adopt") {
      HandOver(socket: socket).receive(into: self.loops)
      self.adoptionEnded()
    }
    if !isStarted {
      socket.close()
      adoptionEnded()
    }
  }

  private func adoptionEnded() {
    adopting.wrappingSubtract(1, ordering: .sequentiallyConsistent)
    for loop in loops { loop.post(.adoptionEnded) }
  }

  /// Adds what this generation has counted to the host's counts.
  func carryCounts() {
    for plugin in plugins { plugin.metrics.carry() }
  }

  func drain() {
    timers.end()
    for loop in loops { loop.post(.drain) }
  }

  /// A loop has come to its end, on whatever thread it was by then.
  func loopEnded() { running.wrappingSubtract(1, ordering: .releasing) }

  var isRunning: Bool { running.load(ordering: .acquiring) > 0 }

  /// After the last request: lets plugins close what they have open. If any thread may still be in one, the process
  /// ends by force, and no plugin is stopped: `stop` frees what that thread uses, or waits for what it holds.
  func stop(by deadline: UInt64) {
    guard !isTainted else { return }
    guard pool.end(by: deadline), !isRunning, loopThreads.waitUntilQuiet(by: deadline) else {
      return Log.shared.write(
        .warning, "requests are still under way: plugins are ended without being stopped")
    }
    stopping.store(true, ordering: .sequentiallyConsistent)
    watchdog.poke()
    for plugin in plugins.reversed() {
      mainFrame.enter(
        plugin: plugin.index, phase: FaultFrame.Phase.stop, requestID: bh_bytes(), at: Clock.monotonic())
      plugin.stop()
      mainFrame.leave()
    }
    stopping.store(false, ordering: .sequentiallyConsistent)
  }

  /// Plugins are being stopped, on the main thread.
  var isStopping: Bool { stopping.load(ordering: .sequentiallyConsistent) }
  private let stopping = Atomic<Bool>(false)

  /// A plugin that does not come back from its `stop` is not waited for: the process is the worker's alone. Set before it is
  /// prepared.
  var endsByForce = false

  /// The main thread is lost in a plugin's `stop`. That is on record, and held against nobody, as nothing is asked of the
  /// plugin any more. The others are not stopped: that would be the main thread's to do.
  func endWithoutStopping() -> Never {
    if let occupant = mainFrame.occupant { plugins[occupant.plugin].failToStop(in: mainFrame) }
    _exit(0)
  }

  // MARK: What no worker can live with

  /// What this process needs to serve is gone: the supervisor starts another.
  static func giveUp(_ why: String) -> Never {
    Log.shared.write(.error, "\(why); ending the worker")
    _exit(70)
  }

  /// Tells the operator, once, that a signal came that nobody had a use for.
  func noteStraySignal() {
    let signal = stray_signals_take()
    guard signal != 0, !hasToldOfStraySignal.exchange(true, ordering: .relaxed) else { return }
    let name = strsignal(signal).map { String(cString: $0) } ?? "unknown"
    let meaning =
      OperatorSignals.all.contains(signal)
      ? "it is ignored: workers end when their supervisor, pid \(getppid()), says so"
      : "by a plugin's doing; it is ignored"
    Log.shared.write(.warning, "signal \(signal) (\(name)) came to the worker, \(meaning)")
  }

  private let hasToldOfStraySignal = Atomic<Bool>(false)
}

extension Worker {
  /// What serves in the place of the plugin's library file: an older copy that this generation has loaded, or what it has
  /// loaded while a newer file is not taken. Any thread.
  func rolledBack(_ plugin: Plugin) -> RollBack.Change? {
    plugin.rolledBack ?? configurationStatus.withLock { $0.held?.rolledBack[plugin.name] }
  }
}

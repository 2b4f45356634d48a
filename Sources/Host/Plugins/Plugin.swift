import Glibc
import Synchronization

/// One plugin of a generation: what the configuration says of it, its library if that could be loaded, and its state.
///
/// Made and started on the main thread before any loop runs; from then on everything but the state is constant.
final class Plugin: @unchecked Sendable {
  let index: Int
  let configuration: PluginConfiguration
  let name: String
  /// Of the library's file, in lower-case hexadecimal; nil if it could not be computed.
  let sha256: String?
  /// What is loaded for the file.
  let source: PluginLibrary.Source
  /// The copy is an older one, that served well.
  let rolledBack: RollBack.Change?
  /// Where its state is kept for the generations to come; nil if nowhere. Set before it is loaded.
  var stateCell: PluginStateCell?
  /// What it took over from the generation before.
  var resumed: PluginStateTable.Saved?
  /// A plugin of the host's own, for tests: its table stands for a library. Set before it is loaded.
  var builtIn: UnsafePointer<bh_plugin>?
  /// Where its timers are kept; those of a worker fire. Set before it is loaded.
  var timers = PluginTimers()
  /// Looks after what it shares with the host; nil in a process of the plugin's own. Set before it is loaded.
  var sharedState: SharedStateWatch?
  private(set) var library: PluginLibrary?
  private(set) var instance: UnsafeMutableRawPointer?
  /// Registered during `start`.
  var routes: [RegisteredRoute] = []
  let metrics = PluginMetrics()
  let logQuota = LogQuota()

  /// The fast answer to "may it run?": 0 runs; anything else asks `quarantine`.
  let gate = Atomic<UInt8>(0)
  let quarantine: Mutex<Quarantine>
  /// Until when its calls are made off the loops, as one was slow there; monotonic, 0 for not at all.
  let offLoopsUntil = Atomic<UInt64>(0)
  /// When it was last logged that it blocks loops.
  let toldOfSlowCallAt = Atomic<UInt64>(0)
  /// Its request and response phases are skipped, by the operator's switch.
  let isBypassed = Atomic<Bool>(false)

  let faults: FaultLog
  private let madeAt = Clock.monotonic()
  /// Its generation has clients.
  let isServing = Atomic<Bool>(false)

  // Copies of what the hot path needs.
  private(set) var requestPhase: RequestFunction?
  private(set) var responsePhase: RequestFunction?
  private(set) var handler: HandlerFunction?
  let isShadow: Bool
  /// Nanoseconds of one call on a loop, and of one that may block.
  private let loopTimeout: UInt64
  private let blockingTimeout: UInt64
  let fails: FailurePolicy

  typealias RequestFunction =
    @convention(c) (UnsafeMutableRawPointer?, OpaquePointer?, UnsafePointer<bh_request>?) -> bh_status
  typealias HandlerFunction =
    @convention(c) (UnsafeMutableRawPointer?, UInt32, OpaquePointer?, UnsafePointer<bh_request>?) -> bh_status

  init(
    index: Int, configuration: PluginConfiguration, sha256: String?, source: PluginLibrary.Source = .file,
    rolledBack: RollBack.Change? = nil, faults: FaultLog
  ) {
    self.index = index
    self.configuration = configuration
    self.name = configuration.name
    self.sha256 = sha256
    self.source = source
    self.rolledBack = rolledBack
    self.faults = faults
    self.isShadow = configuration.mode == .shadow
    loopTimeout = (configuration.timeout ?? .seconds(2)).nanoseconds
    blockingTimeout = (configuration.timeout ?? Plugin.longestTimeout).nanoseconds
    self.fails = configuration.mode == .shadow ? .open : configuration.onFailure
    self.quarantine = Mutex(Quarantine(policy: configuration))
  }

  var capabilities: PluginLibrary.Capabilities { library?.capabilities ?? [] }

  /// False until it has started: what it could do, had it loaded, is not known.
  var isStarted: Bool { instance != nil || requestPhase != nil || responsePhase != nil || handler != nil }

  /// What the C functions take for this plugin.
  var handle: OpaquePointer { Handle.of(self) }

  // MARK: Loading and starting

  /// Checks the file, the pin, the ABI and the settings, then starts the plugin and has it test itself.
  ///
  /// - Parameter willStart: called once the library is there, before anything but its constructors has run.
  func load(environment: PluginEnvironment, willStart: (PluginLibrary) -> Void = { _ in }) {
    do throws(PluginFailure) {
      let library = try checkedLibrary()
      willStart(library)
      try lookAfter("as it was loaded")
      let settings: [SettingValue]
      switch checkedSettings(library, environment) {
      case .success(let values): settings = values
      case .failure(let errors): throw PluginFailure(reason: .badSettings, message: errors.description)
      }
      try start(library, settings, environment)
      try lookAfter("in its start")
      try selfTest(library)
      try lookAfter("in its self-test")
    } catch {
      fail(error)
    }
  }

  /// Looks after what the plugin's code, which has just run, shares with the host.
  private func lookAfter(_ place: String) throws(PluginFailure) {
    guard let sharedState else { return }
    let left = guard_is_processor_well() ? 0 : guard_mend_processor()
    guard let what = sharedState.lookFromPluginThread() ?? Tampering.text(left) else { return }
    throw PluginFailure(reason: .tampered, message: "\(place) it \(what)")
  }

  /// What is wrong with its settings, before anything is started. Nothing, if the library cannot be loaded, of which `load`
  /// tells.
  func settingsErrors(environment: PluginEnvironment) -> [ConfigurationError] {
    do throws(PluginFailure) {
      let library = try checkedLibrary()
      switch checkedSettings(library, environment) {
      case .success(let values): return library.refusals(of: values, to: self, environment)
      case .failure(let errors): return errors.errors
      }
    } catch {
      return []
    }
  }

  private func checkedLibrary() throws(PluginFailure) -> PluginLibrary {
    if let library { return library }
    if builtIn == nil, !source.isChecked { try LibraryFile.check(configuration.libraryPath) }
    try checkDigest()
    let opened = try openLibrary()
    library = opened
    return opened
  }

  private func openLibrary() throws(PluginFailure) -> PluginLibrary {
    if let builtIn { return try PluginLibrary(path: configuration.libraryPath, table: builtIn) }
    return try PluginLibrary.open(configuration.libraryPath, from: readableSource())
  }

  /// A copy in the supervisor's memory cannot be read where the kernel hides one process of a user from another. A file that
  /// was rolled back is not copied anew: it has failed.
  private func readableSource() -> PluginLibrary.Source {
    guard case .copy(let copy?) = source, rolledBack == nil, access(copy, R_OK) != 0 else { return source }
    return .copy(nil)
  }

  private func checkDigest() throws(PluginFailure) {
    guard let pin = configuration.sha256, pin != sha256 else { return }
    let found = sha256.map { "the file has \($0)" } ?? "the file's digest cannot be computed (no sha256sum)"
    throw PluginFailure(reason: .digestMismatch, message: "pinned to \(pin), \(found)")
  }

  private func checkedSettings(
    _ library: PluginLibrary, _ environment: PluginEnvironment
  ) -> Result<[SettingValue], ConfigurationErrors> {
    let settings = CORSInheritance.settings(
      configuration.settings, from: environment.corsSettings, schema: library.schema,
      decidesCORS: library.capabilities.contains(.decidesCORS))
    return SettingsCheck.check(
      settings, against: library.schema, path: environment.configurationPath, section: name,
      sectionLine: configuration.line)
  }

  private func start(
    _ library: PluginLibrary, _ values: [SettingValue], _ environment: PluginEnvironment
  ) throws(PluginFailure) {
    let table = library.table
    guard let function = table.pointee.start else {
      throw PluginFailure(reason: .loadFailed, message: "its table has no start function")
    }
    var instance: UnsafeMutableRawPointer?
    _ = takeError()
    let status = ABIValues.withStart(of: self, values, environment) { function(table, $0, &instance) }
    guard status == BH_OK else {
      throw PluginFailure(
        reason: .startFailed, message: takeError() ?? "start returned \(status), with no message")
    }
    self.instance = instance
    requestPhase = capabilities.contains(.request) ? table.pointee.request : nil
    responsePhase = capabilities.contains(.response) ? table.pointee.response : nil
    handler = capabilities.contains(.routes) ? table.pointee.handle : nil
  }

  private func selfTest(_ library: PluginLibrary) throws(PluginFailure) {
    guard let extensions = library.table.pointee.extension,
      let found = extensions(library.table, BH_SELF_TEST)?.assumingMemoryBound(to: bh_self_test.self),
      let run = found.pointee.run
    else { return }
    _ = takeError()
    let status = run(instance)
    guard status == BH_OK else {
      throw PluginFailure(
        reason: .startFailed, message: "self-test: \(takeError() ?? "returned \(status), with no message")")
    }
  }

  /// What the plugin gave `set_error` outside of any request: in its start, its self-test or a stream's pull. Any thread.
  func noteError(_ message: String) { lastError.withLock { $0 = message } }

  /// The latest such message, once.
  func takeError() -> String? {
    lastError.withLock { message in
      defer { message = nil }
      return message
    }
  }

  private let lastError = Mutex<String?>(nil)

  /// Main thread, when no request is under way any more. A plugin that a thread froze in is left alone: that thread may
  /// hold its locks.
  func stop() {
    guard !isFrozen.load(ordering: .relaxed), let library, let instance,
      let function = library.table.pointee.stop
    else { return }
    function(instance)
    self.instance = nil
  }

  private let isFrozen = Atomic<Bool>(false)

  /// A thread that is in it will not come back.
  func leaveAlone() { isFrozen.store(true, ordering: .relaxed) }

  // MARK: State

  /// It did not load or start.
  func fail(_ failure: PluginFailure) {
    // The generation before may have been no better: then it is so since that.
    let before = stateCell?.read()?.core
    let isNothingNew = before?.state == .failed && before?.reason == failure.reason
    let since = isNothingNew ? before?.since : nil
    quarantine.withLock { _ = $0.fail(failure.reason, at: since ?? Clock.monotonic()) }
    gate.store(1, ordering: .releasing)
    saveState()
    record(failure.reason, message: failure.message, exchange: nil)
  }

  /// It faulted, on this request or on none.
  func fault(_ reason: Quarantine.Reason, message: String, exchange: Exchange?) {
    guard !faults.isTainted.load(ordering: .relaxed) else {
      return record(reason, message: message, exchange: exchange, isCollateral: true)
    }
    let now = Clock.monotonic()
    quarantine.withLock { state in
      _ = state.fault(reason, at: now)
      gate.store(state.state == .active ? 0 : 1, ordering: .releasing)
    }
    saveState()
    metrics.countFault(reason)
    record(reason, message: message, exchange: exchange)
  }

  /// Nanoseconds that one call of this phase may take (`FaultFrame`); a start is the supervisor's to judge.
  func timeout(phase: UInt32) -> UInt64 {
    let limit = isBeingProven.load(ordering: .relaxed) ? Plugin.proofLimit : .max
    switch phase {
    case FaultFrame.Phase.start: return .max
    case FaultFrame.Phase.stop: return configuration.timeout?.nanoseconds ?? Plugin.stopLimit
    case UInt32(PluginPass.Phase.request.rawValue), UInt32(PluginPass.Phase.response.rawValue),
      UInt32(PluginPass.Phase.route.rawValue):
      return min(loopTimeout, limit)
    default: return min(blockingTimeout, limit)
    }
  }

  /// The time of a handler that may block, where its section has no `timeout`.
  static let longestTimeout = Duration.seconds(30)

  /// For its stop, where the section has no `timeout`, in nanoseconds.
  private static let stopLimit: UInt64 = 12_000_000_000

  /// Its generation does not serve yet, and sends its probes. None of them is waited for as long as a client's request, and
  /// none is a half-open probe: what is out is not what is to be proven, and comes back once there are clients.
  let isBeingProven = Atomic<Bool>(false)
  /// Nanoseconds: well below what the client of a probe waits.
  private static let proofLimit: UInt64 = 4_000_000_000

  /// A thread froze in this plugin: it is out at once, for every loop, and the worker with the frozen thread in it is
  /// to be replaced. In a relapse nothing was asked of it in this generation, as it was out from the first: it is one of
  /// its own threads, and started again it would do it again.
  ///
  /// - Parameter isCollateral: whether an earlier fault had spoilt the worker. Such a fault is recorded, and takes no plugin out.
  func freeze(in frame: FaultFrame, reason: Quarantine.Reason, exchange: Exchange?, isCollateral: Bool) {
    leaveAlone()
    let frozen = FrozenThread(frame, timeout: timeout(phase: frame.guarded.pointee.phase))
    guard !isCollateral else {
      return record(
        reason, message: frozen.message, signal: frozen.signal, exchange: exchange,
        backtrace: Backtrace.symbolize(frozen.counters), isCollateral: true)
    }
    let now = Clock.monotonic()
    let isRelapse = quarantine.withLock { state in
      let wasOutBefore = state.state == .quarantined && state.since < madeAt
      _ = state.fault(reason, at: now)
      gate.store(state.state == .active ? 0 : 1, ordering: .releasing)
      return wasOutBefore
    }
    saveState()
    metrics.countFault(reason)
    record(
      reason, message: frozen.message, signal: frozen.signal, exchange: exchange,
      backtrace: Backtrace.symbolize(frozen.counters))
    onTaint?(self, reason, isRelapse)
  }

  /// The main thread froze in its `stop`.
  func failToStop(in frame: FaultFrame) {
    leaveAlone()
    let frozen = FrozenThread(frame, timeout: timeout(phase: FaultFrame.Phase.stop))
    let reason = frozen.signal == nil ? Quarantine.Reason.hung : .crashed
    let fault = faults.record(
      plugin: self, reason: reason, message: "in its stop: \(frozen.message)", signal: frozen.signal,
      exchange: nil, backtrace: Backtrace.symbolize(frozen.counters), isAfterService: true)
    Log.shared.write(
      .error, "plugin \(name) \(reason.rawValue) \(fault.message); ending without stopping what is left",
      fields: [("plugin", name), ("reason", reason.rawValue), ("fault", fault.id)])
  }

  /// Tells the supervisor; set before the loops run.
  var onTaint: ((Plugin, Quarantine.Reason, _ isRelapse: Bool) -> Void)?

  private func record(
    _ reason: Quarantine.Reason, message: String, signal: String? = nil, exchange: Exchange?,
    backtrace: [String] = [], isCollateral: Bool = false
  ) {
    let fault = faults.record(
      plugin: self, reason: reason, message: message, signal: signal, exchange: exchange,
      backtrace: backtrace, isCollateral: isCollateral)
    let aside =
      isCollateral
      ? ", which an earlier fault in this worker may have caused, and is not held against it" : ""
    Log.shared.write(
      .error, "plugin \(name) \(state.rawValue): \(reason.rawValue): \(message)\(aside)",
      request: exchange?.logged,
      fields: [("plugin", name), ("reason", reason.rawValue), ("fault", fault.id)])
  }

  var state: Quarantine.State { quarantine.withLock { $0.state } }

  /// It is out for what leaves its memory in doubt, and not for an error that it stated or an operator's word.
  var hasBrokenDown: Bool {
    switch quarantine.withLock({ $0.reason }) {
    case .crashed, .hung, .exited, .tampered: true
    default: false
    }
  }

  /// Not serving, and not by anybody's wish.
  var isOut: Bool {
    switch state {
    case .active, .off: false
    case .probing, .quarantined, .failed: true
    }
  }

  @inline(__always)
  func admit() -> Quarantine.Admission {
    if gate.load(ordering: .acquiring) == 0 { return .run }
    return admitSlowly()
  }

  private func admitSlowly() -> Quarantine.Admission {
    let now = Clock.monotonic()
    let mayProbe = !isBeingProven.load(ordering: .relaxed)
    let admission = quarantine.withLock { state in
      let admission = state.admit(at: now, mayProbe: mayProbe)
      gate.store(state.state == .active ? 0 : 1, ordering: .releasing)
      return admission
    }
    // Should the process not survive the probe, the next one knows that there was one.
    if admission == .probe { saveState() }
    return admission
  }

  /// The request that was its probe is over.
  func endProbe(passed: Bool) {
    let now = Clock.monotonic()
    let isBack = quarantine.withLock { state in
      if passed { state.succeed(at: now) } else { state.abandonProbe(at: now) }
      gate.store(state.state == .active ? 0 : 1, ordering: .releasing)
      return state.state == .active
    }
    saveState()
    if isBack {
      Log.shared.write(.info, "plugin \(name) active again: its probe passed", fields: [("plugin", name)])
    }
  }

  /// Switched off by configuration.
  func switchOff() {
    let now = Clock.monotonic()
    quarantine.withLock { $0.switchOff(at: now) }
    gate.store(1, ordering: .releasing)
  }
}

/// What every plugin of a generation is started with.
struct PluginEnvironment {
  var configurationPath: String
  var stateDirectory: String
  var generation: UInt32
  var loopCount: UInt32
  var host: UnsafePointer<bh_host>
  /// What stands in `[cors]`, for a plugin that decides CORS and has no policy of its own.
  var corsSettings: [RawSetting] = []
}

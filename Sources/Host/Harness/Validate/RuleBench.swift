import Glibc
import HTTPCodec
import LinuxShims

/// The plugin under test, and the ways to call it: as the host would, on the threads that the contract names, and with
/// memory that tells what is done to it.
///
/// Main thread, but for `pass`.
final class RuleBench {
  let job: HarnessJob
  let directory: String
  let monitor: RuleMonitor
  /// The main thread's.
  private let frame: FaultFrame
  private(set) var library: PluginLibrary?
  private(set) var plugin: Plugin?
  /// Started the first time that they are needed.
  private(set) lazy var loop = RuleThread("loop 0", monitor)
  private(set) lazy var pool = RuleThread("pool", monitor)
  private var starts = 0
  /// Of requests that are over, oldest first.
  private var spent: [GuardedViews] = []

  init(_ job: HarnessJob, directory: String, _ reporter: HarnessReporter) throws(SystemError) {
    self.job = job
    self.directory = directory
    monitor = try RuleMonitor(reporter, rule: job.rule)
    frame = monitor.adopt()
  }

  // MARK: Loading, starting and stopping

  @discardableResult
  func load() throws(Finding) -> PluginLibrary {
    if let library { return library }
    do throws(PluginFailure) {
      try LibraryFile.check(job.library)
      monitor.note("while it was loaded", owner: "entry", on: frame)
      frame.enter(plugin: 0, phase: FaultFrame.Phase.start, requestID: bh_bytes(), at: Clock.monotonic())
      let loaded = try PluginLibrary.open(job.library)
      frame.leave()
      monitor.watch(imageOf: loaded)
      library = loaded
      return loaded
    } catch {
      throw .broken("\(error.reason.rawValue): \(error.message)")
    }
  }

  /// Why a start failed.
  struct StartFailure: Error {
    var reason: Quarantine.Reason
    var message: String
  }

  /// Starts an instance with the job's settings.
  ///
  /// - Parameters:
  ///   - settings: over those of the job.
  ///   - state: the state directory; nil for one of the check's own.
  func tryStart(
    _ settings: [RawSetting] = [], state: String? = nil
  ) throws(Finding) -> Result<Plugin, StartFailure> {
    let library = try load()
    starts += 1
    let stateDirectory = state ?? "\(directory)/state"
    if state == nil {
      do throws(SystemError) { try StateDirectory.make(stateDirectory) } catch { throw .broken("\(error)") }
    }
    var configuration = PluginConfiguration(name: library.name)
    configuration.library = job.library
    configuration.libraryPath = job.library
    configuration.mount = "/validate"
    configuration.settings =
      settings + job.settings.filter { given in !settings.contains { $0.key == given.key } }
    let faults = FaultLog(generation: 1)
    let made = Plugin(index: 0, configuration: configuration, sha256: nil, faults: faults)
    _ = Unmanaged.passRetained(made)
    CheckedHost.beginStart()
    monitor.note("while it was started", owner: "start-stop", on: frame)
    frame.enter(plugin: 0, phase: FaultFrame.Phase.start, requestID: bh_bytes(), at: Clock.monotonic())
    made.load(
      environment: PluginEnvironment(
        configurationPath: "the command line", stateDirectory: stateDirectory, generation: UInt32(starts),
        loopCount: 4, host: CheckedHost.table))
    frame.leave()
    CheckedHost.endStart()
    if let fault = faults.last(of: library.name) {
      return .failure(StartFailure(reason: fault.reason, message: fault.message))
    }
    plugin = made
    return .success(made)
  }

  /// The same, when it has to start.
  @discardableResult
  func start(_ settings: [RawSetting] = []) throws(Finding) -> Plugin {
    switch try tryStart(settings) {
    case .success(let plugin): return plugin
    case .failure(let failure):
      throw .elsewhere(
        rule: "start-stop", "it did not start: \(failure.reason.rawValue): \(failure.message)", details: [])
    }
  }

  func stop() {
    guard let plugin else { return }
    monitor.note("while it was stopped", owner: "start-stop", on: frame)
    frame.enter(plugin: 0, phase: FaultFrame.Phase.start, requestID: bh_bytes(), at: Clock.monotonic())
    plugin.stop()
    frame.leave()
    self.plugin = nil
  }

  /// Something else of the plugin's, on the main thread.
  func onMain<R>(_ what: String, _ body: () -> R) -> R {
    monitor.note(what, owner: nil, on: frame)
    frame.enter(plugin: 0, phase: FaultFrame.Phase.start, requestID: bh_bytes(), at: Clock.monotonic())
    defer { frame.leave() }
    return body()
  }

  // MARK: Requests

  /// Whether the plugin has a phase of middleware.
  var isMiddleware: Bool { plugin?.requestPhase != nil || plugin?.responsePhase != nil }

  /// The requests for a plugin: before somebody else's route if it is middleware, and on each route of its own.
  ///
  /// - Parameter routes: how many of its routes at most.
  func targets(of request: ProbeRequest, routes: Int = .max) throws(Finding) -> [ProbeRequest] {
    guard let plugin else { return [] }
    var targets = isMiddleware ? [request] : []
    targets += plugin.routes.prefix(routes).map { request.on($0) }
    guard !targets.isEmpty else { throw .notApplicable("it has no phase and no route") }
    return targets
  }

  /// Takes a request through the plugin on the thread that is right for it.
  @discardableResult
  func pass(
    _ request: ProbeRequest, views: GuardedViews, exchange: Exchange? = nil
  ) throws(Finding) -> PassResult {
    guard let plugin else { throw .broken("it is not started") }
    let thread = request.route?.isBlocking == true ? pool : loop
    let pass = Pass(plugin: plugin, request: request, views: views, monitor: monitor)
    return thread.run { pass.run(on: $0, exchange ?? Exchange(limits: Pass.limits), pool: nil) }
  }

  /// The same with views of its own.
  @discardableResult
  func pass(_ request: ProbeRequest, protection: GuardedViews.Protection = .readOnly) throws(Finding)
    -> PassResult
  {
    let views = try GuardedViews(request, id: "validate-1")
    views.protect(protection)
    let result = try pass(request, views: views)
    // The kernel has room for so many mappings; the latest stay, so that what is done to them has a name.
    views.protect(.gone)
    spent.append(views)
    if spent.count > 16 { spent.removeFirst().release() }
    return result
  }

  /// Ordinary and hostile requests, on all that the plugin has: what other checks watch.
  func exercise() throws(Finding) {
    for request in [ProbeRequest.ordinary] + ProbeRequest.hostile {
      for target in try targets(of: request) { try pass(target) }
    }
  }
}

/// What a request came to.
struct PassResult: Sendable {
  /// Of each phase that ran: its name, and what it returned.
  var returned: [(phase: String, status: bh_status)] = []
  /// Of the phase that returned BH_FAULT.
  var error: String?
  var hasStatedError = false
  var status: UInt32 = 0
  var fields: [(name: String, value: String)] = []
  var body: [UInt8] = []
  var longest: UInt64 = 0

  var hasFailed: Bool {
    returned.contains { $0.status != bh_status(BH_OK) && $0.status != bh_status(BH_RESPOND) }
  }
}

/// One request on its way through one plugin.
struct Pass {
  let plugin: Plugin
  let request: ProbeRequest
  let views: GuardedViews
  let monitor: RuleMonitor

  /// The rule that has this kind of request first.
  private var owner: String {
    request.name == ProbeRequest.ordinary.name ? "request-ordinary" : "request-hostile"
  }

  static let limits = CodecLimits(maxTarget: 8192, maxHead: 64 << 10, maxBody: 4 << 20, maxFields: 128)

  /// The calling thread is the frame's.
  func run(on frame: FaultFrame, _ x: Exchange, pool: RuleThread?) -> PassResult {
    var result = PassResult()
    x.reset(limits: Pass.limits)
    x.request.pointee = views.request.pointee
    x.startedAt = Clock.monotonic()
    if let identity = request.identity { setIdentity(identity, of: x) }
    if let route = request.route {
      x.phase = .handle
      if route.streamedBodyLimit != nil {
        x.requestBody = RequestBody(whole: request.streamedBody)
        x.requestBody?.begin(on: frame)
      }
      call("the handler of \(route.method) /\(route.pattern)", x, frame, &result) {
        plugin.handler?(plugin.instance, route.handler, x.handle, views.request) ?? bh_status(BH_OK)
      }
      drainStream(of: x, on: frame, &result)
    } else {
      middleware(x, frame, &result)
    }
    result.status = x.status
    result.fields = x.headers.map { ($0.name.string, $0.value.string) }
    result.body = Array(x.body.readable)
    return result
  }

  private func middleware(_ x: Exchange, _ frame: FaultFrame, _ result: inout PassResult) {
    x.phase = .request
    if let phase = plugin.requestPhase {
      call("the request phase", x, frame, &result) { phase(plugin.instance, x.handle, views.request) }
    }
    guard !result.hasFailed, let phase = plugin.responsePhase else { return }
    if x.status == 0 {
      x.respond(200, type: "application/json") { $0.append("{\"validate\":true}") }
    }
    x.phase = .response
    call("the response phase", x, frame, &result) { phase(plugin.instance, x.handle, views.request) }
  }

  private func call(
    _ phase: String, _ x: Exchange, _ frame: FaultFrame, _ result: inout PassResult, _ body: () -> bh_status
  ) {
    x.beginCall(of: plugin)
    x.errorMessage = nil
    CheckedHost.begin(x.handle)
    monitor.note("in \(phase), on \(request.name)", owner: owner, on: frame)
    let before = Clock.monotonic()
    frame.enter(plugin: 0, phase: 0, requestID: bh_bytes("validate"), at: before)
    let status = body()
    frame.leave()
    result.longest = max(result.longest, Clock.monotonic() &- before)
    CheckedHost.end(x.handle)
    x.current = nil
    result.returned.append((phase, status))
    if status != bh_status(BH_OK), status != bh_status(BH_RESPOND) {
      result.error = x.errorMessage
      result.hasStatedError = x.errorMessage?.isEmpty == false
    }
  }

  private func setIdentity(_ identity: TestIdentity, of x: Exchange) {
    let scopes = identity.scopes.map { x.arena.copy($0) }
    scopes.withUnsafeBufferPointer { scopes in
      x.setIdentity(
        bh_identity(
          size: UInt32(MemoryLayout<bh_identity>.size), subject: x.arena.copy(identity.subject),
          email: x.arena.copy(identity.email), role: x.arena.copy(identity.role), scopes: scopes.baseAddress,
          scope_count: scopes.count, expires_at: 0))
    }
  }

  /// Pulls a stream for a while, and lets it go.
  private func drainStream(of x: Exchange, on frame: FaultFrame, _ result: inout PassResult) {
    guard let source = x.stream else { return }
    x.stream = nil
    let piece = StreamPiece()
    let handle = Handle.of(piece)
    let deadline = Clock.monotonic() &+ 2_000_000_000
    pulling: while let pull = source.pull, Clock.monotonic() < deadline {
      var delay: UInt64 = 0
      monitor.note("in a stream's pull, on \(request.name)", owner: owner, on: frame)
      frame.enter(
        plugin: 0, phase: FaultFrame.Phase.pull, requestID: bh_bytes("validate"), at: Clock.monotonic())
      let answer = pull(source.state, handle, &delay)
      frame.leave()
      piece.bytes.removeAll()
      switch answer {
      case bh_pull_result(BH_PULL_MORE): break
      case bh_pull_result(BH_PULL_LATER): usleep(UInt32(clamping: min(delay, 10_000_000) / 1000))
      case bh_pull_result(BH_PULL_END): break pulling
      default:
        result.returned.append(("a stream's pull", bh_status(BH_FAULT)))
        result.error = plugin.takeError()
        result.hasStatedError = result.error?.isEmpty == false
        break pulling
      }
    }
    guard let release = source.release else { return }
    monitor.note("in a stream's release, on \(request.name)", owner: owner, on: frame)
    frame.enter(
      plugin: 0, phase: FaultFrame.Phase.pull, requestID: bh_bytes("validate"), at: Clock.monotonic())
    release(source.state)
    frame.leave()
  }
}

/// A thread that calls the plugin, one task after another, while whoever asks waits.
final class RuleThread: @unchecked Sendable {
  private let monitor: RuleMonitor
  private let work = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
  private let done = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
  private var task: (FaultFrame) -> Void = { _ in }
  /// Zero until it runs.
  private(set) var thread = pthread_t()

  init(_ name: String, _ monitor: RuleMonitor) {
    self.monitor = monitor
    sem_init(work, 0, 0)
    sem_init(done, 0, 0)
    let isStarted = Thread.start(named: name) { self.loop() }
    if !isStarted { Output.complain("harness: there is no thread for \(name)") }
  }

  private func loop() {
    let frame = monitor.adopt()
    thread = pthread_self()
    while true {
      while sem_wait(work) != 0 {}
      task(frame)
      sem_post(done)
    }
  }

  /// Begins without waiting; `wait` must follow.
  func begin(_ body: @escaping (FaultFrame) -> Void) {
    task = body
    sem_post(work)
  }

  func wait() { while sem_wait(done) != 0 {} }

  func run<R>(_ body: @escaping (FaultFrame) -> R) -> R {
    var result: R?
    begin { result = body($0) }
    wait()
    guard let result else { preconditionFailure("a task without a result") }
    return result
  }
}

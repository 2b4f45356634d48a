import CORSPolicy
import Glibc
import HTTPCodec

/// A middleware in the chain of a route, or of unmatched requests.
struct ChainEntry {
  unowned(unsafe) let plugin: Plugin
  /// It has `paths` or `except`, which each request's path decides.
  let dependsOnPath: Bool
}

/// What became of a step.
enum Progress {
  /// The response is made.
  case done
  /// The handler is to be run on the pool; then `resume`.
  case blocking
}

/// The way of a request through one generation: routes, middleware, access, handler, and back.
///
/// Constant once made. `run` drives an exchange as a state machine whose state is the exchange's own, so that it can be
/// taken up by another thread at any plugin call.
final class Pipeline: @unchecked Sendable {
  let plugins: [Plugin]
  let routes: RouteTable
  let builtIns: BuiltIns
  private let cors: CORSPolicy?
  /// Nothing but built-ins and CORS.
  private let isBare: Bool
  /// The host's own limit.
  private let maxBody: Int
  private let unmatched: UnsafeBufferPointer<ChainEntry>
  private let publicPaths: UnsafeBufferPointer<ChainEntry>
  /// Those that decide CORS, whatever requests they apply to: a preflight asks for the request to come.
  private let deciders: UnsafeBufferPointer<ChainEntry>

  /// - Parameter middleware: those of `plugins` whose phases are to run, in order.
  init(
    plugins: [Plugin], middleware: [Plugin], routes: RouteTable, cors: CORSPolicy?, builtIns: BuiltIns,
    isBare: Bool, maxBody: Int
  ) {
    self.plugins = plugins
    self.routes = routes
    self.cors = cors
    self.builtIns = builtIns
    self.isBare = isBare
    self.maxBody = maxBody
    unmatched = Pipeline.chain(middleware.filter { $0.applies(to: nil) })
    publicPaths = Pipeline.chain(middleware.filter { $0.applies(to: .public) })
    deciders = Pipeline.chain(middleware.filter { $0.capabilities.contains(.decidesCORS) })
    let protected = Pipeline.chain(middleware.filter { $0.applies(to: .authenticated) })
    for route in routes.routes { route.chain = route.access == .public ? publicPaths : protected }
  }

  private static func chain(_ plugins: [Plugin]) -> UnsafeBufferPointer<ChainEntry> {
    let memory = UnsafeMutableBufferPointer<ChainEntry>.allocate(capacity: plugins.count)
    _ = memory.initialize(
      from: plugins.map { plugin in
        ChainEntry(
          plugin: plugin,
          dependsOnPath: !plugin.configuration.paths.isEmpty || !plugin.configuration.except.isEmpty)
      })
    return UnsafeBufferPointer(memory)
  }

  /// Runs the exchange until its response is made, or its handler must run on the pool.
  ///
  /// Thread: the loop that owns the exchange.
  func run(_ x: Exchange, on frame: FaultFrame) -> Progress {
    x.lookedAt = 0
    while true {
      switch x.phase {
      case .start: begin(x)
      case .preflight: preflight(x, frame)
      case .request: requestPhase(x, frame)
      case .access: checkAccess(x)
      case .handle:
        if x.isTrace {
          x.phase = .handled
        } else if case .route(let route) = x.match, route.isBlocking {
          x.lookedAt = 0
          return .blocking
        } else {
          handle(x, frame)
        }
      case .handled: settleHandler(x)
      case .response: responsePhase(x, frame)
      case .finish: finish(x)
      case .done: return .done
      }
    }
  }

  /// The most that a body may have, if it is one that the handler of its route reads as it arrives; else nil.
  ///
  /// The head of `x` is parsed, and no more.
  func streamedBodyLimit(of x: Exchange) -> Int? {
    guard routes.longestStreamedBody >= 0 else { return nil }
    let path = x.bytes(x.head.path)
    if path.isEmpty { return streamedBodyLimit(of: x, path: bh_bytes("/")) }
    if PathNormalizer.isNormal(path.buffer) { return streamedBodyLimit(of: x, path: path) }
    return withUnsafeTemporaryAllocation(byteCount: path.count, alignment: 1) { normal in
      do throws(RequestError) {
        let count = try PathNormalizer.normalize(path.buffer, into: normal)
        return streamedBodyLimit(of: x, path: bh_bytes(UnsafeRawPointer(normal.baseAddress!), count))
      } catch {
        // It has no route, and is refused when its turn comes.
        return nil
      }
    }
  }

  private func streamedBodyLimit(of x: Exchange, path: bh_bytes) -> Int? {
    let match = withUnsafeTemporaryAllocation(of: bh_bytes.self, capacity: Exchange.maxParameters) {
      routes.match(
        method: x.head.method.rawValue, name: x.bytes(x.head.methodName), path: path,
        parameters: $0.baseAddress!)
    }
    guard case .route(let route) = match, let limit = route.streamedBodyLimit else { return nil }
    return limit > 0 ? limit : maxBody
  }

  /// Answers a request that the codec refused.
  func refuse(_ x: Exchange, _ error: RequestError) {
    x.respond(error)
    x.phase = .finish
    finish(x)
    x.closes = true
  }

  // MARK: Before the plugins

  private func begin(_ x: Exchange) {
    if builtIns.answer(x, in: self) {
      x.phase = .finish
      return
    }
    let view = x.request
    if isBare {
      if isPreflight(x) { answerPreflight(x) } else { x.respond(.bare) }
      x.phase = .finish
      return
    }
    withUnsafeTemporaryAllocation(of: bh_bytes.self, capacity: Exchange.maxParameters) { values in
      x.match = routes.match(
        method: view.pointee.method, name: view.pointee.method_name, path: view.pointee.path,
        parameters: values.baseAddress!)
      if case .route(let route) = x.match { describe(route, values, in: x) }
    }
    x.cursor = 0
    switch x.match {
    case .route(let route):
      x.chain = route.chain
      x.phase = .request
    case .otherMethod:
      view.pointee.access = bh_access(BH_ACCESS_NONE)
      if view.pointee.method == bh_method(BH_METHOD_OPTIONS) {
        // The host answers for the path: nothing is protected in that.
        view.pointee.access = bh_access(BH_ACCESS_PUBLIC)
        x.chain = publicPaths
      } else {
        x.chain = unmatched
      }
      x.phase = .request
    case .out, .none:
      view.pointee.access = bh_access(BH_ACCESS_NONE)
      x.chain = unmatched
      x.phase = .request
    }
    if isPreflight(x) { x.phase = .preflight }
  }

  private func describe(_ route: Route, _ values: UnsafeMutableBufferPointer<bh_bytes>, in x: Exchange) {
    for (index, name) in route.parameterNames.enumerated() {
      x.parameters[index] = bh_field(name: name, value: PercentDecoding.decode(values[index], in: &x.arena))
    }
    x.request.pointee.parameters = UnsafePointer(x.parameters)
    x.request.pointee.parameter_count = route.parameterNames.count
    x.request.pointee.route = route.patternBytes
    x.request.pointee.access = route.access.abi
  }

  private func isPreflight(_ x: Exchange) -> Bool {
    x.request.pointee.method == bh_method(BH_METHOD_OPTIONS) && x.head.first(.origin) != nil
      && x.head.first(.accessControlRequestMethod) != nil
  }

  // MARK: Middleware

  /// A CORS preflight meets only the plugins that decide CORS: no other may stand between a browser and the answer.
  private func preflight(_ x: Exchange, _ frame: FaultFrame) {
    while x.cursor < deciders.count {
      let entry = deciders[x.cursor]
      x.cursor += 1
      guard applies(entry, to: x) else { continue }
      guard !entry.plugin.isBypassed.load(ordering: .relaxed) else { continue }
      let admission = entry.plugin.admit()
      guard admission == .run || admission == .probe else { continue }
      if call(entry.plugin, entry.plugin.requestPhase, .request, x, frame, admission) == .responded { break }
    }
    if x.status == 0 { answerPreflight(x) }
    x.phase = .finish
  }

  /// OPTIONS on a path of the host's own: a preflight, or the methods that it takes.
  func answerOptions(_ x: Exchange, allow: StaticString) {
    if isPreflight(x) { return answerPreflight(x) }
    x.status = 204
    x.addHeader(borrowing: bh_bytes("Allow"), bh_bytes(allow))
  }

  private func answerPreflight(_ x: Exchange) {
    x.status = 204
    guard let cors, !x.isCORSDecided else { return }
    x.isCORSDecided = true
    let decision = cors.decide(
      origin: x.origin?.buffer,
      preflight: CORSPreflight(
        requestMethod: x.value(.accessControlRequestMethod)?.buffer
          ?? UnsafeRawBufferPointer(start: nil, count: 0),
        requestHeaders: x.value(.accessControlRequestHeaders)?.buffer,
        requestsPrivateNetwork: x.value(.accessControlRequestPrivateNetwork)?.equals("true") ?? false))
    decision.forEachHeader { x.addCORSHeader(bh_bytes($0), x.arena.copy(bh_bytes($1))) }
  }

  private func applies(_ entry: ChainEntry, to x: Exchange) -> Bool {
    guard entry.dependsOnPath else { return true }
    let path = x.request.pointee.path.buffer
    let configuration = entry.plugin.configuration
    if configuration.except.contains(where: { $0.matches(path) }) { return false }
    return configuration.paths.isEmpty || configuration.paths.contains { $0.matches(path) }
  }

  private func requestPhase(_ x: Exchange, _ frame: FaultFrame) {
    while x.cursor < x.chain.count {
      let entry = x.chain[x.cursor]
      x.cursor += 1
      guard applies(entry, to: x) else { continue }
      let plugin = entry.plugin
      let admission = plugin.isBypassed.load(ordering: .relaxed) ? .skip : plugin.admit()
      switch admission {
      case .run, .probe:
        guard plugin.requestPhase != nil else {
          // It takes part in the response phase only.
          if admission == .probe { x.probing |= 1 << UInt64(plugin.index) }
          x.ran |= 1 << UInt64(plugin.index)
          continue
        }
        switch call(plugin, plugin.requestPhase, .request, x, frame, admission) {
        case .passed:
          x.ran |= 1 << UInt64(plugin.index)
        case .responded:
          x.ran |= 1 << UInt64(plugin.index)
          return startResponsePhase(x)
        case .failedOpen:
          continue
        case .failedClosed:
          return startResponsePhase(x)
        }
      case .skip:
        x.note(plugin.index, .request, .skipped, 0)
      case .refuse(let retryAfter):
        x.note(plugin.index, .request, .refused, 0)
        x.respond(.unavailable(retryAfter: retryAfter), blaming: plugin)
        return startResponsePhase(x)
      }
    }
    x.phase = .access
  }

  private func startResponsePhase(_ x: Exchange) {
    x.cursor = x.chain.count
    x.phase = .response
  }

  private func responsePhase(_ x: Exchange, _ frame: FaultFrame) {
    while x.cursor > 0 {
      x.cursor -= 1
      let plugin = x.chain[x.cursor].plugin
      guard x.ran & (1 << UInt64(plugin.index)) != 0, plugin.responsePhase != nil else { continue }
      let isProbe = x.probing & (1 << UInt64(plugin.index)) != 0
      // Quarantined since its request phase ran: its frame is not entered again.
      guard isProbe || plugin.gate.load(ordering: .acquiring) == 0 else { continue }
      _ = call(plugin, plugin.responsePhase, .response, x, frame, .run)
    }
    x.phase = .finish
  }

  enum Outcome { case passed, responded, failedOpen, failedClosed }

  /// The clock is read after each plugin, and what it said then is when the next one begins: between the two there is
  /// little else, and reading it is a good part of what a phase costs.
  private func now(_ x: Exchange) -> UInt64 {
    if x.lookedAt == 0 { x.lookedAt = Clock.monotonic() }
    return x.lookedAt
  }

  /// One plugin frame: enter, call, leave, judge. The only place where a middleware's code runs.
  private func call(
    _ plugin: Plugin, _ function: Plugin.RequestFunction?, _ phase: PluginPass.Phase, _ x: Exchange,
    _ frame: FaultFrame, _ admission: Quarantine.Admission
  ) -> Outcome {
    guard let function else { return .passed }
    if admission == .probe { x.probing |= 1 << UInt64(plugin.index) }
    if Log.shared.isEnabled(.debug) { logEntry(plugin, phase, x) }
    x.beginCall(of: plugin)
    x.isShadowed = plugin.isShadow
    x.shadowStatus = 0
    let before = now(x)
    frame.enter(
      plugin: plugin.index, phase: UInt32(phase.rawValue), requestID: x.request.pointee.request_id, at: before
    )
    let status = function(plugin.instance, x.handle, UnsafePointer(x.request))
    frame.leave()
    x.lookedAt = Clock.monotonic()
    let spent = x.lookedAt &- before
    x.current = nil
    x.isShadowed = false
    plugin.metrics.latency.record(spent, by: frame.number)
    if Log.shared.isEnabled(.debug) { logExit(plugin, phase, status, spent, x) }
    switch status {
    case bh_status(BH_OK):
      x.note(plugin.index, phase, .passed, spent, enteredAt: before)
      if phase == .response, x.status != x.before.status { x.responder = Int32(plugin.index) }
      if admission == .probe { judgeProbe(of: plugin, x) }
      return .passed
    case bh_status(BH_RESPOND) where phase == .request:
      x.note(plugin.index, phase, .responded, spent, enteredAt: before)
      if plugin.isShadow {
        noteShadow(plugin, x)
        return .passed
      }
      if x.status == 0 { x.status = 200 }
      x.responder = Int32(plugin.index)
      return .responded
    default:
      x.note(plugin.index, phase, .fault, spent, enteredAt: before)
      return judgeFault(of: plugin, status, x)
    }
  }

  /// The request phase of a half-open plugin let the request pass. An authenticator that found nothing to verify in it has
  /// proven nothing: the probe has no verdict, and the next request is another.
  private func judgeProbe(of plugin: Plugin, _ x: Exchange) {
    guard plugin.capabilities.contains(.authenticates), x.hasIdentity == x.before.hasIdentity else { return }
    x.probing &= ~(1 << UInt64(plugin.index))
    plugin.endProbe(passed: false)
  }

  /// The middleware failed: out with it, and on as its `on-failure` says.
  private func judgeFault(of plugin: Plugin, _ status: bh_status, _ x: Exchange) -> Outcome {
    x.probing &= ~(1 << UInt64(plugin.index))
    plugin.fault(.threw, message: faultMessage(status, x), exchange: x)
    x.errorMessage = nil
    x.undoCall()
    x.lookedAt = 0
    guard plugin.fails == .closed else { return .failedOpen }
    x.respond(.fault, blaming: plugin)
    return .failedClosed
  }

  private func faultMessage(_ status: bh_status, _ x: Exchange) -> String {
    if status == bh_status(BH_FAULT) { return x.errorMessage ?? "failed, with no message" }
    return "returned \(status), which means nothing here"
  }

  private func noteShadow(_ plugin: Plugin, _ x: Exchange) {
    plugin.metrics.shadowResponses.wrappingAdd(1, ordering: .relaxed)
    Log.shared.write(
      .info,
      "plugin \(plugin.name) in shadow mode would have answered \(x.shadowStatus == 0 ? 200 : x.shadowStatus)",
      request: x.logged, fields: [("plugin", plugin.name)])
  }

  private func logEntry(_ plugin: Plugin, _ phase: PluginPass.Phase, _ x: Exchange) {
    Log.shared.write(.debug, "entry: \(phase)", request: x.logged, fields: [("plugin", plugin.name)])
  }

  private func logExit(
    _ plugin: Plugin, _ phase: PluginPass.Phase, _ status: bh_status, _ spent: UInt64, _ x: Exchange
  ) {
    let outcome =
      status == bh_status(BH_OK) ? "passed" : status == bh_status(BH_RESPOND) ? "responded" : "failed"
    Log.shared.write(
      .debug, "exit: \(phase), \(outcome), \(spent / 1000) us", request: x.logged,
      fields: [("plugin", plugin.name)])
  }

  // MARK: Access and handler

  /// The host's own check, whatever the middleware did or failed to do.
  private func checkAccess(_ x: Exchange) {
    switch x.match {
    case .route(let route):
      if isAllowed(x, route) {
        x.phase = .handle
        return
      }
      if let plugin = route.plugin.isOut ? route.plugin : x.hasIdentity ? nil : missingAuthenticator(x) {
        x.respond(.unavailable(retryAfter: plugin.retryAfter), blaming: plugin)
      } else {
        x.respond(x.hasIdentity ? .forbidden : .unauthorized)
      }
    case .otherMethod(let known):
      x.addHeader(borrowing: bh_bytes("Allow"), x.arena.copy(routes.allow(known)))
      if x.request.pointee.method == bh_method(BH_METHOD_OPTIONS) {
        x.status = 204
      } else {
        x.respond(.methodNotAllowed)
      }
    case .out(let plugin):
      x.respond(.unavailable(retryAfter: plugin.retryAfter), blaming: plugin)
    case .none:
      x.respond(.notFound)
    }
    startResponsePhase(x)
  }

  private func isAllowed(_ x: Exchange, _ route: Route) -> Bool {
    switch route.access {
    case .public: true
    case .authenticated: x.hasIdentity
    case .role: x.hasIdentity && x.identity.pointee.role.equals(route.role)
    }
  }

  /// The plugin that should have set an identity, if it is out.
  ///
  /// A library that did not load may have been anything: it is taken for the authenticator only if there is no other.
  private func missingAuthenticator(_ x: Exchange) -> Plugin? {
    var unknown: Plugin?
    var isThereOne = false
    for entry in x.chain {
      let plugin = entry.plugin
      // What was switched off is not out: without an identity the answer is 401.
      guard !plugin.isBypassed.load(ordering: .relaxed), applies(entry, to: x) else { continue }
      guard plugin.library != nil else {
        if plugin.isOut, unknown == nil { unknown = plugin }
        continue
      }
      guard plugin.capabilities.contains(.authenticates) else { continue }
      isThereOne = true
      // It has looked at this request, and found nothing to verify.
      guard x.ran & (1 << UInt64(plugin.index)) == 0 else { continue }
      // Out; or in service, and yet it did not come to its end: it faulted, and has more faults to go.
      if plugin.state != .off { return plugin }
    }
    return isThereOne ? nil : unknown
  }

  /// Runs the handler of the matched route. Thread: the loop, or a pool thread for a blocking route.
  func handle(_ x: Exchange, _ frame: FaultFrame) {
    guard case .route(let route) = x.match else {
      x.phase = .handled
      return
    }
    let plugin = route.plugin
    x.phase = .handled
    // Nobody is to blame for the queue, and it is no verdict on a probe.
    guard now(x) < x.request.pointee.deadline_ns else { return x.respond(.deadline) }
    // As middleware of this very request it may have been let in as a probe.
    let isProbe = x.probing & (1 << UInt64(plugin.index)) != 0
    switch isProbe ? .probe : plugin.admit() {
    case .run: break
    case .probe: x.probing |= 1 << UInt64(plugin.index)
    case .refuse(let retryAfter): return x.respond(.unavailable(retryAfter: retryAfter), blaming: plugin)
    case .skip: return x.respond(.unavailable(retryAfter: plugin.retryAfter), blaming: plugin)
    }
    guard let function = plugin.handler else {
      return x.respond(.unavailable(retryAfter: plugin.retryAfter), blaming: plugin)
    }
    x.phase = .handle
    if Log.shared.isEnabled(.debug) { logEntry(plugin, .route, x) }
    x.beginCall(of: plugin)
    let before = now(x)
    frame.enter(
      plugin: plugin.index, phase: UInt32(PluginPass.Phase.route.rawValue),
      requestID: x.request.pointee.request_id, at: before)
    let status = function(plugin.instance, route.handler, x.handle, UnsafePointer(x.request))
    frame.leave()
    x.lookedAt = Clock.monotonic()
    // What the client was waited for is not the plugin's.
    let spent = x.lookedAt &- before &- (x.requestBody?.waited ?? 0)
    x.current = nil
    x.phase = .handled
    plugin.metrics.latency.record(spent, by: frame.number)
    if Log.shared.isEnabled(.debug) { logExit(plugin, .route, status, spent, x) }
    guard status == bh_status(BH_OK) || status == bh_status(BH_RESPOND) else {
      x.note(plugin.index, .route, .fault, spent, enteredAt: before)
      x.probing &= ~(1 << UInt64(plugin.index))
      plugin.fault(.threw, message: faultMessage(status, x), exchange: x)
      x.errorMessage = nil
      x.undoCall()
      return x.respond(.fault, blaming: plugin)
    }
    x.note(plugin.index, .route, .passed, spent, enteredAt: before)
    x.responder = Int32(plugin.index)
    if let failure = x.requestBody?.failure { x.replaceResponse(by: failure.error) }
    if x.status == 0 { x.status = 200 }
  }

  private func settleHandler(_ x: Exchange) {
    startResponsePhase(x)
  }

  // MARK: After a plugin that never came back

  /// Goes on with the copy of an exchange whose thread froze in `plugin`: answers as the plugin's `on-failure` says, or
  /// leaves the plugin out. `run` then takes it to its end.
  func skipFrozen(_ plugin: Plugin, _ problem: HostProblem, _ x: Exchange) {
    x.probing &= ~(1 << UInt64(plugin.index))
    x.ran &= ~(1 << UInt64(plugin.index))
    switch x.phase {
    case .preflight: break
    case .request:
      x.note(plugin.index, .request, .fault, 0)
      guard plugin.fails == .closed else { return }
      x.respond(problem, blaming: plugin)
      startResponsePhase(x)
    case .response:
      x.note(plugin.index, .response, .fault, 0)
      if plugin.fails == .closed { x.respond(problem, blaming: plugin) }
    case .handle:
      x.note(plugin.index, .route, .fault, 0)
      x.respond(problem, blaming: plugin)
      x.phase = .handled
    case .start, .access, .handled, .finish, .done:
      // Not in a plugin for this request: it asked the host to run one, as a trace does.
      x.respond(problem, blaming: plugin)
      x.phase = .finish
    }
  }

  // MARK: After the plugins

  /// CORS on whatever is sent, the ids, and the verdict on half-open probes.
  private func finish(_ x: Exchange) {
    if let cors, !x.isCORSDecided {
      // What a plugin wrote without having declared that it decides CORS does not count.
      x.headers.removeAll { $0.name.hasCORSPrefix }
      let decision = cors.decide(origin: x.origin?.buffer, preflight: nil)
      decision.forEachHeader { x.addCORSHeader(bh_bytes($0), x.arena.copy(bh_bytes($1))) }
    }
    if x.probing != 0 {
      for plugin in plugins where x.probing & (1 << UInt64(plugin.index)) != 0 {
        plugin.endProbe(passed: true)
      }
      x.probing = 0
    }
    x.phase = .done
  }
}

extension Plugin {
  /// True if it is middleware whose `applies-to` covers requests of this access (nil: without a route).
  ///
  /// A library that did not load does not say what it is. It counts as middleware, and answers in its scope as its
  /// `on-failure` says, unless its section has a mount and no scope: then it reads as a router, whose mount answers
  /// 503, and the rest of the host is none of its business.
  func applies(to access: Access?) -> Bool {
    if library == nil {
      guard configuration.mount.isEmpty || configuration.declaresScope else { return false }
    } else if capabilities.isDisjoint(with: [.request, .response]) {
      return false
    }
    switch (configuration.appliesTo, access) {
    case (.all, _): return true
    case (_, nil): return false
    case (.routes, _): return true
    case (.protected, let access?): return access != .public
    case (.public, let access?): return access == .public
    }
  }

  /// Seconds until a client may try again: the next half-open probe, or a while if none is planned.
  var retryAfter: Int {
    let now = Clock.monotonic()
    return quarantine.withLock { $0.retryAfter(at: now) }
  }
}

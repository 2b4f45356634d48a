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
  /// The call of this plugin that comes next is to be made off the loop (`runOffLoop`); then `run` goes on.
  case blocking(Plugin)
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
  let isBare: Bool
  /// The host's own limit.
  let maxBody: Int
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

  static func chain(_ plugins: [Plugin]) -> UnsafeBufferPointer<ChainEntry> {
    let memory = UnsafeMutableBufferPointer<ChainEntry>.allocate(capacity: plugins.count)
    _ = memory.initialize(
      from: plugins.map { plugin in
        ChainEntry(
          plugin: plugin,
          dependsOnPath: !plugin.configuration.paths.isEmpty || !plugin.configuration.except.isEmpty)
      })
    return UnsafeBufferPointer(memory)
  }

  /// Runs the exchange until its response is made, or a call must be made off the loop.
  ///
  /// Thread: the loop that owns the exchange; or another that has it meanwhile.
  ///
  /// - Parameter isOnLoop: whether others wait for this thread, so that a plugin that was slow is to be called elsewhere.
  func run(_ x: Exchange, on frame: FaultFrame, isOnLoop: Bool) -> Progress {
    x.lookedAt = 0
    while true {
      switch x.phase {
      case .start: begin(x)
      case .preflight: if let plugin = preflight(x, frame, isOnLoop) { return .blocking(plugin) }
      case .request: if let plugin = requestPhase(x, frame, isOnLoop) { return .blocking(plugin) }
      case .access: checkAccess(x)
      case .handle:
        if x.isTrace {
          x.phase = .handled
        } else if x.isBodyUnread {
          x.respond(.expectationFailed)
          x.phase = .handled
        } else if case .route(let route) = x.match,
          route.isBlocking || isOnLoop && mustLeaveLoop(route.plugin, x)
        {
          x.lookedAt = 0
          return .blocking(route.plugin)
        } else {
          handle(x, frame)
        }
      case .handled: settleHandler(x)
      case .response: if let plugin = responsePhase(x, frame, isOnLoop) { return .blocking(plugin) }
      case .finish: finish(x)
      case .done: return .done
      }
    }
  }

  /// Makes the call that `run` stopped before, and goes on as far as there is no blocking handler to come. Thread: any but a
  /// loop's.
  func runOffLoop(_ x: Exchange, on frame: FaultFrame) {
    if x.phase == .handle, case .route(let route) = x.match, route.isBlocking {
      handle(x, frame)
    } else {
      _ = run(x, on: frame, isOnLoop: false)
    }
  }

  /// The plugin was slow on a loop a while ago, and would be called now.
  @inline(__always)
  func mustLeaveLoop(_ plugin: Plugin, _ x: Exchange) -> Bool {
    let until = plugin.offLoopsUntil.load(ordering: .relaxed)
    return until != 0 && now(x) < until && plugin.gate.load(ordering: .relaxed) == 0
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
      if isPreflight(x) {
        answerPreflight(x)
      } else {
        x.respond(builtIns.worker.isStandIn ? .starting : .bare)
      }
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

  func isPreflight(_ x: Exchange) -> Bool {
    x.request.pointee.method == bh_method(BH_METHOD_OPTIONS) && x.head.first(.origin) != nil
      && x.head.first(.accessControlRequestMethod) != nil
  }

  // MARK: Preflights

  /// A CORS preflight meets only the plugins that decide CORS: no other may stand between a browser and the answer.
  ///
  /// - Returns: the plugin that is to be called off the loop; nil if there is none.
  private func preflight(_ x: Exchange, _ frame: FaultFrame, _ isOnLoop: Bool) -> Plugin? {
    while x.cursor < deciders.count {
      let entry = deciders[x.cursor]
      if isOnLoop, mustLeaveLoop(entry.plugin, x) { return entry.plugin }
      x.cursor += 1
      guard applies(entry, to: x) else { continue }
      guard !entry.plugin.isBypassed.load(ordering: .relaxed) else { continue }
      let admission = entry.plugin.admit()
      guard admission == .run || admission == .probe else { continue }
      if call(entry.plugin, entry.plugin.requestPhase, .request, x, frame, admission) == .responded { break }
    }
    if x.status == 0 { answerPreflight(x) }
    x.phase = .finish
    return nil
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
  func finish(_ x: Exchange) {
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

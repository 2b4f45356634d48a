/// Who may have the route that was asked for, and the handler that answers.
extension Pipeline {
  /// The host's own check, whatever the middleware did or failed to do.
  func checkAccess(_ x: Exchange) {
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
    lookBeforeCall(of: plugin)
    x.beginCall(of: plugin)
    let before = now(x)
    frame.enter(
      plugin: plugin.index,
      phase: route.isBlocking ? FaultFrame.Phase.blockingRoute : UInt32(PluginPass.Phase.route.rawValue),
      requestID: x.request.pointee.request_id, at: before)
    let status = function(plugin.instance, route.handler, x.handle, UnsafePointer(x.request))
    let left = frame.leave()
    x.lookedAt = Clock.monotonic()
    // What the client was waited for is not the plugin's.
    let spent = x.lookedAt &- before &- (x.requestBody?.waited ?? 0)
    x.current = nil
    x.phase = .handled
    plugin.metrics.latency.record(spent, by: frame.number)
    if spent > Plugin.loopSlice, !route.isBlocking { plugin.noteSlowCall(spent, .route, x) }
    if Log.shared.isEnabled(.debug) { logExit(plugin, .route, status, spent, x) }
    let what = tampering(of: plugin, left)
    guard what == nil, status == bh_status(BH_OK) || status == bh_status(BH_RESPOND) else {
      x.note(plugin.index, .route, .fault, spent, enteredAt: before)
      x.probing &= ~(1 << UInt64(plugin.index))
      plugin.fault(
        what == nil ? .threw : .tampered, message: what ?? faultMessage(status, x), exchange: x)
      x.errorMessage = nil
      x.undoCall()
      return x.respond(.fault, blaming: plugin)
    }
    x.note(plugin.index, .route, .passed, spent, enteredAt: before)
    x.responder = Int32(plugin.index)
    if let failure = x.requestBody?.failure { x.replaceResponse(by: failure.error) }
    if x.status == 0 { x.status = 200 }
  }

  func settleHandler(_ x: Exchange) {
    startResponsePhase(x)
  }
}

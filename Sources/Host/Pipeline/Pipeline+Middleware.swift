/// The middleware of a request, in both phases.
extension Pipeline {
  func applies(_ entry: ChainEntry, to x: Exchange) -> Bool {
    guard entry.dependsOnPath else { return true }
    let path = x.request.pointee.path.buffer
    let configuration = entry.plugin.configuration
    if configuration.except.contains(where: { $0.matches(path) }) { return false }
    return configuration.paths.isEmpty || configuration.paths.contains { $0.matches(path) }
  }

  /// - Returns: the plugin that is to be called off the loop; nil if the phase is over.
  func requestPhase(_ x: Exchange, _ frame: FaultFrame, _ isOnLoop: Bool) -> Plugin? {
    while x.cursor < x.chain.count {
      let entry = x.chain[x.cursor]
      if isOnLoop, mustLeaveLoop(entry.plugin, x), applies(entry, to: x),
        !entry.plugin.isBypassed.load(ordering: .relaxed)
      {
        return entry.plugin
      }
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
          startResponsePhase(x)
          return nil
        case .failedOpen:
          continue
        case .failedClosed:
          startResponsePhase(x)
          return nil
        }
      case .skip:
        x.note(plugin.index, .request, .skipped, 0)
      case .refuse(let retryAfter):
        x.note(plugin.index, .request, .refused, 0)
        x.respond(.unavailable(retryAfter: retryAfter), blaming: plugin)
        startResponsePhase(x)
        return nil
      }
    }
    x.phase = .access
    return nil
  }

  func startResponsePhase(_ x: Exchange) {
    x.cursor = x.chain.count
    x.phase = .response
  }

  /// - Returns: the plugin that is to be called off the loop; nil if the phase is over.
  func responsePhase(_ x: Exchange, _ frame: FaultFrame, _ isOnLoop: Bool) -> Plugin? {
    while x.cursor > 0 {
      let plugin = x.chain[x.cursor - 1].plugin
      let isToRun = x.ran & (1 << UInt64(plugin.index)) != 0 && plugin.responsePhase != nil
      if isToRun, isOnLoop, mustLeaveLoop(plugin, x) { return plugin }
      x.cursor -= 1
      guard isToRun else { continue }
      let isProbe = x.probing & (1 << UInt64(plugin.index)) != 0
      // Quarantined since its request phase ran: its frame is not entered again.
      guard isProbe || plugin.gate.load(ordering: .acquiring) == 0 else { continue }
      _ = call(plugin, plugin.responsePhase, .response, x, frame, .run)
    }
    x.phase = .finish
    return nil
  }

  enum Outcome { case passed, responded, failedOpen, failedClosed }

  /// The clock is read after each plugin, and what it said then is when the next one begins: between the two there is
  /// little else, and reading it is a good part of what a phase costs.
  func now(_ x: Exchange) -> UInt64 {
    if x.lookedAt == 0 { x.lookedAt = Clock.monotonic() }
    return x.lookedAt
  }

  /// One plugin frame: enter, call, leave, judge. The only place where a middleware's code runs.
  func call(
    _ plugin: Plugin, _ function: Plugin.RequestFunction?, _ phase: PluginPass.Phase, _ x: Exchange,
    _ frame: FaultFrame, _ admission: Quarantine.Admission
  ) -> Outcome {
    guard let function else { return .passed }
    if admission == .probe { x.probing |= 1 << UInt64(plugin.index) }
    if Log.shared.isEnabled(.debug) { logEntry(plugin, phase, x) }
    lookBeforeCall(of: plugin)
    x.beginCall(of: plugin)
    x.isShadowed = plugin.isShadow
    x.shadowStatus = 0
    let before = now(x)
    frame.enter(
      plugin: plugin.index, phase: UInt32(phase.rawValue), requestID: x.request.pointee.request_id, at: before
    )
    let status = function(plugin.instance, x.handle, UnsafePointer(x.request))
    let left = frame.leave()
    x.lookedAt = Clock.monotonic()
    let spent = x.lookedAt &- before
    x.current = nil
    x.isShadowed = false
    plugin.metrics.latency.record(spent, by: frame.number)
    if spent > Plugin.loopSlice { plugin.noteSlowCall(spent, phase, x) }
    if Log.shared.isEnabled(.debug) { logExit(plugin, phase, status, spent, x) }
    if let what = tampering(of: plugin, left) {
      x.note(plugin.index, phase, .fault, spent, enteredAt: before)
      return judgeFault(of: plugin, .tampered, what, x)
    }
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
      return judgeFault(of: plugin, .threw, faultMessage(status, x), x)
    }
  }

  /// Before a call, while the worker looks for whoever spoils what is shared.
  @inline(__always)
  func lookBeforeCall(of plugin: Plugin) {
    if let sharedState = plugin.sharedState, sharedState.isVigilant { sharedState.lookBeforeCall() }
  }

  /// The message of what the call that has come back has spoilt; nil for nothing.
  ///
  /// - Parameter left: as `FaultFrame.leave` returns it.
  @inline(__always)
  func tampering(of plugin: Plugin, _ left: UInt32) -> String? {
    guard left != 0 || plugin.sharedState?.isVigilant == true else { return nil }
    return (Tampering.text(left) ?? plugin.sharedState?.lookAfterCall(of: plugin)).map { "it \($0)" }
  }

  /// The request phase of a half-open plugin let the request pass. An authenticator that found nothing to verify in it has
  /// proven nothing: the probe has no verdict, and the next request is another.
  private func judgeProbe(of plugin: Plugin, _ x: Exchange) {
    guard plugin.capabilities.contains(.authenticates), x.hasIdentity == x.before.hasIdentity else { return }
    x.probing &= ~(1 << UInt64(plugin.index))
    plugin.endProbe(passed: false)
  }

  /// The middleware failed: out with it, and on as its `on-failure` says.
  private func judgeFault(
    of plugin: Plugin, _ reason: Quarantine.Reason, _ message: String, _ x: Exchange
  ) -> Outcome {
    x.probing &= ~(1 << UInt64(plugin.index))
    plugin.fault(reason, message: message, exchange: x)
    x.errorMessage = nil
    x.undoCall()
    x.lookedAt = 0
    guard plugin.fails == .closed else { return .failedOpen }
    x.respond(.fault, blaming: plugin)
    return .failedClosed
  }

  func faultMessage(_ status: bh_status, _ x: Exchange) -> String {
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

  func logEntry(_ plugin: Plugin, _ phase: PluginPass.Phase, _ x: Exchange) {
    Log.shared.write(.debug, "entry: \(phase)", request: x.logged, fields: [("plugin", plugin.name)])
  }

  func logExit(
    _ plugin: Plugin, _ phase: PluginPass.Phase, _ status: bh_status, _ spent: UInt64, _ x: Exchange
  ) {
    let outcome =
      status == bh_status(BH_OK) ? "passed" : status == bh_status(BH_RESPOND) ? "responded" : "failed"
    Log.shared.write(
      .debug, "exit: \(phase), \(outcome), \(spent / 1000) us", request: x.logged,
      fields: [("plugin", plugin.name)])
  }
}

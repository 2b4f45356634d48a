import Synchronization

/// What the operator and the generation before say of a plugin.
extension Plugin {
  struct Refusal: Error, Equatable { var text: String }

  /// Goes on where the generation before stopped. Main thread, and nobody is served yet; called again when somebody is,
  /// as the generation before may have gone on meanwhile.
  func resume() {
    guard let stateCell, let saved = stateCell.read(), saved.generation < stateCell.generation,
      saved != resumed
    else {
      return
    }
    resumed = saved
    let now = Clock.monotonic()
    quarantine.withLock { state in
      // A plugin that this generation could not load or start is not better for having run before.
      if state.inheritance.state != .failed {
        state = Quarantine(policy: configuration, resuming: saved.core, at: now)
      }
      gate.store(state.state == .active ? 0 : 1, ordering: .releasing)
    }
  }

  /// Its generation has clients from now on, and its state is the one that counts.
  func serves() {
    isServing.store(true, ordering: .relaxed)
    saveState()
  }

  /// For the generations to come. One call after each change of state. Nothing before its generation serves: until then the
  /// state is that of the one which does.
  func saveState() {
    guard let stateCell, isServing.load(ordering: .relaxed) else { return }
    // Under the lock, so that the last to write has the last word.
    quarantine.withLock { stateCell.write($0.inheritance) }
  }

  /// It has faulted in another generation, where the fault is on record.
  func takeOver(_ reason: Quarantine.Reason) {
    let now = Clock.monotonic()
    quarantine.withLock { state in
      state.fault(reason, at: now)
      gate.store(state.state == .active ? 0 : 1, ordering: .releasing)
    }
    saveState()
  }

  /// It has failed, and the supervisor tries it again then, in another generation.
  func planRetry(at time: UInt64) { quarantine.withLock { $0.planRetry(at: time) } }

  func quarantineByOperator() -> Result<String, Refusal> {
    if state == .failed {
      return .failure(Refusal(text: "\(name) is out already: it has failed to load or start"))
    }
    let now = Clock.monotonic()
    quarantine.withLock { state in
      state.fault(.operator, at: now)
      gate.store(state.state == .active ? 0 : 1, ordering: .releasing)
    }
    saveState()
    // It is no fault: nothing is counted or recorded.
    Log.shared.write(
      .warning, "plugin \(name) \(state.rawValue): by the operator",
      fields: [("plugin", name), ("reason", Quarantine.Reason.operator.rawValue)])
    return .success("\(name) is \(state.rawValue)")
  }

  func release() -> Result<String, Refusal> {
    if state == .failed {
      return .failure(
        Refusal(
          text: "\(name) has failed to load or start: mend its library or its section, or 'bulkhead reload'"))
    }
    let now = Clock.monotonic()
    quarantine.withLock { state in
      state.release(at: now)
      gate.store(state.state == .active ? 0 : 1, ordering: .releasing)
    }
    saveState()
    return .success("\(name) is \(state.rawValue)")
  }

  /// The state that operators see. A bypass hides nothing that is wrong with a plugin: off is what would serve, and is
  /// skipped altogether. The routes of one that is both middleware and router go on.
  var shownState: Quarantine.State {
    let state = state
    return state == .active && isSkipped && !capabilities.contains(.routes) ? .off : state
  }

  /// It has phases, and they are bypassed.
  var isSkipped: Bool { isBypassed.load(ordering: .relaxed) && isMiddleware }

  var isMiddleware: Bool { applies(to: .public) || applies(to: .authenticated) }

  /// Its request and response phases are skipped, or no longer.
  func setBypassed(_ isOn: Bool) { isBypassed.store(isOn, ordering: .releasing) }
}

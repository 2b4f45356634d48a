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
        let causes = state.offCauses
        state = Quarantine(policy: configuration, resuming: saved.core, at: now)
        if causes.contains(.bypass) { state.switchOff(.bypass, at: now) }
      }
      gate.store(state.state == .active ? 0 : 1, ordering: .releasing)
    }
  }

  /// For the generations to come. One call after each change of state.
  func saveState() {
    guard let stateCell else { return }
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

  func quarantineByOperator() -> Result<String, Refusal> {
    if state == .failed {
      return .failure(Refusal(text: "\(name) is out already: it has failed to load or start"))
    }
    fault(.operator, message: "by the operator", exchange: nil)
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

  /// The state that operators see: a plugin whose phases are bypassed is off, even if its routes go on.
  var shownState: Quarantine.State { isBypassed.load(ordering: .relaxed) ? .off : state }

  /// Its request and response phases are off, or on again; the routes of a plugin that is both go on.
  func setBypassed(_ isOn: Bool) {
    isBypassed.store(isOn, ordering: .releasing)
    guard isStarted, !capabilities.contains(.routes) else { return }
    let now = Clock.monotonic()
    quarantine.withLock { state in
      if isOn { state.switchOff(.bypass, at: now) } else { state.switchOn(.bypass) }
      gate.store(state.state == .active ? 0 : 1, ordering: .releasing)
    }
  }
}

/// A thread froze in a plugin, or is slow to come back from one, with a request of this connection in its hands.
extension Connection {
  /// The loop's thread is slow to come back from a plugin, and goes on with this connection's request alone. `handlerReturned`
  /// follows, or `handlerLost`.
  func callGoesOn() {
    state = .handling
    loop.setDeadline(self, .max)
    // The answers to requests before it are still to be sent.
    if send() { takeBody() }
  }

  /// The loop's thread froze in a plugin, on this connection's request. Goes on with a copy of the exchange; the frozen
  /// thread keeps the old one.
  func recover(from frame: FaultFrame) {
    guard let (x, plugin, problem) = replaceExchange(frozenIn: frame) else { return }
    loop.worker.pipeline.skipFrozen(plugin, problem, x)
    if runPipeline(x) { proceed() }
  }

  /// The thread that ran this connection's handler, or pulled its stream, will not come back.
  func handlerLost(in frame: FaultFrame) {
    switch state {
    case .handling:
      guard let (x, plugin, problem) = replaceExchange(frozenIn: frame) else { return }
      state = .reading
      loop.worker.pipeline.skipFrozen(plugin, problem, x)
      if runPipeline(x) { proceed() }
    case .streaming:
      loop.worker.freeze(frame, exchange: nil)
      stream?.abandon()
      stream = nil
      cut()
    case .reading, .lingering:
      loop.worker.freeze(frame, exchange: nil)
    }
  }

  private func replaceExchange(frozenIn frame: FaultFrame) -> (Exchange, Plugin, HostProblem)? {
    guard let old = exchange, let occupant = frame.occupant else { return nil }
    old.isAbandoned.store(true, ordering: .relaxed)
    intake?.isLost = true
    let copy = old.replacement(limits: loop.worker.limits, context: viewContext())
    _ = Unmanaged.passRetained(old)
    exchange = copy
    loop.worker.freeze(frame, exchange: copy)
    return (copy, loop.worker.plugins[occupant.plugin], occupant.hasCrashed ? .fault : .timeout)
  }
}

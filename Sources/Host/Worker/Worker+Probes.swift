import Glibc

/// The requests of the configuration that must be answered as it says, before this worker serves.
extension Worker {
  /// How often a look is taken whether a plugin has come back.
  private static let lookMicroseconds: UInt32 = 250_000
  /// How long until a probe is sent again though no plugin has come or gone.
  private static let repeatNanoseconds: UInt64 = 10_000_000_000

  /// Those that did not get their answer, last.
  var failedProbes: [String] { probeFailures.withLock { $0.map(\.probe) } }

  /// A probe that did not get its answer.
  struct ProbeFailure {
    /// Method and target.
    var probe: String
    /// What came in place of the answer, when it was sent last.
    var cause: String
  }

  /// Sends the probes, and takes out of service who is to blame for one that fails: it has not proven itself, and no
  /// client is to meet it. Those that fail in the end are sent again until they pass: a plugin that was out may come back.
  func runProbes() throws(SystemError) {
    for plugin in plugins { plugin.isBeingProven.store(true, ordering: .relaxed) }
    // Behind one culprit may be another. Each round takes a plugin out, so there are no more rounds than plugins.
    while let (culprit, message) = sendProbes() {
      // A worker with a lost thread in it does not come to serve, and who is lost is on record.
      guard !isTainted else { break }
      culprit.fail(PluginFailure(reason: .startFailed, message: message))
    }
    for plugin in plugins { plugin.isBeingProven.store(false, ordering: .relaxed) }
    guard !failedProbes.isEmpty else { return }
    let out = pluginsOut
    guard Thread.start(named: "probes", { self.repeatProbes(since: out) }) else {
      throw SystemError("pthread_create", EAGAIN)
    }
  }

  /// Sends each once, up to the first for whose failure a plugin in service is to blame.
  private func sendProbes() -> (culprit: Plugin, message: String)? {
    probeFailures.withLock { $0 = [] }
    for probe in configuration.host.probes {
      let inService = plugins.filter { $0.state == .active }
      let id = FaultLog.newID()
      guard let cause = cause(ofFailing: probe, id: id) else { continue }
      let failure = "probe \(probe.text) \(cause)"
      probeFailures.withLock { $0.append(ProbeFailure(probe: probe.text, cause: cause)) }
      guard let culprit = responsible(for: id, probe), inService.contains(where: { $0 === culprit }) else {
        Log.shared.write(.error, failure)
        continue
      }
      let fault = faults.last(of: culprit.name).flatMap { $0.requestID == id ? $0 : nil }
      return (culprit, failure + (fault.map { ": \($0.reason.rawValue): \($0.message)" } ?? ""))
    }
    return nil
  }

  /// Sends it: what came in place of the answer, or nil if that came.
  private func cause(ofFailing probe: Probe, id: String) -> String? {
    do throws(SystemError) {
      let status = try ProbeClient.send(probe, id: id, to: loops[0])
      return status == probe.status ? nil : "was answered \(status), not \(probe.status)"
    } catch {
      return "was not answered: \(error)"
    }
  }

  /// Who made the answer what it is: the plugin that gave it, or that the host names in an answer of its own. Where the
  /// host names nobody, it is the router that has the path and lacks the route; that the route is not open to a stranger
  /// is its access, and a mistake of the probe's.
  private func responsible(for id: String, _ probe: Probe) -> Plugin? {
    guard let record = loops[0].recent.snapshot().first(where: { $0.requestID.string == id }) else {
      // Not answered, or no request that the host understood.
      return nil
    }
    if record.responder >= 0 { return plugins[Int(record.responder)] }
    if record.blamed >= 0 { return plugins[Int(record.blamed)] }
    // It may be missing for want of what did not load.
    let isMissing = record.status == 404 || record.status == 405
    let isComplete = !plugins.contains { $0.isOut && $0.library == nil }
    return isMissing && isComplete ? router(of: probe) : nil
  }

  /// The longest mount over the path decides.
  private func router(of probe: Probe) -> Plugin? {
    let path = probe.target.prefix { $0 != "?" }
    let covering = plugins.compactMap { plugin -> (plugin: Plugin, length: Int)? in
      guard let mount = plugin.configuration.mount, path == mount || path.hasPrefix(mount + "/") else {
        return nil
      }
      return (plugin, mount.utf8.count)
    }
    return covering.max { $0.length < $1.length }?.plugin
  }

  // MARK: Afterwards

  private var pluginsOut: [Int] { plugins.filter(\.isOut).map(\.index) }

  private func repeatProbes(since out: [Int]) {
    var (out, sentAt) = (out, Clock.monotonic())
    while !failedProbes.isEmpty {
      usleep(Worker.lookMicroseconds)
      let now = pluginsOut
      guard now != out || Clock.monotonic() &- sentAt >= Worker.repeatNanoseconds else { continue }
      (out, sentAt) = (now, Clock.monotonic())
      for probe in configuration.host.probes where failedProbes.contains(probe.text) { repeatOnce(probe) }
    }
  }

  /// Nobody is held responsible for a probe that fails again: it was, when it failed first.
  private func repeatOnce(_ probe: Probe) {
    let cause = cause(ofFailing: probe, id: FaultLog.newID())
    probeFailures.withLock { failures in
      guard let index = failures.firstIndex(where: { $0.probe == probe.text }) else { return }
      if let cause { failures[index].cause = cause } else { failures.remove(at: index) }
    }
    if let cause {
      Log.shared.write(.debug, "probe \(probe.text) \(cause)")
    } else {
      Log.shared.write(.info, "probe \(probe.text) is answered \(probe.status) again")
    }
  }
}

extension Probe {
  var text: String { "\(method) \(target)" }
}

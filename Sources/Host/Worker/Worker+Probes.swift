import Glibc

/// The requests of the configuration that must be answered as it says, before this worker serves.
extension Worker {
  /// How often a look is taken whether a plugin has come back.
  private static let lookMicroseconds: UInt32 = 250_000
  /// How long until a probe is sent again though no plugin has come or gone.
  private static let repeatNanoseconds: UInt64 = 10_000_000_000

  /// Those that did not get their answer, last.
  var failedProbes: [String] { probeFailures.withLock { $0 } }

  /// Sends each once; those that fail again later, until they pass: a plugin that was out may have come back.
  func runProbes() throws(SystemError) {
    for probe in configuration.host.probes { run(probe) }
    guard !failedProbes.isEmpty else { return }
    let out = pluginsOut
    guard Thread.start(named: "probes", { self.repeatProbes(since: out) }) else {
      throw SystemError("pthread_create", EAGAIN)
    }
  }

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
    do throws(SystemError) {
      guard try ProbeClient.send(probe, to: loops[0]) == probe.status else { return }
      probeFailures.withLock { $0.removeAll { $0 == probe.text } }
      Log.shared.write(.info, "probe \(probe.text) is answered \(probe.status) again")
    } catch {
      Log.shared.write(.debug, "probe \(probe.text): \(error)")
    }
  }

  /// Sends the request through a loop of this worker, and holds the answer against the configuration.
  private func run(_ probe: Probe) {
    let text = probe.text
    let status: Int
    do throws(SystemError) {
      status = try ProbeClient.send(probe, to: loops[0])
    } catch {
      probeFailures.withLock { $0.append(text) }
      Log.shared.write(.error, "probe \(text): \(error)")
      return
    }
    guard status != probe.status else { return }
    probeFailures.withLock { $0.append(text) }
    let message = "probe \(text) was answered \(status), not \(probe.status)"
    Log.shared.write(.error, message)
    // The router that the path belongs to has not proven itself.
    let path = probe.target.prefix { $0 != "?" }
    let owner = plugins.filter { plugin in
      let mount = plugin.configuration.mount
      return !mount.isEmpty && (path == mount || path.hasPrefix(mount + "/"))
    }.max { $0.configuration.mount.utf8.count < $1.configuration.mount.utf8.count }
    // Unless another plugin that is out stands in its way.
    let isInTheWay = plugins.contains { $0.isOut || $0.isBypassed.load(ordering: .relaxed) }
    if let owner, owner.state == .active, !isInTheWay {
      owner.fail(PluginFailure(reason: .startFailed, message: message))
    }
  }
}

extension Probe {
  var text: String { "\(method) \(target)" }
}

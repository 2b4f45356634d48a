import Glibc
import LinuxShims

/// Workers that die, and those that stand still or have grown too large.
extension Supervisor {
  // MARK: Deaths

  func reapWorkers() {
    Children.reapOthers()
    for worker in workers.values { lookAtStop(of: worker) }
    for worker in workers.values where hasEnded(worker) {
      // What its plugins have started goes with it: nobody else knows of them. The group's number cannot be another's
      // before its leader is reaped.
      kill(-worker.pid, SIGKILL)
      guard let status = Children.reap(worker.pid) else { continue }
      // What it said last is heard before it is buried.
      while let news = worker.hear(), news != .gone {
        if case .message(let message) = news { take(message, from: worker) }
      }
      hearOutput(of: worker, isLast: true)
      workers[worker.generation] = nil
      worker.control.close()
      worker.output.reading.close()
      for client in worker.questions.compactMap({ $0 }) where !isDueStatus(client) {
        control.answer(client, isYes: false, "the worker ended before it could answer; try again\n")
      }
      if successor?.from == worker.generation { announceSuccessor() }
      let isExplained = bury(worker, status)
      history.ended(worker.generation, pid: worker.pid, how: ends[worker.generation], at: Clock.realtime())
      step(.ended(generation: worker.generation, isExplained: isExplained))
      dropRevisions()
      forgetUnused()
    }
  }

  /// A worker that a plugin has stopped goes on at once. One that was stopped from outside is left to whoever stopped it, for as
  /// long as any worker may stand still.
  private func lookAtStop(of worker: WorkerHandle) {
    var info = siginfo_t()
    guard waitid(P_PID, id_t(worker.pid), &info, WSTOPPED | WNOHANG) == 0,
      info._sifields._sigchld.si_pid == worker.pid
    else { return }
    let signal = info._sifields._sigchld.si_status
    let frames = (0..<SharedMemory.frameCount).map { memory.frame($0, generation: worker.generation) }
    guard !isDebugging, let frame = frames.first(where: { $0.sentSignal?.signal == signal }),
      let plugin = frame.sentSignal?.plugin, worker.configuration.plugins.indices.contains(plugin)
    else {
      return Log.shared.write(
        .warning,
        "generation \(worker.generation), pid \(worker.pid), is stopped from outside, by signal \(signal)")
    }
    frame.forgetSentSignal()
    kill(worker.pid, SIGCONT)
    let name = worker.configuration.plugins[plugin].name
    worker.tell("tampered \(name) it stopped its own process by signal \(signal)")
    Log.shared.write(
      .error, "plugin \(name) stopped generation \(worker.generation) by signal \(signal): it goes on",
      fields: [("plugin", name)])
  }

  /// True if it has ended, and waits to be reaped.
  private func hasEnded(_ worker: WorkerHandle) -> Bool {
    var info = siginfo_t()
    let found = waitid(P_PID, id_t(worker.pid), &info, WEXITED | WNOHANG | WNOWAIT)
    return found == 0 && info._sifields._sigchld.si_pid == worker.pid
  }

  /// Says what happened, and to whom it is put down. True if that is a plugin.
  private func bury(_ worker: WorkerHandle, _ status: Int32) -> Bool {
    guard let generation = plan[worker.generation], generation.killed != .superseded else { return false }
    let isEndExpected =
      generation.phase == .draining && shim_exited(status) != 0 && shim_exit_code(status) == 0
    guard !isEndExpected, generation.killed != .notDrained, generation.killed != .cut else { return false }
    if let errors = worker.rejection {
      ends[worker.generation] = errors
      rejections[generation.revision] = errors
      return false
    }
    if generation.isStandIn {
      Log.shared.write(.error, "the stand-in, generation \(worker.generation), has ended")
      return false
    }
    let signal = shim_term_signal(status)
    let how =
      signal != 0
      ? "by signal \(signal) (\(String(cString: strsignal(signal))))"
      : "with exit status \(shim_exit_code(status))"
    let finding = verdict(on: worker, signal: signal, exitCode: signal == 0 ? shim_exit_code(status) : 0)
    guard case .plugin(let occupant, let reason) = finding else {
      return buryWithoutCulprit(worker, how, generation.phase, signal: signal)
    }
    let name = worker.configuration.plugins[occupant.plugin].name
    let late = worker.late.flatMap { late in late.plugin == name ? late : nil }
    let request = occupant.requestID.isEmpty ? "" : " in request \(occupant.requestID)"
    let message =
      late.map { "it did not load and start within its start-timeout of \(ValueText.render($0.limit))" }
      ?? (worker.isReplaced
        ? "it executed another program in the place of the worker (exec): fork first\(request)"
        : "the worker ended \(how)\(request)")
    Log.shared.write(
      .error,
      "generation \(worker.generation), pid \(worker.pid), ended \(how), in plugin \(name)"
        + (occupant.requestID.isEmpty ? "" : ", request \(occupant.requestID)"))
    let end = "generation \(worker.generation) ended \(how) in plugin \(name)"
    ends[worker.generation] = end
    history.cause = end
    if generation.phase == .starting, isLoss(name, of: worker) {
      return holdBack(name, WorkerHandle.Failure(reason: reason, message: message), occupant, worker)
    }
    blame(name, reason, message, occupant, worker, generation.phase)
    if generation.phase == .starting {
      worker.failed[name] = WorkerHandle.Failure(reason: reason, message: message)
      // What failed before has failed again, and without it there is nothing to prepare.
      if isInVain(worker) { return false }
    }
    return true
  }

  /// Whom the worker's end is put down to.
  private func verdict(on worker: WorkerHandle, signal: Int32, exitCode: Int32) -> DeathVerdict.Finding {
    // Its first fault is on record, and later ones take no plugin out.
    guard !worker.isTainted else { return .nobody }
    let all = occupants(of: worker)
    if let late = worker.late,
      let occupant = all.first(where: { worker.configuration.plugins[$0.plugin].name == late.plugin })
    {
      return .plugin(occupant, .hung)
    }
    if worker.isReplaced, let occupant = all.max(by: { $0.since < $1.since }) {
      return .plugin(occupant, .exited)
    }
    return deaths.judge(
      all, DeathVerdict.End(signal: signal, exitCode: exitCode, isHung: worker.isHung),
      isFault: guard_is_fault_signal(signal), at: Clock.monotonic()
    ) { worker.configuration.plugins[$0].name }
  }

  /// The worker has ended, and nobody is shown to have done it. True if its end has been told of: an earlier fault had spoilt it.
  private func buryWithoutCulprit(
    _ worker: WorkerHandle, _ how: String, _ phase: GenerationPlan.Phase, signal: Int32
  ) -> Bool {
    let present = Set(occupants(of: worker).map { worker.configuration.plugins[$0.plugin].name }).sorted()
    let cause =
      worker.isTainted
      ? ", after a fault that had spoilt it"
      : worker.isReplaced
        ? ": a thread of a plugin's own executed another program in its place (exec)"
        : signal == SIGKILL
          ? ": killed from outside, or by the kernel for want of memory" : ", in no plugin"
    Log.shared.write(
      .error,
      "generation \(worker.generation), pid \(worker.pid), ended \(how)\(cause)"
        + (present.isEmpty || worker.isTainted
          ? "" : "; at work then: \(present.joined(separator: ", ")), against which it is not held"))
    let end = "generation \(worker.generation) ended \(how)"
    ends[worker.generation] = end
    history.cause = end
    guard !worker.isTainted else { return true }
    if signal != SIGKILL { vigilantUntil = Clock.monotonic() &+ SharedStateWatch.vigilance }
    // SIGKILL comes from an operator, or from the kernel for want of memory: it says nothing of the latest library.
    if phase == .serving, signal != SIGKILL { noteUnexplainedEnd(of: worker) }
    return false
  }

  /// The plugin serves now, and took down the generation that was to follow. True if that is prepared again with the library
  /// that serves.
  private func holdBack(
    _ plugin: String, _ failure: WorkerHandle.Failure, _ occupant: FaultFrame.Occupant, _ worker: WorkerHandle
  ) -> Bool {
    if let entry = worker.manifest[plugin: plugin] {
      record(plugin, entry, failure.reason, failure.message, occupant, worker)
    }
    worker.failed[plugin] = failure
    if case .again = judge(worker.failed, of: worker) { return true }
    return false
  }

  // MARK: Starts

  /// The plugin that is to have started by then in the generation that is being prepared; nil if none is starting.
  var startDue: (at: UInt64, plugin: PluginConfiguration, worker: WorkerHandle)? {
    guard let number = plan.preparing?.number, let worker = workers[number], worker.late == nil else {
      return nil
    }
    let starting = (0..<SharedMemory.frameCount).compactMap { index -> (UInt64, PluginConfiguration)? in
      guard let occupant = memory.frame(index, generation: number).occupant,
        occupant.phase == FaultFrame.Phase.start, occupant.plugin < worker.configuration.plugins.count
      else { return nil }
      let plugin = worker.configuration.plugins[occupant.plugin]
      let limit = plugin.startTimeout ?? worker.configuration.host.startTimeout
      return (occupant.since &+ limit.nanoseconds, plugin)
    }
    return starting.min { $0.0 < $1.0 }.map { ($0.0, $0.1, worker) }
  }

  /// Ends a generation whose plugin does not come back from its start: the next one goes without it.
  func endLateStart(at now: UInt64) {
    guard !isDebugging, let due = startDue, now >= due.at else { return }
    let limit = due.plugin.startTimeout ?? due.worker.configuration.host.startTimeout
    due.worker.late = (due.plugin.name, limit)
    due.worker.isHung = true
    Log.shared.write(
      .error,
      "plugin \(due.plugin.name) has not started within its start-timeout of \(ValueText.render(limit)): "
        + "ending generation \(due.worker.generation)",
      fields: [("plugin", due.plugin.name)])
    askWhere(due.plugin.name, stands: due.worker)
    kill(due.worker.pid, SIGKILL)
  }

  /// Nobody can be named. What came with the last swap is the likeliest cause, and goes before all plugins do.
  private func noteUnexplainedEnd(of worker: WorkerHandle) {
    let pins = worker.configuration.plugins.compactMap { plugin in plugin.sha256.map { (plugin.name, $0) } }
    let due = rollBack.noteUnexplainedEnd(
      pins: Dictionary(pins) { first, _ in first }, at: Clock.monotonic())
    for plugin in due { sayRolledBack(plugin, "workers end for no known reason since it came") }
  }

  /// The plugins on the stacks of a worker.
  func occupants(of worker: WorkerHandle) -> [FaultFrame.Occupant] {
    (0..<SharedMemory.frameCount).compactMap { memory.frame($0, generation: worker.generation).occupant }
      .filter { $0.plugin < worker.configuration.plugins.count }
  }

  /// The plugin took the worker down: it begins the next generation in quarantine, or is not started again.
  private func blame(
    _ plugin: String, _ reason: Quarantine.Reason, _ message: String, _ occupant: FaultFrame.Occupant,
    _ worker: WorkerHandle, _ phase: GenerationPlan.Phase
  ) {
    guard let entry = worker.manifest[plugin: plugin],
      let configuration = worker.configuration.plugins.first(where: { $0.name == plugin })
    else { return }
    record(plugin, entry, reason, message, occupant, worker)
    if phase != .draining { noteFault(of: plugin, in: worker) }
    // In its start, or when it was proven.
    if phase == .starting { return keepOut(plugin, reason, message, of: worker) }
    let now = Clock.monotonic()
    let before = states.read(entry.stateKey)?.core ?? Quarantine.Core(since: worker.startedAt)
    let wasOutBefore = before.state == .quarantined && before.since < worker.startedAt
    // Frozen before the process ended, it is in quarantine already.
    if before.state == .quarantined, !wasOutBefore { return }
    counts.add(PluginCountTable.Counts(faults: 1), to: PluginCountTable.key(of: plugin))
    counts.add(reason, to: PluginCountTable.key(of: plugin))
    // By a thread of its own: nothing was asked of it, and started again it would do it again.
    if wasOutBefore { return keepOut(plugin, reason, message, of: worker) }
    var quarantine = Quarantine(policy: configuration, resuming: before, at: now)
    quarantine.beginQuarantined(reason, streak: before.streak + 1, at: now)
    states.write(quarantine.inheritance, key: entry.stateKey, generation: worker.generation)
  }

  private func record(
    _ plugin: String, _ entry: Manifest.PluginEntry, _ reason: Quarantine.Reason, _ message: String,
    _ occupant: FaultFrame.Occupant, _ worker: WorkerHandle
  ) {
    let fault = Fault(
      id: FaultLog.newID(), plugin: plugin, version: nil, sha256: entry.sha256, reason: reason,
      message: message,
      signal: worker.end?.signal, realtime: Clock.realtime(),
      requestID: occupant.requestID.isEmpty ? nil : occupant.requestID,
      request: nil, generation: worker.generation, backtrace: worker.end?.backtrace ?? [],
      lastWords: lastWords(of: worker, plugin, reason))
    guard !isRepeated(plugin, reason, message, by: worker) else { return }
    var json = JSONWriter()
    json.object { fault.write(to: &$0) }
    keep(json.bytes, as: fault.id)
  }

  // MARK: Hearts

  private static let pingInterval: UInt64 = 2_000_000_000
  private static let silence: UInt64 = 10_000_000_000

  /// A worker whose control thread says nothing for long is at a standstill: it cannot even be told to end.
  func listenToHearts(at now: UInt64) {
    guard !isDebugging else { return }
    // Should we have been stopped ourselves, nobody else is late.
    let wasStopped = now &- lookedAt > 3_000_000_000
    guard let number = plan.serving?.number, let worker = workers[number] else { return }
    if wasStopped { worker.heardAt = now }
    let silent = now >= worker.heardAt ? now &- worker.heardAt : 0
    if silent > Supervisor.silence, !worker.isHung {
      Log.shared.write(.error, "generation \(number) is at a standstill: killing it")
      worker.isHung = true
      kill(worker.pid, SIGKILL)
    } else if silent > Supervisor.pingInterval, now &- worker.beatAskedAt > Supervisor.pingInterval / 2 {
      worker.askForBeat(at: now)
    }
    recycle(worker, at: now)
  }

  /// A worker that has grown past `max-rss`, or has lost what it needs to take connections, is replaced without loss.
  private func recycle(_ worker: WorkerHandle, at now: UInt64) {
    guard plan.preparing == nil else { return }
    let age = now &- worker.startedAt
    if let unfit = worker.unfit, pace.admits(age: age) {
      history.cause = "the worker \(unfit)"
      return step(.replace(generation: worker.generation))
    }
    let limit = worker.configuration.host.maxResidentSize
    guard limit > 0, let size = residentSize(of: worker), size > limit else { return }
    guard pace.admits(age: age) else {
      guard pace.isSlowed, warnedSize != limit else { return }
      warnedSize = limit
      return Log.shared.write(
        .warning,
        "generation \(worker.generation) has \(size) bytes already: a worker needs more than max-rss, "
          + "and is replaced ever more seldom")
    }
    Log.shared.write(
      .info, "generation \(worker.generation) has grown to \(size) bytes, past max-rss: replacing it")
    history.cause = "the worker has grown past max-rss"
    step(.replace(generation: worker.generation))
  }

  /// In bytes; nil if it has ended, which is noticed elsewhere.
  private func residentSize(of worker: WorkerHandle) -> Int? {
    let pages: Int
    do throws(FileContents.Failure) {
      let bytes = try FileContents.read("/proc/\(worker.pid)/statm", limit: 4096)
      let words = String(decoding: bytes, as: UTF8.self).split(separator: " ")
      guard words.count > 1, let count = Int(words[1]) else { return nil }
      pages = count
    } catch {
      return nil
    }
    return pages * sysconf(Int32(_SC_PAGESIZE))
  }
}

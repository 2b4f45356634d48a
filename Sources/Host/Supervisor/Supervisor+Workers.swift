import Glibc
import LinuxShims

/// Workers: how they are started, what they say, and what their deaths mean.
extension Supervisor {
  // MARK: Starting

  func start(_ generation: Int, _ number: Int, isBare: Bool) {
    guard var revision = revisions[number] else {
      // Not before the last generation of it is gone, so this cannot be.
      Log.shared.write(.error, "revision \(number) of the configuration is lost")
      return step(.cannotStart(generation: generation))
    }
    memory.clearFrames(generation: generation)
    revision.files = libraries.take(revision.configuration.plugins.map(\.libraryPath))
    revisions[number] = revision
    if lastTried?.number == number { lastTried = revision }
    let manifest = manifest(generation, revision, isBare: isBare)
    do throws(SystemError) {
      workers[generation] = try WorkerHandle.start(
        manifest, configuration: revision.configuration, listeners: revision.listeners.map(\.listener),
        memory: memory)
    } catch {
      Log.shared.write(.error, "cannot start a worker: \(error)")
      ends[generation] = "cannot start a worker: \(error)"
      step(.cannotStart(generation: generation))
    }
  }

  private func manifest(_ generation: Int, _ revision: Revision, isBare: Bool) -> Manifest {
    var manifest = Manifest()
    manifest.generation = generation
    manifest.configurationPath = configurationPath
    manifest.listeners = revision.listeners.map(\.listener.text)
    manifest.isBare = isBare
    manifest.bypass = bypass
    manifest.logLevel = logLevel
    manifest.configurationError = revision.number == activeRevision ? status.error : nil
    manifest.supervisor = getpid()
    manifest.configuration = revision.source.text
    for plugin in revision.configuration.plugins {
      let entry = entry(for: plugin, file: revision.files[plugin.libraryPath] ?? LibraryStore.File())
      manifest.plugins.append(entry)
      if let culprit = culprits[entry.stateKey] { manifest.culprits.append(culprit) }
    }
    return manifest
  }

  /// What the plugin is to load, and where its state is kept.
  private func entry(for plugin: PluginConfiguration, file: LibraryStore.File) -> Manifest.PluginEntry {
    var loaded = file
    var change = rollBack.change(of: plugin.name, file: file.sha256)
    if let wanted = change {
      if let copy = libraries.goodCopy(sha256: wanted.to) {
        loaded = LibraryStore.File(sha256: wanted.to, copy: copy)
      } else {
        Log.shared.write(.error, "the good copy \(wanted.to) of plugin \(plugin.name) is gone, or spoilt")
        rollBack.forget(wanted.to)
        change = nil
      }
    }
    let key = plugin.identity(sha256: loaded.sha256)
    // What the plugin was before it was edited is forgotten: should it be edited back, it begins anew too.
    if let before = stateKeys[plugin.name], before != key {
      let inUse = workers.values.flatMap { $0.manifest.plugins.map(\.stateKey) }
      if !inUse.contains(key) { states.forget(key) }
    }
    stateKeys[plugin.name] = key
    return Manifest.PluginEntry(
      name: plugin.name, stateKey: states.claim(key) ? key : 0, sha256: loaded.sha256, copy: loaded.copy,
      rolledBack: change)
  }

  // MARK: Serving well

  func noteServing(_ worker: WorkerHandle, _ revision: Revision) {
    var served: [RollBack.Served] = []
    for plugin in worker.configuration.plugins where plugin.mode != .off && !worker.manifest.isBare {
      guard worker.failed[plugin.name] == nil, let entry = worker.manifest[plugin: plugin.name],
        entry.rolledBack == nil, entry.copy != nil
      else { continue }
      served.append(
        RollBack.Served(plugin: plugin.name, sha256: entry.sha256, probation: plugin.probation.nanoseconds))
    }
    rollBack.note(serving: served, at: Clock.monotonic())
    let live = workers.values.flatMap(\.manifest.plugins)
    states.keep(only: Set(live.map(\.stateKey)))
    libraries.keep(only: Set(live.compactMap(\.sha256)))
  }

  func passProbations(at now: UInt64) {
    guard let due = rollBack.nextPass, now >= due else { return }
    let before = rollBack.goodDigests
    let passed = rollBack.passed(at: now)
    for (plugin, sha256) in passed {
      let copy = workers.values.flatMap(\.manifest.plugins).first { $0.sha256 == sha256 }?.copy
      if let copy, libraries.keepGood(copy, sha256: sha256) {
        Log.shared.write(.debug, "plugin \(plugin) has served well: a copy of \(sha256) is kept")
      } else {
        rollBack.forget(sha256)
      }
    }
    for sha256 in before.subtracting(rollBack.goodDigests) { libraries.removeGood(sha256: sha256) }
    do throws(SystemError) {
      try StateDirectory.replace("\(libraries.good)/index", with: Array(rollBack.index.utf8))
    } catch {
      Log.shared.write(.warning, "the index of good copies cannot be written: \(error)")
    }
  }

  static func readGoodIndex(_ libraries: LibraryStore) -> [String: [String]] {
    do throws(FileContents.Failure) {
      let bytes = try FileContents.read("\(libraries.good)/index", limit: 1 << 20)
      return RollBack.good(index: String(decoding: bytes, as: UTF8.self))
    } catch {
      // None yet, in a new state directory.
      return [:]
    }
  }

  // MARK: What they say

  /// The older first: what a worker reports counts before another takes its place.
  func hearWorkers() {
    for generation in workers.keys.sorted() {
      while let worker = workers[generation], case .message(let message)? = worker.hear() {
        take(message, from: worker)
      }
    }
  }

  private func take(_ message: WorkerMessage, from worker: WorkerHandle) {
    switch message {
    case .failed(let plugin, let reason):
      worker.failed[plugin] = reason
      if noteFault(of: plugin, in: worker) { worker.isToBeMadeAgain = true }
    case .ready:
      let isPrepared = plan.preparing?.number == worker.generation
      step(worker.isToBeMadeAgain && isPrepared ? .prepareAgain : .ready(generation: worker.generation))
    case .taint: step(.replace(generation: worker.generation))
    case .fault(let json): keepFault(json, from: worker)
    case .request(let id, let bytes):
      do throws(SystemError) {
        try ledger.keep(request: bytes, of: id)
      } catch {
        Log.shared.write(.error, "the request of fault \(id) cannot be kept: \(error)")
      }
    case .answer(let isYes, let text):
      guard !worker.questions.isEmpty, let client = worker.questions.removeFirst() else { return }
      control.answer(client, isYes: isYes, isStatus(text) ? statusReport(from: worker, text) : "\(text)\n")
    case .pong: break
    }
  }

  private func isStatus(_ text: String) -> Bool { text.hasPrefix("[") }

  private func keepFault(_ bytes: [UInt8], from worker: WorkerHandle) {
    guard let json = JSONValue(parsing: bytes), let id = json["id"].string, let plugin = json["plugin"].string
    else {
      return Log.shared.write(.warning, "generation \(worker.generation) reports a fault that makes no sense")
    }
    keep(bytes, as: id)
    let reason = json["reason"].string.flatMap(Quarantine.Reason.init(rawValue:))
    guard let reason, !reason.isOfLoading, reason != .operator else { return }
    // A throw that does not quarantine yet is none that a release is withdrawn for.
    let key = worker.manifest[plugin: plugin]?.stateKey ?? 0
    guard let state = states.read(key)?.core.state, state != .active else { return }
    if noteFault(of: plugin, in: worker) { step(.replace(generation: worker.generation)) }
  }

  private func keep(_ bytes: [UInt8], as id: String) {
    do throws(SystemError) {
      try ledger.keep(id, bytes)
    } catch {
      Log.shared.write(.error, "fault \(id) cannot be kept: \(error)")
    }
  }

  /// True if the plugin's last good copy takes its place, for which another generation is wanted.
  private func noteFault(of plugin: String, in worker: WorkerHandle) -> Bool {
    guard let entry = worker.manifest[plugin: plugin], entry.rolledBack == nil,
      let configuration = worker.configuration.plugins.first(where: { $0.name == plugin })
    else { return false }
    let isDue = rollBack.note(
      faultOf: plugin, file: entry.sha256, pin: configuration.sha256, at: Clock.monotonic())
    if isDue, let change = rollBack.changes[plugin] {
      Log.shared.write(
        .error, "plugin \(plugin) is rolled back from \(change.from ?? "no file") to \(change.to)",
        fields: [("plugin", plugin)])
    }
    return isDue
  }

  // MARK: Deaths

  func reapWorkers() {
    for worker in workers.values where hasEnded(worker) {
      // What its plugins have started goes with it: nobody else knows of them. The group's number cannot be another's
      // before its leader is reaped.
      kill(-worker.pid, SIGKILL)
      var status: Int32 = 0
      guard waitpid(worker.pid, &status, 0) == worker.pid else { continue }
      // What it said last is heard before it is buried.
      while case .message(let message)? = worker.hear() { take(message, from: worker) }
      workers[worker.generation] = nil
      worker.control.close()
      for client in worker.questions.compactMap({ $0 }) {
        control.answer(client, isYes: false, "the worker ended before it could answer; try again\n")
      }
      let isExplained = bury(worker, status)
      step(.ended(generation: worker.generation, isExplained: isExplained))
    }
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
    guard !isEndExpected, generation.killed != .notDrained else { return false }
    let signal = shim_term_signal(status)
    let how =
      signal != 0
      ? "by signal \(signal) (\(String(cString: strsignal(signal))))"
      : "with exit status \(shim_exit_code(status))"
    let occupant = culprit(of: worker)
    let name = occupant.map { worker.configuration.plugins[$0.plugin].name }
    let message =
      "the worker ended \(how)"
      + (occupant.map { $0.requestID.isEmpty ? "" : " in request \($0.requestID)" } ?? "")
    Log.shared.write(
      .error,
      "generation \(worker.generation), pid \(worker.pid), ended \(how)"
        + (name.map { ", in plugin \($0)" } ?? ", in no plugin")
        + (occupant.map { $0.requestID.isEmpty ? "" : ", request \($0.requestID)" } ?? ""))
    ends[worker.generation] =
      "generation \(worker.generation) ended \(how)" + (name.map { " in plugin \($0)" } ?? "")
    guard let occupant, let name else { return false }
    blame(name, reason(of: worker, occupant, signal: signal), message, occupant, worker, generation.phase)
    return true
  }

  private func reason(of worker: WorkerHandle, _ occupant: FaultFrame.Occupant, signal: Int32)
    -> Quarantine.Reason
  {
    if occupant.hasCrashed { return .crashed }
    if occupant.isTaken || worker.isHung { return .hung }
    return signal == 0 ? .exited : .crashed
  }

  /// The plugin on the dead worker's stack: one that crashed or hangs, or else the latest to enter.
  private func culprit(of worker: WorkerHandle) -> FaultFrame.Occupant? {
    let occupants = (0..<SharedMemory.frameCount).compactMap {
      memory.frame($0, generation: worker.generation).occupant
    }.filter { $0.plugin < worker.configuration.plugins.count }
    return occupants.max {
      ($0.hasCrashed ? 1 : 0, $0.since) < ($1.hasCrashed ? 1 : 0, $1.since)
    }
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
    let isRolledBack = phase != .draining && noteFault(of: plugin, in: worker)
    if occupant.phase == FaultFrame.Phase.start, phase == .starting {
      if !isRolledBack, entry.stateKey != 0 {
        culprits[entry.stateKey] = Manifest.Culprit(plugin: plugin, reason: reason, message: message)
      }
      return
    }
    let now = Clock.monotonic()
    let before = states.read(entry.stateKey)?.core ?? Quarantine.Core(since: worker.startedAt)
    // Frozen before the process ended, it is in quarantine already.
    if before.state == .quarantined, before.since > worker.startedAt { return }
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
      signal: nil, realtime: Clock.realtime(),
      requestID: occupant.requestID.isEmpty ? nil : occupant.requestID,
      request: nil, generation: worker.generation)
    var json = JSONWriter()
    json.object { fault.write(to: &$0) }
    keep(json.bytes, as: fault.id)
  }

  // MARK: Hearts

  private static let pingInterval: UInt64 = 2_000_000_000
  private static let silence: UInt64 = 10_000_000_000

  /// A worker whose main thread says nothing for long is at a standstill: it cannot even be told to end.
  func listenToHearts(at now: UInt64) {
    // Should we have been stopped ourselves, nobody else is late.
    let wasStopped = now &- lookedAt > 3_000_000_000
    guard let number = plan.serving?.number, let worker = workers[number] else { return }
    if wasStopped { worker.heardAt = now }
    let silent = now >= worker.heardAt ? now &- worker.heardAt : 0
    if silent > Supervisor.silence, !worker.isHung {
      Log.shared.write(.error, "generation \(number) is at a standstill: killing it")
      worker.isHung = true
      kill(worker.pid, SIGKILL)
    } else if silent > Supervisor.pingInterval {
      worker.tell("ping")
    }
    recycle(worker)
  }

  /// A worker that has grown past `max-rss` is replaced without loss.
  private func recycle(_ worker: WorkerHandle) {
    let limit = worker.configuration.host.maxResidentSize
    guard limit > 0, plan.preparing == nil else { return }
    let pages: Int
    do throws(FileContents.Failure) {
      let bytes = try FileContents.read("/proc/\(worker.pid)/statm", limit: 4096)
      let words = String(decoding: bytes, as: UTF8.self).split(separator: " ")
      guard words.count > 1, let count = Int(words[1]) else { return }
      pages = count
    } catch {
      // It has ended, which is noticed elsewhere.
      return
    }
    let size = pages * sysconf(Int32(_SC_PAGESIZE))
    guard size > limit else { return }
    Log.shared.write(
      .info, "generation \(worker.generation) has grown to \(size) bytes, past max-rss: replacing it")
    step(.replace(generation: worker.generation))
  }
}

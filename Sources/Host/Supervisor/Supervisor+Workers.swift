import Glibc
import LinuxShims

/// Workers: how they are started, and what they say.
extension Supervisor {
  // MARK: Starting

  /// A generation with its plugins, or a bare one. Its libraries are the copies that were made when its revision was read; where
  /// there are none, or one is gone, they are made first.
  func start(_ generation: Int, _ number: Int, isBare: Bool) {
    guard let revision = revisions[number] else {
      // Not before the last generation of it is gone, so this cannot be.
      Log.shared.write(.error, "revision \(number) of the configuration is lost")
      return step(.cannotStart(generation: generation))
    }
    history.begin(generation, isBare: isBare, at: Clock.realtime())
    plan.startLimit = isDebugging ? .max / 2 : Supervisor.startLimit(revision.configuration)
    guard isBare || hasCopies(revision) else {
      waiting.insert(generation)
      let paths = revision.configuration.plugins.map(\.libraryPath)
      return reader.takeLibraries(paths, asBefore: revision.files, for: generation)
    }
    launch(generation, revision, manifest(generation, revision, isBare: isBare))
  }

  /// The generation that waited for its libraries has them.
  func launch(_ generation: Int, with files: [String: LibraryStore.File]) {
    guard waiting.remove(generation) != nil, let number = plan[generation]?.revision,
      var revision = revisions[number]
    else { return }
    revision.files = files
    revisions[number] = revision
    if lastTried?.number == number { lastTried = revision }
    launch(generation, revision, manifest(generation, revision, isBare: false))
  }

  /// Answers built-ins and CORS while a generation with plugins is prepared.
  func startStandIn(_ generation: Int, _ number: Int) {
    guard let revision = revisions[number] else { return step(.cannotStart(generation: generation)) }
    history.cause = "no generation was ready in time to serve"
    history.begin(generation, isBare: true, at: Clock.realtime())
    var manifest = commonManifest(generation, revision)
    manifest.isBare = true
    manifest.isStandIn = true
    launch(generation, revision, manifest)
  }

  /// Each copy is where it was.
  private func hasCopies(_ revision: Revision) -> Bool {
    guard let files = revision.files else { return false }
    return files.values.allSatisfy { file in file.copy.map { access($0, R_OK) == 0 } ?? true }
  }

  /// Nanoseconds: what all plugins may take one after the other, and what else there is to do.
  private static func startLimit(_ configuration: Configuration) -> UInt64 {
    configuration.plugins.reduce(30_000_000_000) {
      $0 &+ ($1.startTimeout ?? configuration.host.startTimeout).nanoseconds
    }
  }

  private func launch(_ generation: Int, _ revision: Revision, _ manifest: Manifest) {
    memory.clearFrames(generation: generation)
    for open in revision.listeners where !open.listener.isListening {
      listenAgain(open, mode: revision.configuration.host.socketMode)
    }
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

  /// A plugin has shut a socket that all share: nobody hears at it any more, in whatever process.
  private func listenAgain(_ open: ListenerSet.Open, mode: UInt32?) {
    do throws(SystemError) {
      try open.listenAgain(mode: mode)
      Log.shared.write(.warning, "\(open.listener.text) was shut down by a plugin, and is listened on again")
    } catch {
      Log.shared.write(
        .error, "cannot listen on \(open.listener.text) again, which a plugin has shut down: \(error)")
    }
  }

  private func manifest(_ generation: Int, _ revision: Revision, isBare: Bool) -> Manifest {
    var manifest = commonManifest(generation, revision)
    manifest.isBare = isBare
    manifest.edited = edited(in: revision)
    for plugin in revision.configuration.plugins {
      let entry = entry(
        for: plugin, file: revision.files?[plugin.libraryPath] ?? LibraryStore.File(), generation: generation)
      manifest.plugins.append(entry)
      if let culprit = culprits[entry.stateKey] { manifest.culprits.append(culprit) }
    }
    return manifest
  }

  private func commonManifest(_ generation: Int, _ revision: Revision) -> Manifest {
    var manifest = Manifest()
    manifest.generation = generation
    manifest.configurationPath = configurationPath
    manifest.listeners = revision.listeners.map(\.listener.text)
    manifest.bypass = bypass
    manifest.isDraining = isDraining
    manifest.logLevel = logLevel
    manifest.configurationStatus =
      revision.number == activeRevision ? status : revision.held.map { .held($0) } ?? .active
    manifest.supervisor = getpid()
    manifest.isDebugging = isDebugging
    manifest.isVigilant = Clock.monotonic() < vigilantUntil
    manifest.configuration = revision.source.text
    return manifest
  }

  /// Plugins whose sections say else than those of what serves. None at a first start, where whatever is wrong with one
  /// plugin is to keep no other from being served.
  private func edited(in revision: Revision) -> Set<String> {
    guard plan.hasServed, revision.number != activeRevision, let active = revisions[activeRevision] else {
      return []
    }
    let before = Set(active.configuration.plugins.map { $0.identity(sha256: nil) })
    let plugins = revision.configuration.plugins
    return Set(plugins.filter { !before.contains($0.identity(sha256: nil)) }.map(\.name))
  }

  /// What the plugin is to load, and where its state is kept.
  private func entry(
    for plugin: PluginConfiguration, file: LibraryStore.File, generation: Int
  ) -> Manifest.PluginEntry {
    var loaded = file
    let held = rollBack.changes[plugin.name]
    var change = rollBack.change(of: plugin.name, file: file.sha256)
    // Another file ends it, unless that is not taken.
    if let held, change == nil, endedRollBacks[plugin.name] == nil { endedRollBacks[plugin.name] = held }
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
    var state: Quarantine.Core?
    if let before = stateKeys[plugin.name], before != key {
      let inUse = workers.values.flatMap { $0.manifest.plugins.map(\.stateKey) }
      if !inUse.contains(key) { states.forget(key) }
      state = stateHeldByOperator(before, of: plugin)
    }
    stateKeys[plugin.name] = key
    sections[key] = plugin.identity(sha256: nil)
    counts.claim(PluginCountTable.key(of: plugin.name))
    let isKept = states.claim(key)
    if isKept, let state { states.write(state, key: key, generation: generation - 1) }
    return Manifest.PluginEntry(
      name: plugin.name, stateKey: isKept ? key : 0, sha256: loaded.sha256, copy: loaded.copy,
      rolledBack: change)
  }

  /// What the operator has taken out stays out, whatever library comes; but not once its section is edited.
  private func stateHeldByOperator(_ key: UInt64, of plugin: PluginConfiguration) -> Quarantine.Core? {
    guard let core = states.read(key)?.core, core.state == .quarantined, core.reason == .operator,
      sections[key] == plugin.identity(sha256: nil)
    else { return nil }
    return core
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
    forgetUnused()
  }

  /// What was kept for generations and revisions that are no more, and for edits that were not taken, is given up.
  func forgetUnused() {
    // The next generation goes on where a dead one was.
    let holders = Array(workers.values) + (lastServed.map { [$0] } ?? [])
    let live = holders.flatMap(\.manifest.plugins)
    let keys = Set(live.map(\.stateKey))
    states.keep(only: keys)
    sections = sections.filter { keys.contains($0.key) }
    counts.keep(only: Set(live.map { PluginCountTable.key(of: $0.name) }))
    let files = revisions.values.flatMap { revision in (revision.files ?? [:]).values.compactMap(\.sha256) }
    reader.keep(only: Set(live.compactMap(\.sha256) + files))
  }

  func passProbations(at now: UInt64) {
    guard let due = rollBack.nextPass, now >= due else { return }
    changeGoodCopies { rollBack in
      keepGood(rollBack.passed(at: now), &rollBack)
    }
  }

  private func keepGood(_ passed: [(plugin: String, sha256: String)], _ rollBack: inout RollBack) {
    for (plugin, sha256) in passed {
      let copy = workers.values.flatMap(\.manifest.plugins).first { $0.sha256 == sha256 }?.copy
      if let copy, libraries.keepGood(copy, sha256: sha256) {
        Log.shared.write(.debug, "plugin \(plugin) has served well: a copy of \(sha256) is kept")
      } else {
        rollBack.forget(sha256)
      }
    }
  }

  /// Changes which copies are good, removes those that are not any more, and writes their index.
  func changeGoodCopies(_ change: (inout RollBack) -> Void) {
    let before = rollBack.goodDigests
    change(&rollBack)
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
      if let worker = workers[generation] { hearOutput(of: worker) }
      var left = Supervisor.messagesATurn
      while left > 0, let worker = workers[generation], let news = worker.hear() {
        left -= 1
        switch news {
        case .message(let message): take(message, from: worker)
        case .nonsense: noteNonsense(of: worker)
        case .gone:
          endIfReplaced(worker)
          left = 0
        }
      }
    }
  }

  /// Others have their turn, too, when one says much.
  private static let messagesATurn = 64
  private static let nonsenseInterval: UInt64 = 10_000_000_000

  /// A plugin writes to a descriptor that is not its own, as it seems.
  private func noteNonsense(of worker: WorkerHandle) {
    worker.nonsense += 1
    let now = Clock.monotonic()
    guard worker.toldOfNonsenseAt == 0 || now &- worker.toldOfNonsenseAt > Supervisor.nonsenseInterval else {
      return
    }
    worker.toldOfNonsenseAt = now
    vigilantUntil = now &+ SharedStateWatch.vigilance
    Log.shared.write(
      .warning,
      "generation \(worker.generation) has said \(worker.nonsense) times what makes no sense: a plugin writes to a "
        + "descriptor that is not its own")
  }

  /// Its end of the socket is closed, and it lives: another program runs in its place (execve(2)), which would run for as long
  /// as it likes.
  private func endIfReplaced(_ worker: WorkerHandle) {
    guard !worker.isReplaced, !isSameProgram(worker.pid) else { return }
    worker.isReplaced = true
    Log.shared.write(
      .error, "generation \(worker.generation), pid \(worker.pid), executes another program: ending it")
    kill(worker.pid, SIGKILL)
  }

  private func isSameProgram(_ pid: pid_t) -> Bool {
    var (own, its) = (stat(), stat())
    // One that has ended has none, and is buried elsewhere.
    guard stat("/proc/\(pid)/exe", &its) == 0, stat(Executable.path, &own) == 0 else { return true }
    return own.st_dev == its.st_dev && own.st_ino == its.st_ino
  }

  func take(_ message: WorkerMessage, from worker: WorkerHandle) {
    switch message {
    case .failed(let plugin, let reason, let message):
      noteFailure(of: plugin, WorkerHandle.Failure(reason: reason, message: message), in: worker)
    case .rejected(let errors): worker.rejection = errors
    case .ready: noteReady(worker)
    case .taint(let plugin, let reason, let isRelapse):
      worker.isTainted = true
      history.cause = "\(plugin) \(reason.rawValue): its worker is replaced"
      if isPreparing(worker) {
        keepOut(plugin, reason, "\(reason.rawValue) before its generation was proven", of: worker)
      } else if isRelapse {
        keepOut(
          plugin, reason, "\(reason.rawValue) again, though it was out: by a thread of its own", of: worker)
      }
      replace(worker)
    case .fault(let json): keepFault(json, from: worker)
    case .request(let id, let bytes):
      do throws(SystemError) {
        try ledger.keep(request: bytes, of: id)
      } catch {
        Log.shared.write(.error, "the request of fault \(id) cannot be kept: \(error)")
      }
    case .answer(let isYes, let text):
      guard !worker.questions.isEmpty, let client = worker.questions.removeFirst() else { return }
      if isDueStatus(client) {
        answerStatus(client, statusReport(from: worker, text))
      } else {
        control.answer(client, isYes: isYes, "\(text)\n")
      }
    case .operate(let line): operate(line)
    case .passing:
      if successor?.from == worker.generation { announceSuccessor() }
      if stop?.generation == worker.generation { closeListeners() }
    case .record(let json):
      guard let id = JSONValue(parsing: json)?["id"].string, ledger.admits(at: Clock.monotonic()) else {
        return
      }
      keep(withLastWords(json, JSONValue(parsing: json) ?? .null, of: worker), as: id)
    case .unfit(let why):
      guard plan.serving?.number == worker.generation, worker.unfit == nil else { return }
      worker.unfit = why
      vigilantUntil = Clock.monotonic() &+ SharedStateWatch.vigilance
      Log.shared.write(.error, "generation \(worker.generation) \(why): replacing it")
    case .pong(let number): worker.noteBeat(number)
    case .dying: noteEnd(of: worker)
    }
  }

  private func keepFault(_ bytes: [UInt8], from worker: WorkerHandle) {
    guard let json = JSONValue(parsing: bytes), let id = json["id"].string, let plugin = json["plugin"].string
    else {
      return Log.shared.write(.warning, "generation \(worker.generation) reports a fault that makes no sense")
    }
    let reason = json["reason"].string.flatMap(Quarantine.Reason.init(rawValue:))
    let message = json["message"].string ?? ""
    // Of the death that the worker was told of there is a record.
    let isTold = worker.manifest.culprits.contains {
      $0.plugin == plugin && $0.reason == reason && $0.message == message
    }
    let isKnown = reason.map { isRepeated(plugin, $0, message, by: worker) } ?? false || isTold
    if !isKnown, ledger.admits(at: Clock.monotonic()) {
      keep(withLastWords(bytes, json, of: worker), as: id)
    }
    guard let reason, !reason.isOfLoading, reason != .operator else { return }
    if isPreparing(worker) {
      let failure = WorkerHandle.Failure(reason: reason, message: message)
      return noteFailure(of: plugin, failure, in: worker)
    }
    let key = worker.manifest[plugin: plugin]?.stateKey ?? 0
    // A worker that is on its way out still answers: what falls there counts in the one that serves.
    if let serving = plan.serving, serving.number != worker.generation,
      let other = workers[serving.number],
      other.manifest[plugin: plugin]?.stateKey == key
    {
      other.tell("faulted \(plugin) \(reason.rawValue)")
    }
    guard let state = states.read(key)?.core.state, state != .active else { return }
    if noteFault(of: plugin, in: worker) {
      history.cause = "\(plugin) is rolled back"
      replace(worker)
    }
  }

  /// The plugin does not do what it should in a generation that does not serve yet.
  private func noteFailure(of plugin: String, _ failure: WorkerHandle.Failure, in worker: WorkerHandle) {
    worker.failed[plugin] = failure
    // What would be lost is held, once all is known; what was wanted by force is taken as it is.
    guard !isLoss(plugin, of: worker), !isForced(worker) else { return }
    if noteFault(of: plugin, in: worker) { worker.isToBeMadeAgain = true }
  }

  private func isForced(_ worker: WorkerHandle) -> Bool {
    plan[worker.generation].flatMap { revisions[$0.revision] }?.isForced == true
  }

  func isPreparing(_ worker: WorkerHandle) -> Bool { plan.preparing?.number == worker.generation }

  /// Another takes its place: before it comes to serve, if it does not yet.
  private func replace(_ worker: WorkerHandle) {
    if isPreparing(worker) {
      worker.isToBeMadeAgain = true
    } else {
      step(.replace(generation: worker.generation))
    }
  }

  /// The plugin is not started again as it was in this worker, which it spoilt: it has failed, unless its last good copy
  /// takes its place.
  func keepOut(_ plugin: String, _ reason: Quarantine.Reason, _ message: String, of worker: WorkerHandle) {
    guard let entry = worker.manifest[plugin: plugin], entry.stateKey != 0,
      rollBack.changes[plugin] == entry.rolledBack
    else { return }
    culprits[entry.stateKey] = Manifest.Culprit(plugin: plugin, reason: reason, message: message)
  }

  func keep(_ bytes: [UInt8], as id: String) {
    do throws(SystemError) {
      try ledger.keep(id, bytes)
    } catch {
      Log.shared.write(.error, "fault \(id) cannot be kept: \(error)")
    }
  }

  /// True if the plugin's last good copy takes its place, for which another generation is wanted.
  @discardableResult
  func noteFault(of plugin: String, in worker: WorkerHandle) -> Bool {
    guard let entry = worker.manifest[plugin: plugin], entry.rolledBack == nil,
      let configuration = worker.configuration.plugins.first(where: { $0.name == plugin })
    else { return false }
    let isDue = rollBack.note(
      faultOf: plugin, file: entry.sha256, pin: configuration.sha256, at: Clock.monotonic())
    if isDue { sayRolledBack(plugin, nil) }
    return isDue
  }

  func sayRolledBack(_ plugin: String, _ why: String?) {
    guard let change = rollBack.changes[plugin] else { return }
    counts.addRollBack(to: PluginCountTable.key(of: plugin))
    Log.shared.write(
      .error,
      "plugin \(plugin) is rolled back from \(change.from ?? "no file") to \(change.to)"
        + (why.map { ": \($0)" } ?? ""),
      fields: [("plugin", plugin)])
  }
}

import Glibc
import LinuxShims

/// Workers: how they are started, and how well they serve.
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
}

/// What serves is not given up: a generation that would serve less than the one that serves does not take its place.
extension Supervisor {
  /// What there is to hold on to: the worker that serves with its plugins, or, should it have died, that which did so last. Nil
  /// before any did, while a bare one serves, and if the one that serves cannot take connections.
  private var reference: WorkerHandle? {
    guard isServing else { return lastServed }
    guard let serving = plan.serving, !serving.isBare, let worker = workers[serving.number],
      worker.unfit == nil
    else { return nil }
    return worker
  }

  /// A generation serves that is no stand-in.
  private var isServing: Bool { plan.serving.map { !$0.isStandIn } ?? false }

  /// Nobody serves, and this is what served: there is nothing else to go back to.
  private func isLastResort(_ worker: WorkerHandle) -> Bool {
    !isServing && plan[worker.generation]?.revision == activeRevision
  }

  /// True if the plugin serves now.
  private func isActive(_ plugin: PluginConfiguration, in worker: WorkerHandle) -> Bool {
    guard plugin.mode != .off, worker.failed[plugin.name] == nil,
      let entry = worker.manifest[plugin: plugin.name]
    else { return false }
    let state = states.read(entry.stateKey)?.core.state ?? .active
    return state == .active || state == .probing
  }

  /// True if the plugin serves now, and would not any more if this worker came to serve.
  func isLoss(_ plugin: String, of worker: WorkerHandle) -> Bool {
    guard let reference, reference !== worker, plan[worker.generation]?.phase == .starting,
      revision(of: worker)?.isForced != true, !isLastResort(worker)
    else { return false }
    let before = reference.configuration.plugins
    guard let served = before.first(where: { $0.name == plugin }) else {
      return replaced(by: plugin, of: worker, in: before).contains { isActive($0, in: reference) }
    }
    return isActive(served, in: reference)
  }

  /// Plugins of before that are not there any more, and whose library or mount this new one has: its section was renamed.
  private func replaced(by name: String, of worker: WorkerHandle, in before: [PluginConfiguration])
    -> [PluginConfiguration]
  {
    let next = worker.configuration.plugins
    guard let plugin = next.first(where: { $0.name == name }) else { return [] }
    return before.filter { old in
      !next.contains { $0.name == old.name }
        && (old.libraryPath == plugin.libraryPath || (old.mount != nil && old.mount == plugin.mount))
    }
  }

  private func revision(of worker: WorkerHandle) -> Revision? {
    plan[worker.generation].flatMap { revisions[$0.revision] }
  }

  enum Judgement {
    case fits
    /// It is to be prepared again, with what serves in the place of the libraries that failed.
    case again
    /// Nothing of it is taken.
    case withheld
  }

  /// Whether what failed in a generation that is being prepared keeps it from serving.
  func judge(_ failures: [String: WorkerHandle.Failure], of worker: WorkerHandle) -> Judgement {
    let losses = failures.filter { isLoss($0.key, of: worker) }
    guard !losses.isEmpty, let reference, let number = plan[worker.generation]?.revision else {
      return .fits
    }
    var held = revisions[number]?.held ?? ConfigurationStatus.Held(items: [])
    var changes: [String: RollBack.Change] = [:]
    for (plugin, failure) in losses.sorted(by: { $0.key < $1.key }) {
      held.items.removeAll { $0.plugin == plugin }
      held.items.append(
        ConfigurationStatus.Item(
          plugin: plugin, reason: failure.reason.rawValue, message: failure.message))
      let from = worker.manifest[plugin: plugin]?.sha256
      guard let to = reference.manifest[plugin: plugin]?.sha256, from != to else { continue }
      changes[plugin] = RollBack.Change(from: from, to: to)
      held.rolledBack[plugin] = changes[plugin]
      keepPredecessor(of: plugin, in: reference)
    }
    revisions[number]?.held = held
    // A replacement of the same revision is tried again by the plan.
    guard number != activeRevision else {
      ends[worker.generation] = held.text
      return .withheld
    }
    // A library alone is to blame, and there is more to take than that: the rest is taken.
    let isByLibrary = losses.keys.allSatisfy { changes[$0] != nil && !worker.manifest.edited.contains($0) }
    guard isByLibrary, hasOtherChanges(worker, than: Set(losses.keys), beside: reference) else {
      return .withheld
    }
    for (plugin, change) in changes { rollBack.hold(plugin, change) }
    return .again
  }

  private func hasOtherChanges(
    _ worker: WorkerHandle, than plugins: Set<String>, beside reference: WorkerHandle
  ) -> Bool {
    guard worker.manifest.configuration == reference.manifest.configuration else { return true }
    return worker.manifest.plugins.contains { entry in
      !plugins.contains(entry.name) && entry.sha256 != reference.manifest[plugin: entry.name]?.sha256
    }
  }

  /// The generation is prepared: whether it is to serve.
  func noteReady(_ worker: WorkerHandle) {
    guard isPreparing(worker) else { return step(.ready(generation: worker.generation)) }
    switch judge(worker.failed, of: worker) {
    case .again: return step(.prepareAgain)
    case .withheld: return step(.withhold(generation: worker.generation))
    case .fits: break
    }
    if worker.isToBeMadeAgain { return step(.prepareAgain) }
    if isInVain(worker) { return step(.withhold(generation: worker.generation)) }
    step(.ready(generation: worker.generation))
  }

  /// It was prepared for the sake of what had failed, which has failed again; and there is nothing else in it.
  func isInVain(_ worker: WorkerHandle) -> Bool {
    guard isServing, let reference, revision(of: worker)?.purpose == .retry, worker.manifest.edited.isEmpty,
      !hasOtherChanges(worker, than: [], beside: reference)
    else { return false }
    let out = Set(reference.failed.keys).union(heldForTrial)
    return out.isEmpty ? status.held == nil : out.allSatisfy { worker.failed[$0] != nil }
  }

  // MARK: Trying again

  /// Stands for what is held for no plugin's sake.
  private static let noPlugin = ""

  /// Plugins that are held, and that trying again may cure; what an edit has left out it does not.
  private var heldForTrial: Set<String> {
    let items = (status.held?.items ?? []).filter {
      $0.reason != ConfigurationStatus.Item.dropped && $0.reason != ConfigurationStatus.Item.halfWritten
    }
    return Set(items.map { $0.plugin ?? Supervisor.noPlugin })
  }

  /// True if the plugin's fault is what the ledger has of it already: each try would say it again.
  func isRepeated(_ plugin: String, _ reason: Quarantine.Reason, _ message: String, by worker: WorkerHandle)
    -> Bool
  {
    let said = "\(reason.rawValue): \(message)"
    defer { lastSaid[plugin] = said }
    return isPreparing(worker) && revision(of: worker)?.purpose == .retry && lastSaid[plugin] == said
  }

  /// Plans when what is out, or held, is tried again, and tells the serving worker, which shows it.
  func planRetries() {
    guard let serving = plan.serving, !serving.isStandIn, let worker = workers[serving.number] else { return }
    let held = heldForTrial
    var out: [String: Backoff] = [:]
    if held.contains(Supervisor.noPlugin) { out[Supervisor.noPlugin] = PluginConfiguration(name: "").recover }
    for plugin in worker.configuration.plugins {
      let reason = worker.failed[plugin.name]?.reason
      guard reason.map(\.isCurable) ?? held.contains(plugin.name), let backoff = plugin.recover else {
        continue
      }
      out[plugin.name] = backoff
    }
    // Under the name that its section is to have.
    for plugin in lastTried?.configuration.plugins ?? [] where held.contains(plugin.name) {
      if worker.manifest[plugin: plugin.name] == nil { out[plugin.name] = plugin.recover }
    }
    retries.note(out: out, at: Clock.monotonic())
    for plugin in worker.failed.keys {
      if let at = retries[plugin] { worker.tell("retry \(plugin) \(at)") }
    }
  }

  /// Tries again what is due, in a generation of its own beside the one that serves.
  func retryDue(at now: UInt64) {
    guard let due = retries.nextDue, now >= due, !plan.isStopping, plan.preparing == nil, noticedAt == nil,
      plan.serving?.isBare == false
    else { return }
    let plugins = retries.takeDue(at: now)
    culprits = culprits.filter { !plugins.contains($0.value.plugin) }
    reader.read(.retry)
  }

  // MARK: What served before

  /// What served until another library came is good enough to go back to.
  func keepPredecessors(of next: WorkerHandle, before: WorkerHandle) {
    for plugin in before.configuration.plugins where isActive(plugin, in: before) {
      guard let old = before.manifest[plugin: plugin.name], let new = next.manifest[plugin: plugin.name],
        old.sha256 != new.sha256
      else { continue }
      keepPredecessor(of: plugin.name, in: before)
    }
  }

  private func keepPredecessor(of plugin: String, in worker: WorkerHandle) {
    guard let entry = worker.manifest[plugin: plugin], let sha256 = entry.sha256, let copy = entry.copy,
      rollBack.predecessors[plugin] != sha256, libraries.keepGood(copy, sha256: sha256)
    else { return }
    changeGoodCopies { $0.note(predecessor: sha256, of: plugin) }
  }
}

extension Quarantine.Reason {
  /// False if only another file or another section could make the plugin start.
  var isCurable: Bool { self != .abiMismatch && self != .digestMismatch }
}

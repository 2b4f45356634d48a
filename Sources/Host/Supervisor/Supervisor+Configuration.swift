import Glibc

/// The configuration: when it changed, whether it is taken, and who is told.
extension Supervisor {
  /// A change is looked at when the files have been quiet for so long.
  private static let quiet: UInt64 = 100_000_000
  /// Or at the latest after so long.
  private static let longestQuiet: UInt64 = 2_000_000_000
  private static let lookInterval: UInt64 = 2_000_000_000

  /// When the change noticed is to be looked at; nil if there is none.
  var quietAt: UInt64? {
    noticedAt.map { min($0 &+ Supervisor.quiet, firstNoticeAt &+ Supervisor.longestQuiet) }
  }

  func takeNotices() {
    if watch.takeNotices() { noteChange() }
    reader.openFiles.withLock { $0 = watch.openFiles }
  }

  /// For where no notice comes.
  func lookAtFiles(at now: UInt64) {
    guard now &- checkedFilesAt > Supervisor.lookInterval else { return }
    checkedFilesAt = now
    mendStateDirectory()
    if watch.hasChanged() { noteChange() }
  }

  private func noteChange() {
    let now = Clock.monotonic()
    if noticedAt == nil { firstNoticeAt = now }
    noticedAt = now
  }

  /// Watches what now matters: the file, and the libraries of what serves and of what was tried.
  func follow() {
    let tried = lastTried.map { $0.configuration.plugins.map(\.libraryPath) } ?? []
    let active = revisions[activeRevision]?.configuration.plugins.map(\.libraryPath) ?? []
    watch.follow(Array(Set([configurationPath] + tried + active)))
  }

  /// The files have changed, or may have: they are read.
  func examine() {
    noticedAt = nil
    if !plan.isStopping { reader.read(.change) }
  }

  /// Asked for: the next generation is made from the files as they are, changed or not.
  func reload(for client: ControlServer.Client, isForced: Bool) {
    noticedAt = nil
    reader.read(.reload(client: client, isForced: isForced))
  }

  // MARK: What was read

  func takeFindings() {
    for finding in reader.takeFindings() {
      reader.noteHeard(finding)
      switch finding {
      case .libraries(let generation, let files): launch(generation, with: files)
      case .configuration(let purpose, let result):
        take(result, purpose)
        // Copies were made, whatever became of it.
        if plan.preparing == nil { forgetUnused() }
      }
    }
  }

  private func take(_ result: Result<ConfigurationReader.Reading, ConfigurationErrors>, _ purpose: Purpose) {
    guard !plan.isStopping else { return answer(purpose, isYes: false, "the host is stopping\n") }
    defer { follow() }
    switch result {
    case .failure(let errors): refuse(purpose, errors)
    case .success(let reading):
      guard !isNothingNew(reading, purpose) else { return }
      take(reading, purpose)
    }
  }

  typealias Purpose = ConfigurationReader.Purpose

  /// True if nothing has to be done: the files are what serves, or what was tried last.
  private func isNothingNew(_ reading: ConfigurationReader.Reading, _ purpose: Purpose) -> Bool {
    guard purpose == .change else { return false }
    if let active = revisions[activeRevision], plan.preparing == nil,
      active.isSame(as: reading.source, files: reading.files)
    {
      lastTried = active
      wantedRevision = activeRevision
      clearSuspect()
      settle(active.held.map { .held($0) } ?? .active)
      planRetries()
      return true
    }
    return suspect == nil && lastTried?.isSame(as: reading.source, files: reading.files) == true
  }

  private func take(_ reading: ConfigurationReader.Reading, _ purpose: Purpose) {
    let active = revisions[activeRevision]
    if plan.hasServed, let active, !isTakenAnyway(purpose) {
      switch EditCheck.judge(reading.source, after: active.source, bound: active.listeners.map(\.bound)) {
      case .mayBeCut where isSuspect(reading.source.text, purpose): return
      case .fits, .mayBeCut: clearSuspect()
      case .drops(let items):
        clearSuspect()
        lastTried = Revision(number: 0, source: reading.source, listeners: [], files: reading.files)
        wantedRevision = nil
        let held = ConfigurationStatus.Held(items: items)
        settle(.held(held))
        return answer(purpose, isYes: false, Supervisor.refusal(held))
      }
    }
    let directory = reading.source.configuration.host.stateDirectory
    guard directory == stateDirectory else {
      let message = "'state-dir' is now \(directory.quotedForMessage): that needs a restart of the host"
      return refuse(
        purpose, ConfigurationErrors([ConfigurationError(path: configurationPath, message: message)]))
    }
    switch purpose {
    case .change: history.cause = "the configuration or a library has changed"
    case .retry: history.cause = "what did not start is tried again"
    case .reload: history.cause = "a reload was asked for"
    }
    make(reading, purpose)
  }

  private func isTakenAnyway(_ purpose: Purpose) -> Bool {
    if case .reload(_, isForced: true) = purpose { true } else { false }
  }

  /// True for the first 5 s that a file says what it does, and may be cut off: it is looked at again then. Who asks for a
  /// reload waits for that.
  private func isSuspect(_ text: [UInt8], _ purpose: Purpose) -> Bool {
    let now = Clock.monotonic()
    if suspect?.text != text {
      Log.shared.write(
        .warning,
        "the configuration may be half-written: it is taken as it is if it still says the same in 5 s")
      let until = now &+ FileWriters.patience
      suspect = Suspect(text: text, until: until, dueAt: until, waiting: suspect?.waiting ?? [])
    }
    guard let until = suspect?.until, now < until else { return false }
    if case .reload = purpose { suspect?.waiting.append(purpose) }
    return true
  }

  /// The time of a file that may be cut off is over.
  func lookAgain() {
    let waiting = suspect?.waiting ?? []
    suspect?.waiting = []
    suspect?.dueAt = nil
    for purpose in waiting.isEmpty ? [.change] : waiting { reader.read(purpose) }
  }

  /// The file says something else by now: those who wait are answered by what it says.
  private func clearSuspect() {
    let waiting = suspect?.waiting ?? []
    suspect = nil
    for purpose in waiting { reader.read(purpose) }
  }

  static func refusal(_ held: ConfigurationStatus.Held) -> String {
    "held: what serves goes on\n\(held.text)\n'bulkhead reload --force' takes it all the same\n"
  }

  private func answer(_ purpose: Purpose, isYes: Bool, _ text: String) {
    if case .reload(let client, _) = purpose { control.answer(client, isYes: isYes, text) }
  }

  /// Makes a revision of what was read, and has a generation prepared from it.
  private func make(_ reading: ConfigurationReader.Reading, _ purpose: Purpose) {
    let opened: [ListenerSet.Open]
    do throws(SystemError) {
      let host = reading.source.configuration.host
      opened = try listeners.take(
        host.listen, mode: host.socketMode, from: revisions[activeRevision]?.listeners ?? [])
    } catch {
      return refuse(
        purpose, ConfigurationErrors([ConfigurationError(path: configurationPath, message: "\(error)")]))
    }
    // What is held is tried as its files are, whatever is read; what faulted in service is not.
    endRollBacks(rollBack.release(heldLibraries))
    switch purpose {
    case .retry: break
    case .reload(_, let isForced):
      // Who asks may have mended what made a plugin fail.
      culprits = [:]
      if isForced { endRollBacks(rollBack.end()) }
      endRollBacks(edited: reading.source)
    case .change: endRollBacks(edited: reading.source)
    }
    lastRevision += 1
    let revision = Revision(
      number: lastRevision, source: reading.source, listeners: opened, files: reading.files, purpose: purpose)
    revisions[lastRevision] = revision
    lastTried = revision
    wantedRevision = lastRevision
    if case .reload(let client, _) = purpose { reloading.append((client, lastRevision)) }
    step(.reload(revision: lastRevision))
  }

  private func endRollBacks(edited source: ConfigurationSource) {
    guard let active = revisions[activeRevision], active.source.text != source.text else { return }
    endRollBacks(rollBack.end())
  }

  /// What the serving generation was made with is kept until another serves; not what was held of one that never did.
  private func endRollBacks(_ changes: [String: RollBack.Change]) {
    endedRollBacks.merge(changes) { before, _ in before }
  }

  /// Plugins whose library is held, in what serves or in what was tried.
  private var heldLibraries: Set<String> {
    let held = [status.held, revisions[activeRevision]?.held].compactMap { $0 }
    return Set(held.flatMap(\.rolledBack.keys))
  }

  // MARK: Outcomes

  /// The file has errors, and changes nothing.
  private func refuse(_ purpose: Purpose, _ errors: ConfigurationErrors) {
    lastTried = nil
    wantedRevision = nil
    clearSuspect()
    settle(.rejected("\(errors)"))
    answer(purpose, isYes: false, "\(errors)\n")
  }

  /// The next generation is made as the one that served.
  func resumeServed() {
    stateKeys = servedKeys
    rollBack.resume(endedRollBacks)
  }

  /// A generation did not come to serve, and the one before goes on.
  func refused(_ generation: Int, _ number: Int) {
    let reason = ends[generation] ?? "generation \(generation) did not become ready"
    guard number != activeRevision, let revision = revisions[number] else {
      return Log.shared.write(.error, "the next generation is not ready: \(reason); the current one goes on")
    }
    resumeServed()
    endedRollBacks = [:]
    dropRevisions()
    forgetUnused()
    if let rejection = rejections.removeValue(forKey: number) {
      answerReloads(upTo: number, isYes: false, "\(rejection)\n")
      if number == wantedRevision { settle(.rejected(rejection)) }
      return
    }
    if revision.purpose == .retry, revision.held == nil {
      // In vain, and nothing was lost by it.
      wantedRevision = activeRevision
      return planRetries()
    }
    let held =
      revision.held
      ?? ConfigurationStatus.Held(items: [
        ConfigurationStatus.Item(plugin: nil, reason: Quarantine.Reason.exited.rawValue, message: reason)
      ])
    answerReloads(upTo: number, isYes: false, Supervisor.refusal(held))
    if number == wantedRevision { settle(.held(held)) }
    planRetries()
  }

  /// Says so, if it is news.
  func settle(_ next: ConfigurationStatus) {
    guard next != status else { return }
    status = next
    switch next {
    case .active: Log.shared.write(.info, "the configuration is active")
    case .rejected(let text):
      let shown = text.prefix(utf8: ConfigurationStatus.errorLimit)
      Log.shared.write(.error, "the configuration is not taken: \(shown)")
    case .held(let held):
      for item in held.items {
        Log.shared.write(
          .error, "held, and what serves goes on: \(item.text)",
          fields: item.plugin.map { [("plugin", $0)] } ?? [])
      }
    }
    for worker in workers.values { worker.tell("config \(next.wire)") }
  }

  func answerReloads(upTo revision: Int, isYes: Bool, _ text: String) {
    for waiting in reloading where waiting.revision <= revision {
      control.answer(waiting.client, isYes: isYes, text)
    }
    reloading.removeAll { $0.revision <= revision }
  }
}

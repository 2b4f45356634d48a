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

  /// The files have changed, or may have. Nothing is done unless what they say has.
  func examine() {
    noticedAt = nil
    guard !plan.isStopping else { return }
    defer { follow() }
    switch read() {
    case .failure(let errors): reject(errors)
    case .success(let source):
      let files = libraries.take(source.configuration.plugins.map(\.libraryPath))
      if let active = revisions[activeRevision], plan.preparing == nil,
        active.isSame(as: source, files: files)
      {
        lastTried = active
        wantedRevision = activeRevision
        return settle(.active)
      }
      if lastTried?.isSame(as: source, files: files) == true { return }
      history.cause = "the configuration or a library has changed"
      _ = take(source)
    }
  }

  /// Asked for: the next generation is made from the files as they are, changed or not. The revision that it waits for,
  /// or what is wrong.
  func reload() -> Result<Int, ConfigurationErrors> {
    noticedAt = nil
    guard !plan.isStopping else {
      return .failure(
        ConfigurationErrors([ConfigurationError(path: configurationPath, message: "the host is stopping")]))
    }
    defer { follow() }
    // Who asks may have mended what made a plugin fail.
    culprits = [:]
    switch read() {
    case .failure(let errors):
      reject(errors)
      return .failure(errors)
    case .success(let source):
      history.cause = "a reload was asked for"
      return take(source)
    }
  }

  private func read() -> Result<ConfigurationSource, ConfigurationErrors> {
    ConfigurationSource.read(configurationPath, listenOverride: listenOverride).flatMap { source in
      let directory = source.configuration.host.stateDirectory
      guard directory == stateDirectory else {
        let message = "'state-dir' is now \(directory.quotedForMessage): that needs a restart of the host"
        return .failure(ConfigurationErrors([ConfigurationError(path: configurationPath, message: message)]))
      }
      return .success(source)
    }
  }

  private func take(_ source: ConfigurationSource) -> Result<Int, ConfigurationErrors> {
    let opened: [ListenerSet.Open]
    do throws(SystemError) {
      let host = source.configuration.host
      opened = try listeners.take(
        host.listen, mode: host.socketMode, from: revisions[activeRevision]?.listeners ?? [])
    } catch {
      let errors = ConfigurationErrors([ConfigurationError(path: configurationPath, message: "\(error)")])
      reject(errors)
      return .failure(errors)
    }
    if let active = revisions[activeRevision], active.source.text != source.text {
      endedRollBacks.merge(rollBack.end()) { _, now in now }
    }
    lastRevision += 1
    let revision = Revision(number: lastRevision, source: source, listeners: opened)
    revisions[lastRevision] = revision
    lastTried = revision
    wantedRevision = lastRevision
    step(.reload(revision: lastRevision))
    return .success(revision.number)
  }

  // MARK: Outcomes

  private func reject(_ errors: ConfigurationErrors) {
    lastTried = nil
    wantedRevision = nil
    settle(.rejected("\(errors)"))
  }

  /// A generation did not come to serve, and the one before goes on.
  func refused(_ generation: Int, _ revision: Int) {
    let reason = ends[generation] ?? "generation \(generation) did not become ready"
    guard revision != activeRevision else {
      return Log.shared.write(.error, "the next generation is not ready: \(reason); the current one goes on")
    }
    stateKeys = servedKeys
    rollBack.resume(endedRollBacks)
    dropRevisions()
    answerReloads(upTo: revision, isYes: false, "\(reason)\n")
    if revision == wantedRevision { settle(.rejected(reason)) }
  }

  /// Says so, if it is news.
  func settle(_ next: ConfigurationStatus) {
    guard next != status else { return }
    status = next
    switch next {
    case .active:
      Log.shared.write(.info, "the configuration is active")
      for worker in workers.values { worker.tell("config active") }
    case .rejected(let text):
      Log.shared.write(.error, "the configuration is not taken: \(text)")
      for worker in workers.values { worker.tell("config rejected \(text.prefix(64 << 10))") }
    }
  }

  func answerReloads(upTo revision: Int, isYes: Bool, _ text: String) {
    for waiting in reloading where waiting.revision <= revision {
      control.answer(waiting.client, isYes: isYes, text)
    }
    reloading.removeAll { $0.revision <= revision }
  }
}

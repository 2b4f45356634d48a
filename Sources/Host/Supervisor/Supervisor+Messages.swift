import Glibc
import LinuxShims

/// Messages of workers (`WorkerMessage`): each is heard in its turn, and acted on.
extension Supervisor {
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
    // A record exists of the death that this worker was told of.
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

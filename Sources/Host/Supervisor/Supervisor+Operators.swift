import Glibc

/// What operators ask over the control socket: `status`, `reload`, `stop`, `quarantine NAME`, `release NAME`,
/// `bypass MODE`, `drain MODE` and `log-level LEVEL`.
extension Supervisor {
  func take(_ request: ControlServer.Request) {
    let words = request.line.split(separator: " ", maxSplits: 1).map(String.init)
    let argument = words.count > 1 ? words[1] : ""
    switch words.first {
    case "status": askStatus(request.client)
    case "reload":
      guard argument.isEmpty || argument == "force" else {
        return refuse(request.client, "reload, or reload force")
      }
      reload(for: request.client, isForced: argument == "force")
    case "stop":
      stopping.append(request.client)
      stopServing()
    case "quarantine", "release": switchPlugin(request.line, argument, request.client)
    case "bypass":
      guard let mode = Bypass(rawValue: argument) else {
        return refuse(request.client, "bypass all, heavy or off")
      }
      bypass = mode
      Log.shared.write(.warning, "bypass is \(mode.rawValue), by the operator")
      tellAll(request.line, for: request.client, otherwise: "bypass is \(mode.rawValue)")
    case "drain":
      guard let mode = Draining(rawValue: argument) else { return refuse(request.client, "drain on or off") }
      isDraining = mode == .on
      Log.shared.write(
        .warning,
        isDraining
          ? "draining, by the operator: /health/ready answers 503, all else is served"
          : "draining is off, by the operator")
      // To a worker the word drain is its end.
      tellAll("draining \(mode.rawValue)", for: request.client, otherwise: "draining is \(mode.rawValue)")
    case "log-level":
      guard let level = LogLevel(text: argument) else {
        return refuse(request.client, "log-level error, warning, info or debug")
      }
      logLevel = level
      Log.shared.configure(level: level, format: Log.shared.format)
      tellAll(request.line, for: request.client, otherwise: "log-level is \(level)")
    default: refuse(request.client, "unknown command \(request.line.quotedForMessage)")
    }
  }

  /// What somebody with the admin token asks of a worker. Nobody waits for an answer: the effect is there to be seen.
  func operate(_ line: String) {
    let words = line.split(separator: " ", maxSplits: 1).map(String.init)
    switch words.first {
    case "quarantine", "release", "bypass":
      guard words.count == 2 else { return }
      take(ControlServer.Request(client: .nobody, line: line))
    default: Log.shared.write(.warning, "a worker asks for what it may not: \(line.quotedForMessage)")
    }
  }

  private func refuse(_ client: ControlServer.Client, _ text: String) {
    control.answer(client, isYes: false, "\(text)\n")
  }

  private func switchPlugin(_ line: String, _ name: String, _ client: ControlServer.Client) {
    let names = revisions[activeRevision]?.configuration.plugins.map(\.name) ?? []
    guard names.contains(name) else {
      let hint = NearestName.hint(for: name, among: names)
      return refuse(client, "there is no plugin \(name.quotedForMessage)\(hint)")
    }
    Log.shared.write(.warning, "\(line), by the operator", fields: [("plugin", name)])
    if line.hasPrefix("release"), let worker = plan.serving.flatMap({ workers[$0.number] }),
      worker.failed[name]?.reason.isCurable == true
    {
      culprits = culprits.filter { $0.value.plugin != name }
      retries.hasten(name, at: Clock.monotonic())
      reader.read(.retry)
      return control.answer(
        client, isYes: true, "\(name) has failed, and is started again beside what serves\n")
    }
    tellAll(line, for: client)
  }

  /// Tells every generation that serves or will; the serving one answers.
  ///
  /// - Parameter text: the answer if none serves, for what the next generation is made with.
  private func tellAll(_ line: String, for client: ControlServer.Client, otherwise text: String? = nil) {
    let serving = plan.serving?.number
    for (generation, worker) in workers where plan[generation]?.phase != .draining {
      worker.ask(line, for: generation == serving ? client : nil)
    }
    guard serving.flatMap({ workers[$0] }) == nil else { return }
    if let text {
      control.answer(client, isYes: true, "\(text)\n")
    } else {
      refuse(client, "no worker serves at this moment; try again")
    }
  }

  // MARK: Status

  /// The worker that serves is asked; without one, or should it end before it answers, the next.
  private func askStatus(_ client: ControlServer.Client) {
    statusDue.append((client, Clock.monotonic() &+ Supervisor.statusPatience))
    askDueStatus()
  }

  private static let statusPatience: UInt64 = 2_000_000_000

  func isDueStatus(_ client: ControlServer.Client?) -> Bool { statusDue.contains { $0.client == client } }

  func askDueStatus() {
    guard let worker = plan.serving.flatMap({ workers[$0.number] }) else { return }
    for due in statusDue where !workers.values.contains(where: { $0.questions.contains(due.client) }) {
      worker.ask("status", for: due.client)
    }
  }

  func answerStatus(_ client: ControlServer.Client?, _ report: String) {
    guard let index = statusDue.firstIndex(where: { $0.client == client }) else { return }
    control.answer(statusDue.remove(at: index).client, isYes: true, report)
  }

  /// A worker that is at a standstill is asked about most: then what the shared memory says has to do.
  func answerLateStatus(at now: UInt64) {
    for due in statusDue where now >= due.at {
      let worker = plan.serving.flatMap { workers[$0.number] }
      answerStatus(due.client, statusReport(from: worker, remembered(by: worker)))
    }
  }

  private func remembered(by worker: WorkerHandle?) -> String {
    var json = JSONWriter()
    json.array { array in
      for entry in worker?.manifest.plugins ?? [] {
        let core = states.read(entry.stateKey)?.core
        array.object {
          $0.field("name", entry.name)
          $0.field("sha256", entry.sha256)
          $0.field("state", core?.state.rawValue)
          $0.field("reason", core?.reason?.rawValue)
          $0.field("message", "the worker does not answer")
        }
      }
    }
    return json.text
  }

  private func state(of worker: WorkerHandle?) -> String {
    guard let manifest = worker?.manifest else { return "down" }
    return manifest.isStandIn ? "starting" : manifest.isBare ? "bare" : "serving"
  }

  /// - Parameter plugins: the serving worker's own report on them, a JSON array.
  func statusReport(from worker: WorkerHandle?, _ plugins: String) -> String {
    var json = JSONWriter()
    json.object {
      $0.field("status", state(of: worker))
      $0.field("pid", Int(getpid()))
      $0.field("version", Version.host)
      $0.field("uptime_s", Int((Clock.monotonic() &- startedAt) / 1_000_000_000))
      $0.field("generation", worker?.generation)
      $0.field("bypass", (bypass ?? revisions[activeRevision]?.configuration.bypass ?? .off).rawValue)
      $0.field("draining", isDraining)
      $0.field(
        "log_level", (logLevel ?? revisions[activeRevision]?.configuration.host.logLevel).map { "\($0)" })
      $0.object("config") {
        $0.field("path", configurationPath)
        status.write(to: &$0)
      }
      $0.field("listeners", revisions[activeRevision]?.listeners.map(\.listener.text) ?? [])
      $0.array("generations") { array in
        for generation in plan.generations {
          array.object {
            $0.field("generation", generation.number)
            $0.field("pid", workers[generation.number].map { Int($0.pid) })
            $0.field("state", "\(generation.phase)")
            $0.field("bare", generation.isBare && !generation.isStandIn)
          }
        }
      }
      $0.field("plugins", raw: plugins.utf8)
    }
    return json.text + "\n"
  }
}

import Glibc
import HTTPCodec

/// Runs one case, in a process of its own.
///
/// It reports `{"started":…}`, a line for each step, `{"verdict":"passed"|"failed", …}` and, once the plugin has been
/// stopped, `{"stopped":true}`. What is missing tells where the process died.
struct CaseRun {
  private let job: HarnessJob
  private let directory: String
  private let reporter: HarnessReporter

  init(_ job: HarnessJob, directory: String, _ reporter: HarnessReporter) {
    self.job = job
    self.directory = directory
    self.reporter = reporter
  }

  /// Why a case failed.
  private struct Failure: Error {
    /// Of the case's file; nil if no line is to blame.
    var line: Int?
    var message: String
    var answer: CaseAnswer?
    var fault: Fault?
  }

  func run() throws(SystemError) {
    do throws(Failure) {
      try runCase()
    } catch {
      reporter.say { json in
        json.field("verdict", "failed")
        json.field("line", error.line)
        json.field("message", error.message)
        json.field("answer", error.answer?.shown)
        if let fault = error.fault { json.object("fault") { fault.write(to: &$0) } }
      }
      // Threads may be frozen in the plugin: nothing that they hold may be waited for.
      _exit(0)
    }
  }

  private func runCase() throws(Failure) {
    guard case .success(let file) = CaseFile.load(job.file), file.cases.indices.contains(job.index) else {
      throw Failure(message: "\(job.file) has changed since it was read")
    }
    let entry = file.cases[job.index]
    let library = try openLibrary()
    let text = CaseConfiguration(
      file: file, settings: entry.settings, job: job, pluginName: library.name,
      stateDirectory: "\(directory)/state")
    let configuration: Configuration
    switch text.read(environment: Environment.all) {
    case .failure(let errors):
      throw Failure(line: entry.line, message: errors.errors.map(\.message).joined(separator: "; "))
    case .success(let found): configuration = found
    }
    let routes = CaseRoutes(of: entry, around: configuration, plugin: library)
    let companion = Companion(routes: routes.downstream)
    let host: TestWorker
    do throws(SystemError) {
      host = try TestWorker(configuration, companion: companion)
    } catch {
      throw Failure(message: "\(error)")
    }
    if let failure = host.startFailure(of: Companion.name) {
      throw Failure(line: entry.line, message: failure.message)
    }
    try judgeStart(of: entry, library.name, host)
    reporter.say { $0.field("started", true) }
    var session = CaseSession(host: host, companion: companion, job: job)
    session.expectedFaults = host.worker.faults.latest.count
    for step in entry.steps {
      let answer = try take(step, &session)
      reporter.say {
        $0.field("step", step.line)
        $0.field("status", answer.status)
      }
    }
    if let fault = session.newestFault(beyond: session.expectedFaults, patience: .milliseconds(20)) {
      throw Failure(
        line: entry.steps.last?.line,
        message:
          "after the last answer the plugin \(fault.plugin) failed: \(fault.reason.rawValue): \(fault.message)",
        fault: fault)
    }
    reporter.say { $0.field("verdict", "passed") }
    host.stop()
    reporter.say { $0.field("stopped", true) }
    _exit(0)
  }

  private func openLibrary() throws(Failure) -> PluginLibrary {
    do throws(PluginFailure) {
      try LibraryFile.check(job.library)
      return try PluginLibrary.open(job.library)
    } catch {
      throw Failure(message: "\(error.reason.rawValue): \(error.message)")
    }
  }

  // MARK: Starting

  private func judgeStart(of entry: Case, _ name: String, _ host: TestWorker) throws(Failure) {
    for plugin in host.worker.plugins where plugin.name != name {
      if let fault = host.startFailure(of: plugin.name) {
        throw Failure(
          line: entry.line, message: "the plugin \(plugin.name) beside it did not start: \(fault.message)")
      }
    }
    let fault = host.startFailure(of: name)
    guard let expected = entry.start else {
      guard let fault else { return }
      throw Failure(
        line: entry.line, message: "the plugin did not start: \(fault.reason.rawValue): \(fault.message)")
    }
    guard let fault else { throw Failure(line: expected.line, message: "the plugin started, and was not to") }
    guard fault.reason == expected.reason else {
      throw Failure(
        line: expected.line,
        message:
          "the plugin did not start for \(fault.reason.rawValue), and not for \(expected.reason.rawValue): \(fault.message)"
      )
    }
    let words = CaseAnswer(status: 0, fields: [], body: Array(fault.message.utf8), took: .zero)
    for check in expected.checks {
      if let complaint = check.complaint(of: words, [:]) {
        throw Failure(line: check.line, message: "what it says of its start: \(complaint)")
      }
    }
  }

  // MARK: Steps

  private func take(_ step: Step, _ session: inout CaseSession) throws(Failure) -> CaseAnswer {
    let circumstances = step.circumstances
    let deadline = circumstances.patience.map { Clock.monotonic() &+ $0.nanoseconds }
    var answer = CaseAnswer(status: 0, fields: [], body: [], took: .zero)
    for _ in 0..<circumstances.repetitions {
      answer = try sendUntilExpected(step, deadline, &session)
      for capture in step.captures {
        guard let value = capture.value(in: answer) else {
          throw Failure(
            line: capture.line, message: "there is nothing to capture for '\(capture.name)'", answer: answer)
        }
        session.captured[capture.name] = value
      }
    }
    return answer
  }

  /// Asks again, until the deadline, if there is one.
  private func sendUntilExpected(
    _ step: Step, _ deadline: UInt64?, _ session: inout CaseSession
  ) throws(Failure) -> CaseAnswer {
    while true {
      do throws(Failure) {
        return try sendOnce(step, &session)
      } catch {
        guard let deadline, error.fault == nil, Clock.monotonic() < deadline else { throw error }
        usleep(20_000)
      }
    }
  }

  private func sendOnce(_ step: Step, _ session: inout CaseSession) throws(Failure) -> CaseAnswer {
    let known = session.host.worker.faults.latest.count
    let answer: CaseAnswer
    do throws(LoopClient.Failure) {
      answer = try session.send(step)
    } catch {
      let fault = session.newestFault(beyond: known, patience: .milliseconds(200))
      throw Failure(line: step.line, message: "\(error)", fault: fault)
    }
    let isSuspect = answer.status == 503 || answer.status == 504 || step.fault != nil
    let fault = session.newestFault(beyond: known, patience: isSuspect ? .milliseconds(500) : .zero)
    if let fault, fault.reason != step.fault {
      throw Failure(
        line: step.line,
        message: "the plugin \(fault.plugin) failed: \(fault.reason.rawValue): \(fault.message)",
        answer: answer, fault: fault)
    }
    session.expectedFaults = max(session.expectedFaults, session.host.worker.faults.latest.count)
    if let reason = step.fault, fault == nil {
      throw Failure(
        line: step.line, message: "the plugin did not fail, and was to: \(reason.rawValue)", answer: answer)
    }
    if let limit = step.circumstances.limit, answer.took > limit {
      throw Failure(
        line: step.line,
        message:
          "the answer took \(ValueText.render(answer.took)), and not at most \(ValueText.render(limit))",
        answer: answer)
    }
    if let status = step.status, answer.status != status {
      throw Failure(
        line: step.line,
        message: "\(step.method) \(step.target): the status is \(answer.status), and not \(status)",
        answer: answer)
    }
    if step.status == nil, step.fault == nil, answer.status >= 500 {
      throw Failure(line: step.line, message: "the status is \(answer.status)", answer: answer)
    }
    for check in step.checks {
      if let complaint = check.complaint(of: answer, session.captured) {
        throw Failure(line: check.line, message: complaint, answer: answer)
      }
    }
    return answer
  }
}

/// What a case has come to so far.
struct CaseSession {
  let host: TestWorker
  let companion: Companion
  let job: HarnessJob
  var captured: [String: String] = [:]
  var number = 0
  /// How many faults there may be.
  var expectedFaults = 0

  init(host: TestWorker, companion: Companion, job: HarnessJob) {
    self.host = host
    self.companion = companion
    self.job = job
  }

  mutating func send(_ step: Step) throws(LoopClient.Failure) -> CaseAnswer {
    number += 1
    let given = step.fields.first { $0.name.lowercased() == "x-request-id" }?.value
    let requestID = Template.fill(given ?? "case-\(number)", captured)
    var part = Companion.Part(
      identity: step.circumstances.identity, downstream: step.circumstances.downstream)
    if let identity = part.identity { part.identity?.subject = Template.fill(identity.subject, captured) }
    companion.prepare(part, for: requestID)
    defer { companion.forget(requestID) }
    return try host.send(bytes(of: step, requestID), number: number, within: job.timeLimit)
  }

  private func bytes(of step: Step, _ requestID: String) -> [UInt8] {
    var fields = step.fields.map {
      Step.Field(name: $0.name, value: Template.fill($0.value, captured))
    }
    func has(_ name: String) -> Bool { fields.contains { $0.name.lowercased() == name } }
    let body =
      step.body.isEmpty ? [] : Array(Template.fill(String(decoding: step.body, as: UTF8.self), captured).utf8)
    if !has("host") { fields.insert(Step.Field(name: "Host", value: "test"), at: 0) }
    if !has("x-request-id") { fields.append(Step.Field(name: "X-Request-Id", value: requestID)) }
    if !has("x-forwarded-for") {
      fields.append(Step.Field(name: "X-Forwarded-For", value: step.circumstances.client))
    }
    let isBodyExpected = !body.isEmpty || ["POST", "PUT", "PATCH"].contains(step.method)
    if isBodyExpected, !has("content-length"), !has("transfer-encoding") {
      fields.append(Step.Field(name: "Content-Length", value: String(body.count)))
    }
    fields.append(Step.Field(name: "Connection", value: "close"))
    let head = "\(step.method) \(Template.fill(step.target, captured)) HTTP/1.1\r\n"
    return Array((head + fields.map { "\($0.name): \($0.value)\r\n" }.joined() + "\r\n").utf8) + body
  }

  /// A fault that was not there before.
  ///
  /// - Parameter patience: a plugin's own thread may fail a moment after the answer. Once a plugin is out, its fault is
  ///   on its way to the record, and is waited for.
  func newestFault(beyond known: Int, patience: Duration) -> Fault? {
    let began = Clock.monotonic()
    let patience = patience.nanoseconds
    while true {
      let faults = host.worker.faults.latest
      if faults.count > known { return faults.first }
      let waited = Clock.monotonic() &- began
      let isComing = faults.count == known && known == 0 && host.worker.plugins.contains { $0.isOut }
      guard waited < patience || isComing && waited < CaseSession.longestRecord else { return nil }
      usleep(1000)
    }
  }

  /// Nanoseconds that the names of a backtrace may take.
  private static let longestRecord: UInt64 = 3_000_000_000
}

/// The routes that the companion has for a case: of each request that is not for the plugin itself.
struct CaseRoutes {
  private(set) var downstream: [Companion.Route] = []

  init(of entry: Case, around configuration: Configuration, plugin library: PluginLibrary) {
    let mounts = configuration.plugins.filter { $0.name != Companion.name }.compactMap { other -> String? in
      // What is not loaded yet may be a router.
      let mayRoute = other.name != library.name || library.capabilities.contains(.routes)
      guard mayRoute else { return nil }
      return other.mount ?? (other.name == library.name ? "" : nil)
    }
    for step in entry.steps where !step.circumstances.isUnrouted && step.method != "OPTIONS" {
      guard let path = CaseRoutes.path(of: step.target) else { continue }
      let isPlugins = mounts.contains { path == $0 || path.hasPrefix($0 + "/") }
      let isExplicit = step.circumstances.downstream != Downstream()
      if isPlugins, !isExplicit { continue }
      let method = step.method == "HEAD" ? "GET" : step.method
      let route = Companion.Route(
        method: method, pattern: CaseRoutes.pattern(of: path), access: step.circumstances.downstream.access)
      if !downstream.contains(where: { $0.method == route.method && $0.pattern == route.pattern }) {
        downstream.append(route)
      }
    }
  }

  /// Normalised; nil for what the host refuses by itself.
  private static func path(of target: String) -> String? {
    guard target.hasPrefix("/") else { return nil }
    let raw = Array(target.utf8.prefix { $0 != UInt8(ascii: "?") })
    var output = [UInt8](repeating: 0, count: raw.count)
    let count = raw.withUnsafeBytes { raw in
      output.withUnsafeMutableBytes { output -> Int? in
        do throws(RequestError) { return try PathNormalizer.normalize(raw, into: output) } catch {
          return nil
        }
      }
    }
    return count.map { String(decoding: output.prefix($0), as: UTF8.self) }
  }

  /// Segments that a pattern cannot hold stand as parameters.
  private static func pattern(of path: String) -> String {
    path.split(separator: "/").enumerated().map { index, segment in
      segment.contains { "{}?#% ".contains($0) } ? "{s\(index)}" : String(segment)
    }.joined(separator: "/")
  }
}

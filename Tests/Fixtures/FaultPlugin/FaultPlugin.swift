import Glibc
import PluginAPI

/// When a fault happens.
enum FaultPhase: String, CaseIterable, Decodable, Sendable {
  case load, start, selftest, stop, request, response, route, pull, timer
}

struct FaultSettings: PluginSettings {
  var fault: Fault?
  var phase: FaultPhase
  var tag: String?
  var delay: Duration?
  var timer: Duration?

  static let schema = [
    Setting("fault", .string, choices: Fault.allCases.map(\.rawValue), help: "how to die"),
    Setting(
      "phase", .string, default: "start", choices: FaultPhase.allCases.map(\.rawValue),
      help: "when; load needs BULKHEAD_FAULT_LOAD in the environment too"),
    Setting("tag", .string, help: "sent with each response as X-Fault-Tag"),
    Setting("delay", .duration, help: "how long the request phase sleeps"),
    Setting("timer", .duration, help: "how often a timer fires, and counts ticks_total"),
  ]
}

/// A plugin that dies as it is told: by its settings, or by a request's `X-Fault: FAULT` with `X-Fault-Phase:
/// request|response|route|pull` (`request`, unless stated). Built with the rest for the tests, and never shipped.
final class FaultPlugin: Middleware, Router {
  static let plugin = PluginDescription(name: "fault", version: "1.0.0", summary: "Fails on request")
  static let phases: Phases = [.request, .response]

  private let settings: FaultSettings
  private let host: Host
  private let generation: Int

  init(_ start: Start<FaultSettings>) throws {
    settings = start.settings
    host = start.host
    generation = start.generation
    if settings.fault != nil, settings.phase == .load {
      throw SettingsError(
        key: "phase", reason: "a plugin knows no settings at load: set BULKHEAD_FAULT_LOAD in the environment"
      )
    }
    try fail(in: .start)
    guard let period = settings.timer else { return }
    let ticks = host.counter("ticks_total", help: "How often the timer has fired")
    try host.timer { [settings, generation] in
      ticks.add()
      if settings.phase == .timer { try settings.fault?.happen(seed: generation) }
    }.start(every: period)
  }

  func selfTest() throws { try fail(in: .selftest) }

  func stop() {
    do {
      try fail(in: .stop)
    } catch {
      host.log(.error, "stop cannot throw: \(error)")
    }
  }

  func request(_ request: borrowing Request) throws -> Response? {
    if let tag = settings.tag { try request.response.setHeader("X-Fault-Tag", tag) }
    if let delay = settings.delay { usleep(delay.microseconds) }
    try fail(in: .request, request)
    return nil
  }

  func response(_ request: borrowing Request) throws { try fail(in: .response, request) }

  func routes(_ routes: inout Routes) {
    routes.get("echo", access: .public) { [self] in try echo($0) }
    routes.post("echo", access: .public) { [self] in try echo($0) }
    routes.get("private", access: .authenticated) { [self] in try echo($0) }
    routes.get("blocking", access: .public, execution: .blocking) { [self] in try echo($0) }
    routes.get("async", access: .public) { [self] request in
      try await Task.sleep(for: .milliseconds(1))
      return try echo(request)
    }
    routes.post("upload", access: .public, body: .streamed(limit: 1 << 30)) { [self] in try digest($0) }
    routes.post("async-upload", access: .public, body: .streamed(limit: 1 << 30)) { [self] request in
      try await Task.sleep(for: .milliseconds(1))
      return try digest(request)
    }
    routes.get("stream", access: .public) { [self] request in
      try fail(in: .route, request)
      let fault = try self.fault(asked: request, in: .pull)
      return Response(headers: [("Content-Type", "text/plain")], body: .stream(Ticks(fault: fault)))
    }
    // A stream without end: a line each so many milliseconds.
    routes.get("stream/{ms}", access: .public) { [host] request in
      let period = Duration.milliseconds(request[parameter: "ms"].flatMap { Int($0) } ?? 10)
      return Response(
        body: .stream(EndlessTicks(every: period) { host.log(.info, "the stream is released") }))
    }
  }

  /// A small JSON object of what the handler saw.
  private func echo(_ request: borrowing Request) throws -> Response {
    try fail(in: .route, request)
    let members = [
      ("method", request.method.name), ("path", request.path), ("query", request.query),
      ("route", request.route),
      ("client", request.clientAddress), ("request_id", request.requestID), ("body", request.body ?? ""),
      ("subject", request.identity?.subject ?? ""), ("tag", settings.tag ?? ""),
    ]
    let json = members.map { "\(quoted($0)):\(quoted($1))" } + ["\"generation\":\(generation)"]
    return .json("{\(json.joined(separator: ","))}")
  }

  /// How many bytes came, and their sum, once the body is at its end. A fault happens after the first piece.
  private func digest(_ request: borrowing Request) throws -> Response {
    var count = 0
    var sum: UInt64 = 0
    while let chunk = try request.nextBodyChunk() {
      count += chunk.count
      for byte in chunk { sum = (sum &* 31) &+ UInt64(byte) }
      try fail(in: .route, request)
    }
    return .json("{\"count\":\(count),\"sum\":\"\(sum)\",\"whole\":\(request.bodyCount)}")
  }

  // MARK: Failing

  private func fail(in phase: FaultPhase) throws {
    if settings.phase == phase { try settings.fault?.happen(seed: generation) }
  }

  private func fail(in phase: FaultPhase, _ request: borrowing Request) throws {
    try fail(in: phase)
    try fault(asked: request, in: phase)?.happen(seed: generation)
  }

  /// - Throws: a 400 problem if there is no such fault or phase.
  private func fault(asked request: borrowing Request, in phase: FaultPhase) throws -> Fault? {
    guard let name = request.headers["X-Fault"] else { return nil }
    let wanted = request.headers["X-Fault-Phase"] ?? FaultPhase.request.rawValue
    guard let wantedPhase = FaultPhase(rawValue: wanted) else {
      throw Problem.badRequest("X-Fault-Phase: \(wanted) is no phase", code: "unknown-phase")
    }
    guard let fault = Fault(rawValue: name) else {
      throw Problem.badRequest("X-Fault: \(name) is no fault", code: "unknown-fault")
    }
    return wantedPhase == phase ? fault : nil
  }
}

/// Three lines, 10 ms apart; a fault happens before the second.
private final class Ticks: StreamSource {
  private let fault: Fault?
  // Read and written by one pull at a time.
  nonisolated(unsafe) private var count = 0

  init(fault: Fault?) { self.fault = fault }

  func pull(_ writer: borrowing StreamWriter) throws -> StreamStep {
    count += 1
    if count == 2 { try fault?.happen(seed: count) }
    try writer.write("tick \(count)\n")
    return count < 3 ? .later(.milliseconds(10)) : .end
  }
}

/// Says when it is released, which is when its stream is over.
private final class EndlessTicks: StreamSource {
  private let period: Duration
  private let whenReleased: @Sendable () -> Void

  init(every period: Duration, whenReleased: @escaping @Sendable () -> Void) {
    self.period = period
    self.whenReleased = whenReleased
  }

  deinit { whenReleased() }

  func pull(_ writer: borrowing StreamWriter) throws -> StreamStep {
    try writer.write("tick\n")
    return .later(period)
  }
}

extension Duration {
  fileprivate var microseconds: UInt32 {
    UInt32(clamping: components.seconds * 1_000_000 + components.attoseconds / 1_000_000_000_000)
  }
}

/// A JSON string (RFC 8259 section 7).
private func quoted(_ text: String) -> String {
  var result = "\""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\"", "\\": result += "\\\(scalar)"
    case "\u{00}"..."\u{1F}":
      let digits = String(scalar.value, radix: 16)
      result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    default: result.unicodeScalars.append(scalar)
    }
  }
  return result + "\""
}

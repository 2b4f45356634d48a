import HTTPCodec

/// `/__diag/…`: what an operator asks at three in the morning. No answer holds a secret, a token or a body.
final class Diagnostics: @unchecked Sendable {
  unowned(unsafe) let worker: Worker

  let feed: DiagnosticsFeed

  init(worker: Worker) {
    self.worker = worker
    feed = DiagnosticsFeed(worker: worker)
  }

  /// Every endpoint, for the index.
  private static let endpoints = [
    "ping", "plugins", "middleware", "routes", "requests", "faults", "generations", "config", "request",
    "events", "cors?origin=…&path=…", "trace?path=…", "error/{status}",
  ]

  func respond(_ x: Exchange) {
    let name = Diagnostics.name(x)
    if name == "ping" {
      return x.respond(200, type: "application/json") { $0.append("{\"status\":\"ok\"}" as StaticString) }
    }
    guard isAllowed(x) else {
      // A browser cannot send the token before it has somewhere to ask for it; the page itself tells nothing.
      if x.status == 401, name.isEmpty, wantsPage(x) { page(x, status: 401) }
      return
    }
    switch name {
    case "": if wantsPage(x) { page(x) } else { index(x) }
    case "events": events(x)
    case "generations": generations(x)
    case "plugins": plugins(x)
    case "middleware": middleware(x)
    case "routes": routes(x)
    case "requests": requests(x)
    case "faults": faults(x)
    case "config": writeConfiguration(x)
    case "request": request(x)
    case "cors": cors(x)
    case "trace": trace(x)
    default:
      if let status = Diagnostics.status(askedBy: name) { error(x, status) } else { x.respond(.notFound) }
    }
  }

  /// What follows `/__diag/`, without empty segments.
  private static func name(_ x: Exchange) -> String {
    let path = x.request.pointee.path.string
    return path.dropFirst("/__diag".utf8.count).split(separator: "/").joined(separator: "/")
  }

  /// Whether the path, one below `/__diag` or `/__config`, is one that this client may GET. If not, the response is made, as
  /// for GET.
  func shows(_ x: Exchange) -> Bool {
    let path = x.request.pointee.path
    let name = path.hasPrefix("/__diag") ? Diagnostics.name(x) : "config"
    if name == "ping" { return true }
    guard isAllowed(x) else { return false }
    let isKnown =
      name.isEmpty || Diagnostics.status(askedBy: name) != nil
      || Diagnostics.endpoints.contains { $0.prefix { $0 != "?" } == name && !$0.contains("{") }
    if !isKnown { x.respond(.notFound) }
    return isKnown
  }

  func config(_ x: Exchange) {
    guard isAllowed(x) else { return }
    writeConfiguration(x)
  }

  // MARK: Errors that are asked for

  private static func status(askedBy name: String) -> Int? {
    guard name.hasPrefix("error/"), let status = Int(name.dropFirst(6)), (400...599).contains(status) else {
      return nil
    }
    return status
  }

  /// An error as the host makes it, with the fields that its status must have (RFC 9110 section 15.5).
  private func error(_ x: Exchange, _ status: Int) {
    var problem = HostProblem(
      status: status, code: "diagnostic", detail: "Asked for, to see it as a browser does.")
    if status == 401 { problem.challenge = HostProblem.unauthorized.challenge }
    if status == 429 || status == 503 { problem.retryAfter = 1 }
    x.respond(problem)
    switch status {
    case 405: x.setHeader(borrowing: bh_bytes("Allow"), bh_bytes("GET, HEAD, OPTIONS"))
    case 407: x.setHeader(borrowing: bh_bytes("Proxy-Authenticate"), bh_bytes("Bearer realm=\"bulkhead\""))
    case 426:
      x.setHeader(borrowing: bh_bytes("Upgrade"), bh_bytes("TLS/1.2"))
      x.setHeader(borrowing: bh_bytes("Connection"), bh_bytes("upgrade"))
    default: break
    }
  }

  // MARK: The host's own state

  private func index(_ x: Exchange) {
    var json = JSONWriter()
    json.object {
      $0.array("endpoints") { array in for item in Diagnostics.endpoints { array.element("/__diag/\(item)") }
      }
    }
    x.respond(200, json)
  }

  private func plugins(_ x: Exchange) {
    var json = JSONWriter()
    json.object {
      $0.field("generation", worker.generation)
      $0.field("bypass", worker.bypass.rawValue)
      $0.field("draining", worker.isDraining.load(ordering: .relaxed))
      $0.object("config") {
        worker.configurationStatus.withLock { $0 }.write(to: &$0)
      }
      $0.array("plugins") { array in
        for plugin in worker.plugins { array.object { describe(plugin, in: &$0) } }
      }
    }
    x.respond(200, json)
  }

  private func describe(_ plugin: Plugin, in json: inout JSONWriter) {
    let (reason, retryAt) = plugin.quarantine.withLock { ($0.reason, $0.retryAt) }
    let counts = plugin.metrics.latency.counts()
    let total = plugin.metrics.carry()
    json.field("name", plugin.name)
    json.field("library", plugin.configuration.library)
    json.field("version", plugin.library?.version)
    json.field("sha256", plugin.sha256)
    json.field("kind", plugin.library?.capabilities.kind)
    json.field("state", plugin.shownState.rawValue)
    json.field("bypassed", plugin.isSkipped)
    json.field("reason", reason?.rawValue)
    json.field("on_failure", plugin.configuration.onFailure.rawValue)
    json.field("mode", plugin.configuration.mode.rawValue)
    json.field("calls", total.calls)
    json.field("faults", total.faults)
    json.field("slow_calls", plugin.metrics.slowCalls.load(ordering: .relaxed))
    json.field("blocks_loops", plugin.blocksLoops)
    if let fault = worker.faults.last(of: plugin.name) {
      json.object("last_fault") { fault.write(to: &$0) }
    } else {
      json.field("last_fault", nil as String?)
    }
    json.object("latency_us") {
      $0.field("p50", Histogram.quantile(0.5, of: counts).map { Double($0) / 1000 })
      $0.field("p99", Histogram.quantile(0.99, of: counts).map { Double($0) / 1000 })
    }
    json.field("retry_at", retryAt.map { Clock.rfc3339(Clock.realtime(at: $0)) })
    if let change = worker.rolledBack(plugin) {
      json.object("rolled_back") { change.write(to: &$0) }
    } else {
      json.null("rolled_back")
    }
  }

  /// The pipeline in its order.
  private func middleware(_ x: Exchange) {
    var json = JSONWriter()
    json.object {
      $0.field("bypass", worker.bypass.rawValue)
      $0.array("middleware") { array in
        for plugin in worker.plugins where plugin.isMiddleware {
          array.object {
            $0.field("name", plugin.name)
            $0.field("state", plugin.shownState.rawValue)
            $0.field("bypassed", plugin.isSkipped)
            $0.array("phases") { phases in
              if plugin.capabilities.contains(.request) { phases.element("request") }
              if plugin.capabilities.contains(.response) { phases.element("response") }
            }
            $0.field("applies_to", plugin.configuration.appliesTo.rawValue)
            $0.array("paths") { list in for item in plugin.configuration.paths { list.element(item.text) } }
            $0.array("except") { list in for item in plugin.configuration.except { list.element(item.text) } }
            $0.field("on_failure", plugin.configuration.onFailure.rawValue)
            $0.field("mode", plugin.configuration.mode.rawValue)
            $0.field("heavy", plugin.configuration.isHeavy)
          }
        }
      }
    }
    x.respond(200, json)
  }

  private func routes(_ x: Exchange) {
    var json = JSONWriter()
    json.object {
      $0.array("routes") { array in
        for route in worker.pipeline.routes.routes {
          array.object {
            $0.field("method", route.method)
            $0.field("pattern", route.pattern)
            $0.field("access", route.access.text)
            $0.field("plugin", route.plugin.name)
            $0.field("state", route.plugin.state.rawValue)
            $0.field("execution", route.isBlocking ? "blocking" : "loop")
            $0.field("body", route.streamedBodyLimit == nil ? "whole" : "streamed")
            $0.array("middleware") { list in for item in route.chain { list.element(item.plugin.name) } }
          }
        }
      }
    }
    x.respond(200, json)
  }

  private func requests(_ x: Exchange) {
    var json = JSONWriter()
    json.object {
      $0.array("requests") { array in
        for record in recentRequests() { array.object { describe(record, in: &$0) } }
      }
    }
    x.respond(200, json)
  }

  /// Newest first. Any thread.
  func recentRequests() -> [RecentRequests.Record] {
    worker.loops.flatMap { $0.recent.snapshot() }.sorted { $0.realtime > $1.realtime }
  }

  /// Of nanoseconds, to the nanosecond.
  private static func microseconds(_ nanoseconds: Double) -> Double { nanoseconds.rounded() / 1000 }

  func describe(_ record: RecentRequests.Record, in json: inout JSONWriter) {
    json.field("at", Clock.rfc3339(record.realtime))
    json.field("method", record.method.string)
    json.field("path", record.path.string)
    json.field("status", record.status)
    json.field("request_id", record.requestID.string)
    json.field("duration_us", Diagnostics.microseconds(Double(record.nanoseconds)))
    json.field("plugin", record.blamed >= 0 ? worker.plugins[Int(record.blamed)].name : nil)
    json.array("plugins") { array in
      for index in 0..<record.passCount {
        let pass = record.passes[index]
        array.object {
          $0.field("plugin", worker.plugins[Int(pass.plugin)].name)
          $0.field("phase", PluginPass.Phase(rawValue: pass.phase).map { "\($0)" })
          $0.field("outcome", PluginPass.Outcome(rawValue: pass.outcome).map { "\($0)" })
          // Since the request began; null if the plugin was not called, or did not come back.
          let entry = pass.entry >= 0 ? Double(pass.entry) : nil
          $0.field("entry_us", entry.map { Diagnostics.microseconds($0) })
          $0.field("exit_us", entry.map { Diagnostics.microseconds($0 + Double(pass.nanoseconds)) })
          $0.field("duration_us", Diagnostics.microseconds(Double(pass.nanoseconds)))
        }
      }
    }
  }

  private func generations(_ x: Exchange) {
    var json = JSONWriter()
    json.object { $0.field("generations", raw: worker.history.withLock { $0 }.utf8) }
    x.respond(200, json)
  }

  private func faults(_ x: Exchange) {
    var json = JSONWriter()
    json.object {
      $0.array("faults") { array in
        for fault in worker.faults.latest { array.object { fault.write(to: &$0) } }
      }
    }
    x.respond(200, json)
  }

  private func writeConfiguration(_ x: Exchange) {
    var schemas: [String: [SettingSchema]] = [:]
    var deciders: Set<String> = []
    for plugin in worker.plugins {
      schemas[plugin.name] = plugin.library?.schema
      if plugin.capabilities.contains(.decidesCORS) { deciders.insert(plugin.name) }
    }
    var json = JSONWriter()
    json.object {
      $0.field("path", worker.configurationPath)
      $0.array("sections") { array in
        for section in worker.configuration.describe(schemas: schemas, deciders: deciders) {
          array.object {
            $0.field("section", section.title)
            $0.array("values") { values in
              for value in section.values {
                values.object {
                  $0.field("key", value.key)
                  $0.field("value", value.value)
                }
              }
            }
          }
        }
      }
    }
    x.respond(200, json)
  }
}

extension Fault {
  func write(to json: inout JSONWriter) {
    json.field("id", id)
    json.field("plugin", plugin)
    json.field("version", version)
    json.field("sha256", sha256)
    json.field("reason", reason.rawValue)
    json.field("signal", signal)
    json.field("message", message)
    json.field("at", Clock.rfc3339(realtime))
    json.field("request_id", requestID)
    json.field("traceparent", traceparent)
    json.field("request", request)
    json.field("generation", generation)
    json.array("backtrace") { array in for item in backtrace { array.element(item) } }
    json.field("collateral", isCollateral)
    json.field("last_words", lastWords)
  }
}

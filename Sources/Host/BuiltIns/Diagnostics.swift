import CORSPolicy
import Glibc
import HTTPCodec

/// `/__diag/…`: what an operator asks at three in the morning. No answer holds a secret, a token or a body.
final class Diagnostics: @unchecked Sendable {
  unowned(unsafe) let worker: Worker

  init(worker: Worker) { self.worker = worker }

  /// Every endpoint, for the index.
  private static let endpoints = [
    "ping", "plugins", "middleware", "routes", "requests", "faults", "config", "request",
    "cors?origin=…&path=…", "trace?path=…", "error/{status}",
  ]

  func respond(_ x: Exchange) {
    let path = x.request.pointee.path.string
    let name = path.dropFirst("/__diag".utf8.count).split(separator: "/").joined(separator: "/")
    if name == "ping" {
      return x.respond(200, type: "application/json") { $0.append("{\"status\":\"ok\"}" as StaticString) }
    }
    guard isAllowed(x) else { return }
    x.addHeader(borrowing: bh_bytes("Cache-Control"), bh_bytes("no-store"))
    switch name {
    case "": index(x)
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
      if name.hasPrefix("error/"), let status = Int(name.dropFirst(6)), (400...599).contains(status) {
        x.respond(
          HostProblem(status: status, code: "diagnostic", detail: "Asked for, to see it as a browser does."))
      } else {
        x.respond(.notFound)
      }
    }
  }

  func config(_ x: Exchange) {
    guard isAllowed(x) else { return }
    x.addHeader(borrowing: bh_bytes("Cache-Control"), bh_bytes("no-store"))
    writeConfiguration(x)
  }

  // MARK: Access

  private func isAllowed(_ x: Exchange) -> Bool {
    switch worker.configuration.host.diagnostics {
    case .public: return true
    case .off:
      x.respond(.notFound)
      return false
    case .loopback:
      if ClientAddress.isLoopback(x, peer: x.connection?.peer.ip ?? bh_bytes()) { return true }
      x.respond(
        HostProblem(
          status: 403, code: "diagnostics-forbidden", detail: "Diagnostics are shown to this machine only."))
      return false
    case .token(let token):
      if isAuthorized(x, token) { return true }
      x.respond(
        HostProblem(
          status: 401, code: "diagnostics-unauthorized", detail: "Diagnostics need the admin token.",
          challenge: "Bearer realm=\"bulkhead-diagnostics\""))
      return false
    }
  }

  /// Compares in time that does not depend on where the texts differ.
  private func isAuthorized(_ x: Exchange, _ token: String) -> Bool {
    guard let value = x.value(.authorization), value.count > 7, strncasecmp(value.data, "Bearer ", 7) == 0
    else {
      return false
    }
    let given = value.dropFirst(7).buffer
    let wanted = Array(token.utf8)
    var difference = given.count ^ wanted.count
    for index in 0..<wanted.count {
      difference |= Int((index < given.count ? given[index] : 0) ^ wanted[index])
    }
    return difference == 0
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
      $0.object("config") {
        let error = worker.configurationError.withLock { $0 }
        $0.field("status", error == nil ? "active" : "rejected")
        $0.field("error", error)
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
    json.field("name", plugin.name)
    json.field("library", plugin.configuration.library)
    json.field("version", plugin.library?.version)
    json.field("sha256", plugin.sha256)
    json.field("kind", plugin.library?.capabilities.kind)
    json.field("state", plugin.shownState.rawValue)
    json.field("reason", reason?.rawValue)
    json.field("on_failure", plugin.configuration.onFailure.rawValue)
    json.field("mode", plugin.configuration.mode.rawValue)
    json.field("calls", plugin.metrics.calls.load(ordering: .relaxed))
    json.field("faults", plugin.metrics.faults.load(ordering: .relaxed))
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
    if let change = plugin.rolledBack {
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
        for plugin in worker.plugins where plugin.applies(to: .public) || plugin.applies(to: .authenticated) {
          array.object {
            $0.field("name", plugin.name)
            $0.field("state", plugin.shownState.rawValue)
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
            $0.array("middleware") { list in for item in route.chain { list.element(item.plugin.name) } }
          }
        }
      }
    }
    x.respond(200, json)
  }

  private func requests(_ x: Exchange) {
    let records = worker.loops.flatMap { $0.recent.snapshot() }.sorted { $0.realtime > $1.realtime }
    var json = JSONWriter()
    json.object {
      $0.array("requests") { array in
        for record in records { array.object { describe(record, in: &$0) } }
      }
    }
    x.respond(200, json)
  }

  private func describe(_ record: RecentRequests.Record, in json: inout JSONWriter) {
    json.field("at", Clock.rfc3339(record.realtime))
    json.field("method", record.method.string)
    json.field("path", record.path.string)
    json.field("status", record.status)
    json.field("request_id", record.requestID.string)
    json.field("duration_us", Double(record.nanoseconds) / 1000)
    json.field("plugin", record.blamed >= 0 ? worker.plugins[Int(record.blamed)].name : nil)
    json.array("plugins") { array in
      for index in 0..<record.passCount {
        let pass = record.passes[index]
        array.object {
          $0.field("plugin", worker.plugins[Int(pass.plugin)].name)
          $0.field("phase", PluginPass.Phase(rawValue: pass.phase).map { "\($0)" })
          $0.field("outcome", PluginPass.Outcome(rawValue: pass.outcome).map { "\($0)" })
          $0.field("duration_us", Double(pass.nanoseconds) / 1000)
        }
      }
    }
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
    for plugin in worker.plugins { schemas[plugin.name] = plugin.library?.schema }
    var json = JSONWriter()
    json.object {
      $0.field("path", worker.configurationPath)
      $0.array("sections") { array in
        for section in worker.configuration.describe(schemas: schemas) {
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

  // MARK: One request

  private func request(_ x: Exchange) {
    let view = x.request.pointee
    var json = JSONWriter()
    json.object {
      $0.field("method", view.method_name.string)
      $0.field("path", view.path.string)
      $0.field("has_query", !view.query.isEmpty)
      $0.field("authority", view.authority.string)
      $0.field("client_address", view.client_address.string)
      $0.field("trusted_peer", view.trusted_peer != 0)
      $0.field("request_id", view.request_id.string)
      $0.field("traceparent", view.traceparent.string)
      $0.field("body_bytes", view.body.count)
      $0.array("headers") { array in
        for index in 0..<view.field_count {
          let field = x.fields[index]
          array.object {
            $0.field("name", field.name.string)
            $0.field("value", Redaction.shown(field.value, ofFieldNamed: field.name))
          }
        }
      }
    }
    x.respond(200, json)
  }

  /// The built-in policy's decision for an origin.
  private func cors(_ x: Exchange) {
    let query = Query(x.request.pointee.query)
    guard let origin = query["origin"] else {
      return x.respond(
        HostProblem(status: 400, code: "missing-parameter", detail: "The parameter 'origin' is missing."))
    }
    var json = JSONWriter()
    json.object {
      $0.field("origin", origin)
      $0.field("path", query["path"])
      let deciders = worker.plugins.filter { $0.capabilities.contains(.decidesCORS) && $0.state == .active }
      $0.field("decided_by", deciders.first?.name ?? "built-in")
      if let policy = worker.configuration.cors {
        let decision = origin.withBytes { policy.decide(origin: $0.buffer, preflight: nil) }
        $0.object("built_in") {
          $0.field("allowed", decision.isAllowed)
          $0.field("rule", decision.rule)
          $0.object("headers") { object in
            for (name, value) in decision.headers { object.field(name, value) }
          }
        }
      } else {
        $0.object("built_in") {
          $0.field("allowed", false)
          $0.field("rule", "there is no [cors] section")
        }
      }
      if !deciders.isEmpty, let path = query["path"] {
        let outcome = Trace.run(path: path, method: "GET", origin: origin, in: worker, like: x)
        $0.object("response") { object in
          for (name, value) in outcome.headers
          where name.lowercased().hasPrefix("access-control-") || name == "Vary" {
            object.field(name, value)
          }
        }
      }
    }
    x.respond(200, json)
  }

  /// A synthetic request through the middleware, up to the handler.
  private func trace(_ x: Exchange) {
    let query = Query(x.request.pointee.query)
    guard let path = query["path"], path.hasPrefix("/") else {
      return x.respond(
        HostProblem(
          status: 400, code: "missing-parameter", detail: "The parameter 'path' is missing, or no path."))
    }
    let outcome = Trace.run(
      path: path, method: query["method"] ?? "GET", origin: query["origin"], in: worker, like: x)
    var json = JSONWriter()
    json.object { outcome.write(to: &$0, plugins: worker.plugins) }
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
  }
}

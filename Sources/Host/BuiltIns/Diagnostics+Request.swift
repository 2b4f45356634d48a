import CORSPolicy
import HTTPCodec

/// What the host makes of one request: this one, or one that it is asked about.
extension Diagnostics {
  func request(_ x: Exchange) {
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
  func cors(_ x: Exchange) {
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
      if !deciders.isEmpty, let path = query["path"],
        let outcome = Trace.run(path: path, method: "GET", origin: origin, in: worker, like: x)
      {
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
  func trace(_ x: Exchange) {
    let query = Query(x.request.pointee.query)
    guard let path = query["path"], path.hasPrefix("/") else {
      return x.respond(
        HostProblem(
          status: 400, code: "missing-parameter", detail: "The parameter 'path' is missing, or no path."))
    }
    guard
      let outcome = Trace.run(
        path: path, method: query["method"] ?? "GET", origin: query["origin"], in: worker, like: x)
    else {
      return x.respond(
        HostProblem(
          status: 400, code: "own-path",
          detail: "The host answers this path itself, before any plugin: there is nothing to trace."))
    }
    var json = JSONWriter()
    json.object { outcome.write(to: &$0, plugins: worker.plugins) }
    x.respond(200, json)
  }
}

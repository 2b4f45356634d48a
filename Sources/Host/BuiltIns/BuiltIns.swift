import Glibc
import HTTPCodec

/// What the host answers itself, before any plugin and in every state: health, version, diagnostics, metrics.
final class BuiltIns: @unchecked Sendable {
  unowned(unsafe) let worker: Worker
  let diagnostics: Diagnostics

  init(worker: Worker) {
    self.worker = worker
    diagnostics = Diagnostics(worker: worker)
  }

  /// True if the path is one of the host's own: the response is then made.
  func answer(_ x: Exchange, in pipeline: Pipeline) -> Bool {
    let path = x.request.pointee.path
    guard path.hasPrefix("/health") || path.hasPrefix("/__") || path.hasPrefix("/metrics") else {
      // `OPTIONS *` asks about the host as a whole.
      guard path.equals("*") else { return false }
      x.status = 204
      x.addHeader(borrowing: bh_bytes("Allow"), bh_bytes("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"))
      return true
    }
    if path.hasPrefix("/__diag/"), diagnostics.act(x, in: pipeline) { return true }
    guard let respond = responder(path) else { return false }
    switch x.request.pointee.method {
    case bh_method(BH_METHOD_GET), bh_method(BH_METHOD_HEAD):
      respond(x)
      // All of it is true now, and perhaps no longer the next moment.
      x.setHeader(borrowing: bh_bytes("Cache-Control"), bh_bytes("no-store"))
    default:
      let isDiagnostic = path.hasPrefix("/__diag") || path.hasPrefix("/__config")
      answerOtherMethod(x, in: pipeline, allow: "GET, HEAD, OPTIONS") {
        !isDiagnostic || diagnostics.shows(x)
      }
    }
    return true
  }

  /// A method that a path of the host's own does not have; or OPTIONS, which every path has.
  ///
  /// - Parameter isShown: Whether the client may know that there is such a path; if not, it makes the response. A preflight is
  ///   not asked, for it never says who asks.
  func answerOtherMethod(
    _ x: Exchange, in pipeline: Pipeline, allow: StaticString, ifShown isShown: () -> Bool
  ) {
    guard pipeline.isPreflight(x) || isShown() else { return }
    if x.request.pointee.method == bh_method(BH_METHOD_OPTIONS) {
      pipeline.answerOptions(x, allow: allow)
    } else {
      x.setHeader(borrowing: bh_bytes("Allow"), bh_bytes(allow))
      x.respond(.methodNotAllowed)
    }
  }

  /// Whether the path is one that is answered here, by whatever method.
  func answers(_ path: bh_bytes) -> Bool { path.equals("*") || responder(path) != nil }

  private func responder(_ path: bh_bytes) -> ((Exchange) -> Void)? {
    var path = path
    if path.count > 1, path.buffer.last == UInt8(ascii: "/") { path.count -= 1 }
    if path.equals("/health") || path.equals("/__health") { return health }
    if path.equals("/health/live") { return live }
    if path.equals("/health/ready") { return ready }
    if path.equals("/__version") { return version }
    if path.equals("/metrics") { return metrics }
    if path.equals("/__config") { return diagnostics.config }
    if path.equals("/__diag") || path.hasPrefix("/__diag/") { return diagnostics.respond }
    return nil
  }

  // MARK: Health

  /// 200 while the host serves, whatever its plugins do.
  private func health(_ x: Exchange) {
    let out = worker.plugins.contains { $0.gate.load(ordering: .relaxed) != 0 && $0.isOut }
    x.respond(200, type: "application/json") { body in
      body.append("{\"status\":\"" as StaticString)
      body.append(worker.isStandIn ? "starting" : worker.isBare ? "bare" : out ? "degraded" : "ok")
      body.append("\",\"bypass\":\"" as StaticString)
      body.append(worker.bypass.rawValue)
      body.append("\",\"generation\":" as StaticString)
      body.append(decimal: worker.generation)
      body.append(",\"config\":\"" as StaticString)
      body.append(worker.configurationStatus.withLock { $0.name })
      body.append(byte: UInt8(ascii: "\""))
      if worker.isDraining.load(ordering: .relaxed) { body.append(",\"draining\":true" as StaticString) }
      if out { appendOut(&body) }
      body.append(byte: UInt8(ascii: "}"))
    }
  }

  /// `,"out":["auth"]`
  private func appendOut(_ body: inout ByteBuffer) {
    body.append(",\"out\":[" as StaticString)
    var isFirst = true
    for plugin in worker.plugins where plugin.isOut {
      if !isFirst { body.append(byte: UInt8(ascii: ",")) }
      isFirst = false
      plugin.name.withBytes { body.appendJSONString($0) }
    }
    body.append(byte: UInt8(ascii: "]"))
  }

  private func live(_ x: Exchange) {
    x.respond(200, type: "application/json") { $0.append("{\"status\":\"live\"}" as StaticString) }
  }

  /// 503 while a required plugin is out, or a probe has failed, or the operator wants no more clients.
  private func ready(_ x: Exchange) {
    let missing = worker.plugins.filter { $0.configuration.isRequired && $0.isOut }.map(\.name)
    let failed = worker.failedProbes
    let reason: String? =
      if worker.isDraining.load(ordering: .relaxed) {
        "draining"
      } else if worker.isStandIn {
        "starting"
      } else if worker.isBare {
        "bare"
      } else if !missing.isEmpty {
        "required-out"
      } else {
        failed.isEmpty ? nil : "probe-failed"
      }
    let isReady = reason == nil
    var json = JSONWriter()
    json.object {
      $0.field("status", isReady ? "ready" : "unready")
      $0.field("reason", reason)
      $0.array("required_out") { array in for name in missing { array.element(name) } }
      $0.array("failed_probes") { array in for probe in failed { array.element(probe) } }
    }
    x.respond(isReady ? 200 : 503, json)
  }

  // MARK: Version and metrics

  /// Which host this is. What would tell an attacker more than that is for those who may see the diagnostics.
  private func version(_ x: Exchange) {
    let isWhole = diagnostics.isVisible(x)
    var json = JSONWriter()
    json.object {
      $0.field("version", Version.host)
      $0.field("commit", Version.commit)
      $0.field("abi", Version.abi)
      $0.field("generation", worker.generation)
      guard isWhole else { return }
      $0.field("swift", Version.swift)
      $0.field("pid", Int(getpid()))
      $0.array("plugins") { array in
        for plugin in worker.plugins {
          array.object {
            $0.field("name", plugin.name)
            $0.field("version", plugin.library?.version)
            $0.field("sha256", plugin.sha256)
          }
        }
      }
    }
    x.respond(200, json)
  }

  private func metrics(_ x: Exchange) {
    let text = MetricsText.render(worker)
    x.respond(200, type: "text/plain; version=0.0.4; charset=utf-8") { $0.append(text) }
  }
}

extension Exchange {
  func respond(_ status: Int, _ json: JSONWriter) {
    respond(status, type: "application/json") { body in
      json.bytes.withUnsafeBytes { body.append($0) }
    }
  }
}

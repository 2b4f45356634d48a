import Glibc

/// How the host and its plugins stand, without what changes from second to second: the page's `status` event.
extension Diagnostics {
  /// An object. Any thread.
  func writeStatus(to json: inout JSONWriter) {
    json.object {
      $0.field("version", Version.host)
      $0.field("commit", Version.commit)
      $0.field("pid", Int(getpid()))
      $0.field("generation", worker.generation)
      $0.field("bare", worker.isBare)
      $0.field("starting", worker.isStandIn)
      $0.field("bypass", worker.bypass.rawValue)
      $0.field("draining", worker.isDraining.load(ordering: .relaxed))
      $0.field("actions", worker.configuration.host.adminToken != nil)
      $0.object("config") {
        $0.field("path", worker.configurationPath)
        worker.configurationStatus.withLock { $0 }.write(to: &$0)
      }
      $0.field("required_out", worker.plugins.filter { $0.configuration.isRequired && $0.isOut }.map(\.name))
      $0.array("failed_probes") { array in
        for failure in worker.probeFailures.withLock({ $0 }) {
          array.object {
            $0.field("probe", failure.probe)
            $0.field("cause", failure.cause)
          }
        }
      }
      $0.field("cors", worker.configuration.cors != nil)
      $0.array("plugins") { array in
        for plugin in worker.plugins { array.object { writeStatus(of: plugin, to: &$0) } }
      }
    }
  }

  private func writeStatus(of plugin: Plugin, to json: inout JSONWriter) {
    let (reason, retryAt) = plugin.quarantine.withLock { ($0.reason, $0.retryAt) }
    let configuration = plugin.configuration
    json.field("name", plugin.name)
    json.field("library", configuration.library)
    json.field("version", plugin.library?.version)
    json.field("sha256", plugin.sha256)
    json.field("kind", plugin.library?.capabilities.kind)
    json.field("authenticates", plugin.capabilities.contains(.authenticates))
    json.field("state", plugin.shownState.rawValue)
    json.field("bypassed", plugin.isSkipped)
    json.field("blocks_loops", plugin.blocksLoops)
    json.field("reason", reason?.rawValue)
    json.field("on_failure", configuration.onFailure.rawValue)
    json.field("mode", configuration.mode.rawValue)
    json.field("required", configuration.isRequired)
    json.field("mount", configuration.mount.map { $0.isEmpty ? "/" : $0 })
    json.field("routes", worker.pipeline.routes.routes.count { $0.plugin === plugin })
    if plugin.isMiddleware {
      json.object("middleware") {
        $0.field("applies_to", configuration.appliesTo.rawValue)
        $0.field("paths", configuration.paths.map(\.text))
        $0.field("except", configuration.except.map(\.text))
        $0.field("request", plugin.library == nil || plugin.capabilities.contains(.request))
        $0.field("response", plugin.capabilities.contains(.response))
        $0.field("heavy", configuration.isHeavy)
      }
    } else {
      json.null("middleware")
    }
    json.field("retry_at", retryAt.map { Clock.rfc3339(Clock.tenths(at: $0)) })
    let fault = worker.faults.last(of: plugin.name)
    json.field("last_fault", fault?.id)
    json.field("message", fault.map { String($0.message.prefix(500)) })
    if let change = worker.rolledBack(plugin) {
      json.object("rolled_back") { change.write(to: &$0) }
    } else {
      json.null("rolled_back")
    }
  }
}

/// The plugins of a generation, in short: what `bulkhead status` shows.
enum PluginReport {
  /// A JSON array.
  static func json(_ plugins: [Plugin], _ worker: Worker) -> String {
    var json = JSONWriter()
    json.array { array in
      for plugin in plugins { array.object { describe(plugin, worker, in: &$0) } }
    }
    return json.text
  }

  private static func describe(_ plugin: Plugin, _ worker: Worker, in json: inout JSONWriter) {
    let (reason, retryAt) = plugin.quarantine.withLock { ($0.reason, $0.retryAt) }
    json.field("name", plugin.name)
    json.field("version", plugin.library?.version)
    json.field("sha256", plugin.sha256)
    json.field("kind", plugin.library?.capabilities.kind)
    json.field("state", plugin.shownState.rawValue)
    json.field("reason", reason?.rawValue)
    json.field("on_failure", plugin.configuration.onFailure.rawValue)
    json.field("bypassed", plugin.isBypassed.load(ordering: .relaxed))
    json.field("calls", plugin.metrics.calls)
    json.field("faults", plugin.metrics.faults.load(ordering: .relaxed))
    json.field("retry_at", retryAt.map { Clock.rfc3339(Clock.realtime(at: $0)) })
    // The message may be long; the ledger has all of it.
    json.field("message", worker.faults.last(of: plugin.name).map { String($0.message.prefix(200)) })
    if let change = plugin.rolledBack {
      json.object("rolled_back") { change.write(to: &$0) }
    } else {
      json.null("rolled_back")
    }
  }
}

extension RollBack.Change {
  func write(to json: inout JSONWriter) {
    json.field("from", from)
    json.field("to", to)
  }
}

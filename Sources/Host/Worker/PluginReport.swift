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
    let (reason, retryAt, since) = plugin.quarantine.withLock { ($0.reason, $0.retryAt, $0.since) }
    json.field("name", plugin.name)
    let fault = worker.faults.last(of: plugin.name)
    let counts = plugin.metrics.latency.counts()
    let total = plugin.metrics.carry()
    json.field("version", plugin.library?.version)
    json.field("sha256", plugin.sha256)
    json.field("kind", plugin.library?.capabilities.kind)
    json.field("state", plugin.shownState.rawValue)
    json.field("reason", reason?.rawValue)
    // It has been so since the fault that made it so; but that it does not load is a fault of each generation.
    let began = plugin.state == .failed || reason == .operator ? nil : fault?.realtime
    json.field("since", reason == nil ? nil : Clock.rfc3339(began ?? Clock.tenths(at: since)))
    json.field("mode", plugin.configuration.mode.rawValue)
    json.field("on_failure", plugin.configuration.onFailure.rawValue)
    json.field("bypassed", plugin.isSkipped)
    json.field("calls", total.calls)
    json.field("faults", total.faults)
    json.field("slow_calls", plugin.metrics.slowCalls.load(ordering: .relaxed))
    json.field("blocks_loops", plugin.blocksLoops)
    json.object("latency_us") {
      $0.field("p50", Histogram.quantile(0.5, of: counts).map { Double($0) / 1000 })
      $0.field("p99", Histogram.quantile(0.99, of: counts).map { Double($0) / 1000 })
    }
    json.field("retry_at", retryAt.map { Clock.rfc3339(Clock.realtime(at: $0)) })
    // The message may be long; the ledger has all of it.
    json.field(
      "message", reason == .operator ? "by the operator" : fault.map { String($0.message.prefix(200)) })
    if let change = worker.rolledBack(plugin) {
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

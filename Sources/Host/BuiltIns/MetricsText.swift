import Synchronization

/// `/metrics`: the Prometheus text format, version 0.0.4.
enum MetricsText {
  static func render(_ worker: Worker) -> String {
    var text = MetricsWriter()
    host(worker, &text)
    requests(worker, &text)
    plugins(worker, &text)
    routes(worker, &text)
    own(worker, &text)
    return text.output
  }

  private static func host(_ worker: Worker, _ text: inout MetricsWriter) {
    text.family("bulkhead_info", "gauge", "Version and generation of the worker.")
    text.sample(
      "bulkhead_info", [("version", Version.host), ("generation", String(worker.generation))], "1")
    text.family("bulkhead_bypass", "gauge", "1 while middleware is bypassed.")
    text.sample("bulkhead_bypass", [("mode", worker.bypass.rawValue)], worker.bypass == .off ? "0" : "1")
    text.family("bulkhead_draining", "gauge", "1 while the operator keeps the host out of readiness.")
    text.sample("bulkhead_draining", [], worker.isDraining.load(ordering: .relaxed) ? "1" : "0")
    let configuration = worker.configurationStatus.withLock { $0 }
    text.family(
      "bulkhead_config_rejected", "gauge", "1 while the configuration file has errors, and is not taken.")
    text.sample("bulkhead_config_rejected", [], configuration.name == "rejected" ? "1" : "0")
    text.family(
      "bulkhead_config_held", "gauge",
      "1 while an edit or a library is not taken, since it would take out of service what serves.")
    text.sample("bulkhead_config_held", [], configuration.held == nil ? "0" : "1")
    text.family("bulkhead_bare", "gauge", "1 while the host runs without its plugins.")
    text.sample("bulkhead_bare", [], worker.isBare && !worker.isStandIn ? "1" : "0")
    text.family("bulkhead_starting", "gauge", "1 while the host answers without its plugins, as they start.")
    text.sample("bulkhead_starting", [], worker.isStandIn ? "1" : "0")
    text.family("bulkhead_uptime_seconds", "gauge", "Since this worker started.")
    text.sample(
      "bulkhead_uptime_seconds", [], MetricsWriter.seconds(Clock.monotonic() &- worker.startedAt))
  }

  private static func requests(_ worker: Worker, _ text: inout MetricsWriter) {
    text.family("bulkhead_connections_open", "gauge", "Connections now.")
    text.sample(
      "bulkhead_connections_open", [],
      String(worker.loops.reduce(0) { $0 + $1.statistics.open.load(ordering: .relaxed) }))
    text.family("bulkhead_connections_accepted_total", "counter", "Connections accepted.")
    text.sample(
      "bulkhead_connections_accepted_total", [],
      String(worker.loops.reduce(0) { $0 + $1.statistics.accepted.load(ordering: .relaxed) }))
    text.family("bulkhead_responses_total", "counter", "Responses by class of status.")
    let classes = worker.loops.map { $0.statistics.responses }
    for index in 0..<5 {
      let sum = classes.reduce(0) { $0 + $1[index] }
      text.sample("bulkhead_responses_total", [("class", "\(index + 1)xx")], String(sum))
    }
    text.family("bulkhead_requests_refused_total", "counter", "Requests that the codec refused.")
    text.sample(
      "bulkhead_requests_refused_total", [],
      String(worker.loops.reduce(0) { $0 + $1.statistics.refused.load(ordering: .relaxed) }))
    text.family(
      "bulkhead_log_lines_dropped_total", "counter", "Lines that standard error did not take in time.")
    text.sample(
      "bulkhead_log_lines_dropped_total", [],
      String(LogOutput.standardError.droppedLines.load(ordering: .relaxed)))
    text.family("bulkhead_request_duration_seconds", "histogram", "From the first byte to the answer.")
    text.histogram("bulkhead_request_duration_seconds", [], worker.loops.map { $0.statistics.latency })
  }

  private static func plugins(_ worker: Worker, _ text: inout MetricsWriter) {
    text.family("bulkhead_plugin_state", "gauge", "1 for the state that the plugin is in.")
    for plugin in worker.plugins {
      let state = plugin.shownState
      for name in ["active", "probing", "quarantined", "failed", "off"] {
        text.sample(
          "bulkhead_plugin_state", [("plugin", plugin.name), ("state", name)],
          state.rawValue == name ? "1" : "0")
      }
    }
    func counter(_ name: String, _ help: String, _ value: (Plugin) -> UInt64) {
      text.family(name, "counter", help)
      for plugin in worker.plugins { text.sample(name, [("plugin", plugin.name)], String(value(plugin))) }
    }
    counter("bulkhead_plugin_calls_total", "Phases and handlers run.") {
      $0.metrics.carry().calls
    }
    text.family("bulkhead_plugin_faults_total", "counter", "Faults in service, since the host started.")
    for plugin in worker.plugins {
      for reason in PluginCountTable.reasons {
        guard let count = plugin.metrics.count(of: reason) else { continue }
        text.sample(
          "bulkhead_plugin_faults_total", [("plugin", plugin.name), ("reason", reason.rawValue)],
          String(count))
      }
    }
    counter("bulkhead_plugin_rollbacks_total", "Times that the last good library took the place of the file.")
    {
      $0.metrics.rollBacks ?? 0
    }
    counter(
      "bulkhead_plugin_slow_calls_total",
      "Calls of over 50 ms that were meant for a loop: make them blocking."
    ) {
      $0.metrics.slowCalls.load(ordering: .relaxed)
    }
    counter("bulkhead_plugin_shadow_responses_total", "Answers that shadow mode held back.") {
      $0.metrics.shadowResponses.load(ordering: .relaxed)
    }
    counter("bulkhead_plugin_log_lines_dropped_total", "Log lines over the plugin's quota.") {
      $0.logQuota.dropped.load(ordering: .relaxed)
    }
    text.family("bulkhead_plugin_duration_seconds", "histogram", "Of one phase or handler.")
    for plugin in worker.plugins {
      text.histogram("bulkhead_plugin_duration_seconds", [("plugin", plugin.name)], [plugin.metrics.latency])
    }
  }

  private static func routes(_ worker: Worker, _ text: inout MetricsWriter) {
    text.family("bulkhead_route_duration_seconds", "histogram", "Of requests, by route.")
    for route in worker.pipeline.routes.routes {
      text.histogram(
        "bulkhead_route_duration_seconds", [("method", route.method), ("route", route.pattern)],
        [route.latency])
    }
  }

  /// What plugins count themselves.
  private static func own(_ worker: Worker, _ text: inout MetricsWriter) {
    var taken: Set<String> = []
    for plugin in worker.plugins {
      let prefix = "plugin_\(plugin.name.map { $0 == "-" ? "_" : String($0) }.joined())_"
      for metric in plugin.metrics.ownMetrics {
        let name = prefix + metric.name
        // The metrics of [plugin a-b] and [plugin a] may run together.
        let samples = metric.sampleNames.map { prefix + $0 }
        guard taken.isDisjoint(with: samples) else {
          text.comment("\(name) of plugin \(plugin.name) has the name of another plugin's metric")
          continue
        }
        taken.formUnion(samples)
        text.family(name, "\(metric.kind)", metric.help)
        if let histogram = metric.histogram {
          text.histogram(name, [], [histogram])
        } else {
          text.sample(name, [], MetricsWriter.number(metric.value))
        }
      }
    }
  }
}

/// Lines of the Prometheus text format.
struct MetricsWriter {
  private(set) var output = ""

  mutating func family(_ name: String, _ type: String, _ help: String) {
    output += "# HELP \(name) \(MetricsWriter.escaped(help, quotes: false))\n# TYPE \(name) \(type)\n"
  }

  /// A line that readers pass over.
  mutating func comment(_ text: String) { output += "# \(text)\n" }

  mutating func sample(_ name: String, _ labels: [(String, String)], _ value: String) {
    output += name
    if !labels.isEmpty {
      output += "{" + labels.map { "\($0.0)=\"\(MetricsWriter.escaped($0.1))\"" }.joined(separator: ",") + "}"
    }
    output += " \(value)\n"
  }

  /// One histogram, summed over `parts`; a bucket for each fourfold of time, from about a microsecond to a minute.
  mutating func histogram(_ name: String, _ labels: [(String, String)], _ parts: [Histogram]) {
    var counts = [UInt64](repeating: 0, count: Histogram.bucketCount)
    for part in parts {
      for (index, count) in part.counts().enumerated() { counts[index] += count }
    }
    let sum = parts.reduce(0) { $0 &+ $1.sum }
    var cumulative: UInt64 = 0
    var bucket = 0
    for exponent in stride(from: UInt64(10), through: 36, by: 2) {
      let bound = UInt64(1) << exponent
      while bucket < Histogram.bucketCount, Histogram.upperBound(of: bucket) < bound {
        cumulative += counts[bucket]
        bucket += 1
      }
      sample("\(name)_bucket", labels + [("le", MetricsWriter.seconds(bound))], String(cumulative))
    }
    let total = counts.reduce(0, +)
    sample("\(name)_bucket", labels + [("le", "+Inf")], String(total))
    sample("\(name)_sum", labels, MetricsWriter.seconds(sum))
    sample("\(name)_count", labels, String(total))
  }

  static func seconds(_ nanoseconds: UInt64) -> String { number(Double(nanoseconds) / 1e9) }

  static func number(_ value: Double) -> String { "\(value)" }

  /// By scalars: in a text of characters a CR and LF are one, and no LF.
  private static func escaped(_ value: String, quotes: Bool = true) -> String {
    var result = ""
    for scalar in value.unicodeScalars {
      switch scalar {
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\"" where quotes: result += "\\\""
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}

import Glibc

/// Looks at the worker once a second. The feed's thread.
struct DiagnosticsSampler {
  private unowned(unsafe) let worker: Worker
  private var before: Counts
  /// The documents as they were told last, by name.
  private var told: [String: [UInt8]] = [:]

  /// What only grows, as it stood at one time.
  private struct Counts {
    var at: UInt64
    /// By class of status, from 1xx to 5xx.
    var responses: [UInt64]
    var latency: [UInt64]
    var plugins: [Plugin]

    struct Plugin {
      /// Of this generation: what another carries over all at once is no rate.
      var calls: UInt64
      var latency: [UInt64]
    }

    init(of worker: Worker) {
      at = Clock.monotonic()
      let loops = worker.loops.map(\.statistics)
      responses = loops.map(\.responses).reduce([0, 0, 0, 0, 0]) { zip($0, $1).map { $0 &+ $1 } }
      latency = loops.map { $0.latency.counts() }.reduce(
        [UInt64](repeating: 0, count: Histogram.bucketCount)
      ) { zip($0, $1).map { $0 &+ $1 } }
      plugins = worker.plugins.map {
        Plugin(calls: $0.metrics.calls, latency: $0.metrics.latency.counts())
      }
    }
  }

  init(worker: Worker) {
    self.worker = worker
    before = Counts(of: worker)
  }

  // MARK: Samples

  /// Rates and latencies since the sample before.
  mutating func sample() -> JSONWriter {
    let now = Counts(of: worker)
    let seconds = max(0.001, Double(now.at &- before.at) / 1e9)
    func rate(_ new: UInt64, _ old: UInt64) -> Double { (Double(new &- old) / seconds * 10).rounded() / 10 }
    var json = JSONWriter(reservingCapacity: 1024)
    json.object {
      $0.field("at", Clock.rfc3339(Clock.realtime()))
      $0.field("uptime_s", Int((now.at &- worker.startedAt) / 1_000_000_000))
      $0.field("connections", worker.loops.reduce(0) { $0 + $1.statistics.open.load(ordering: .relaxed) })
      $0.field("resident_bytes", DiagnosticsSampler.residentBytes())
      $0.field("requests_per_s", rate(now.responses.reduce(0, &+), before.responses.reduce(0, &+)))
      $0.field("client_errors_per_s", rate(now.responses[3], before.responses[3]))
      $0.field("server_errors_per_s", rate(now.responses[4], before.responses[4]))
      $0.object("latency_us") { DiagnosticsSampler.quantiles(now.latency, before.latency, in: &$0) }
      $0.array("plugins") { array in
        for (index, plugin) in worker.plugins.enumerated() {
          let (new, old) = (now.plugins[index], before.plugins[index])
          let total = plugin.metrics.carry()
          array.object {
            $0.field("name", plugin.name)
            $0.field("calls", total.calls)
            $0.field("faults", total.faults)
            $0.field("calls_per_s", rate(new.calls, old.calls))
            $0.object("latency_us") { DiagnosticsSampler.quantiles(new.latency, old.latency, in: &$0) }
          }
        }
      }
    }
    before = now
    return json
  }

  /// Null while nothing happens.
  private static func quantiles(_ new: [UInt64], _ old: [UInt64], in json: inout JSONWriter) {
    let counts = zip(new, old).map { $0 &- $1 }
    json.field("p50", Histogram.quantile(0.5, of: counts).map { Double($0) / 1000 })
    json.field("p99", Histogram.quantile(0.99, of: counts).map { Double($0) / 1000 })
  }

  /// Nil if /proc is not there.
  private static func residentBytes() -> Int? {
    do throws(FileContents.Failure) {
      let bytes = try FileContents.read("/proc/self/statm", limit: 4096)
      let words = String(decoding: bytes, as: UTF8.self).split(separator: " ")
      return words.count > 1 ? Int(words[1]).map { $0 * sysconf(Int32(_SC_PAGESIZE)) } : nil
    } catch {
      return nil
    }
  }

  // MARK: Documents

  /// As many requests of each kind, the latest and the latest that failed, as the page is told of.
  private static let shownRequests = 16
  private static let shownFaults = 24

  /// Those that are not as they were told last.
  mutating func changedDocuments() -> [(String, JSONWriter)] {
    let diagnostics = worker.builtIns.diagnostics
    var status = JSONWriter(reservingCapacity: 4096)
    diagnostics.writeStatus(to: &status)
    let documents = [
      ("status", status), ("faults", faults()), ("generations", generations()), ("requests", requests()),
    ]
    let changed = documents.filter { told[$0.0] != $0.1.bytes }
    for (name, json) in changed { told[name] = json.bytes }
    return changed
  }

  private func faults() -> JSONWriter {
    var json = JSONWriter(reservingCapacity: 4096)
    json.array { array in
      for fault in worker.faults.latest.prefix(DiagnosticsSampler.shownFaults) {
        array.object { fault.write(to: &$0) }
      }
    }
    return json
  }

  private func generations() -> JSONWriter {
    var json = JSONWriter()
    json.element(raw: worker.history.withLock { $0 }.utf8)
    return json
  }

  private func requests() -> JSONWriter {
    let records = worker.builtIns.diagnostics.recentRequests()
    let failed = records.filter { $0.status >= 500 || $0.blamed >= 0 }.prefix(
      DiagnosticsSampler.shownRequests)
    let shown = Array(records.prefix(DiagnosticsSampler.shownRequests)) + failed
    var json = JSONWriter(reservingCapacity: 8192)
    json.array { array in
      var seen: Set<String> = []
      for record in shown where seen.insert("\(record.realtime) \(record.requestID.string)").inserted {
        array.object { worker.builtIns.diagnostics.describe(record, in: &$0) }
      }
    }
    return json
  }
}

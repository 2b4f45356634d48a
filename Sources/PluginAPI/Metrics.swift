import PluginABI

extension Host {
  /// A number that only grows, shown at `/metrics` as `plugin_PLUGIN_NAME`.
  ///
  /// Thread: main, in `init`. A name that the host refuses (not `[a-z][a-z0-9_]*`, taken by another kind, or past 64 of
  /// one plugin) is logged, and the metric counts nothing; neither does one of a host without metrics.
  public func counter(_ name: String, help: String) -> Counter {
    Counter(series: series(BH_COUNTER, name, help))
  }

  /// A number that rises and falls. As ``counter(_:help:)``.
  public func gauge(_ name: String, help: String) -> Gauge {
    Gauge(series: series(BH_GAUGE, name, help))
  }

  /// A distribution of times. As ``counter(_:help:)``.
  public func histogram(_ name: String, help: String) -> Histogram {
    Histogram(series: series(BH_HISTOGRAM, name, help))
  }

  private func series(_ kind: Int, _ name: String, _ help: String) -> Series? {
    guard let metrics = find(BH_METRICS, bh_metrics.self, upTo: \.set) else { return nil }
    guard let metric = metrics.pointee.metric(context, bh_metric_kind(kind), name, help) else {
      log(.warning, "the host refuses the metric '\(name)'")
      return nil
    }
    return Series(table: metrics, metric: metric)
  }
}

/// A time series of the host's. Its functions take no lock, and may be called on any thread.
struct Series: @unchecked Sendable {
  let table: UnsafePointer<bh_metrics>
  let metric: OpaquePointer
}

/// A number that only grows.
public struct Counter: Sendable {
  let series: Series?

  /// - Parameter amount: Not below 0.
  public func add(_ amount: Double = 1) {
    guard let series else { return }
    series.table.pointee.add(series.metric, amount)
  }
}

/// A number that rises and falls.
public struct Gauge: Sendable {
  let series: Series?

  public func set(_ value: Double) {
    guard let series else { return }
    series.table.pointee.set(series.metric, value)
  }

  /// - Parameter amount: May be below 0.
  public func add(_ amount: Double = 1) {
    guard let series else { return }
    series.table.pointee.add(series.metric, amount)
  }
}

/// A distribution of times.
public struct Histogram: Sendable {
  let series: Series?

  public func observe(_ duration: Duration) {
    let (seconds, attoseconds) = duration.components
    observe(seconds: Double(seconds) + Double(attoseconds) * 1e-18)
  }

  public func observe(seconds: Double) {
    guard let series else { return }
    series.table.pointee.add(series.metric, seconds)
  }
}

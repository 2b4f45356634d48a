import Synchronization

/// What is counted of one plugin: by the host, and by itself.
final class PluginMetrics: Sendable {
  let faults = Atomic<UInt64>(0)
  /// In shadow mode: how often it would have answered.
  let shadowResponses = Atomic<UInt64>(0)
  /// Calls that took longer than others can wait for a loop.
  let slowCalls = Atomic<UInt64>(0)
  let latency = Histogram()
  /// Phases and handlers run.
  var calls: UInt64 { latency.count }

  // MARK: The host's counts

  /// Where the counts go on over generations.
  private struct Account {
    let table: PluginCountTable
    let key: UInt64
    /// Of this generation's counts, what is in there already.
    var carried = PluginCountTable.Counts()
  }

  private let account = Mutex<Account?>(nil)

  /// From here on what is counted is carried over to `table`. Before anything runs.
  func join(_ table: PluginCountTable, name: String) {
    account.withLock { $0 = Account(table: table, key: PluginCountTable.key(of: name)) }
  }

  func countFault(_ reason: Quarantine.Reason) {
    faults.wrappingAdd(1, ordering: .relaxed)
    account.withLock { found in found.map { $0.table.add(reason, to: $0.key) } }
    // At once: the process may be about to end.
    carry()
  }

  /// Carries over what was counted since it was carried over last. Any thread; allocates nothing.
  ///
  /// - Returns: the counts since the host started; or of this generation, if they are kept nowhere.
  @discardableResult
  func carry() -> PluginCountTable.Counts {
    account.withLock { account in
      let now = PluginCountTable.Counts(calls: calls, faults: faults.load(ordering: .relaxed))
      guard let found = account else { return now }
      let news = PluginCountTable.Counts(
        calls: now.calls &- found.carried.calls, faults: now.faults &- found.carried.faults)
      found.table.add(news, to: found.key)
      account?.carried = now
      return found.table.read(found.key) ?? now
    }
  }

  /// Faults since the host started, by reason; nil if they are kept nowhere.
  func count(of reason: Quarantine.Reason) -> UInt64? {
    account.withLock { found in found.flatMap { $0.table.count(of: reason, $0.key) } }
  }

  /// Roll-backs since the host started; nil if they are kept nowhere.
  var rollBacks: UInt64? { account.withLock { found in found.flatMap { $0.table.rollBacks(of: $0.key) } } }

  // MARK: The plugin's own

  private let own = Mutex<[PluginMetric]>([])
  static let maxOwn = 64

  /// The plugin's metric of this name, made at first asking; nil if the name is malformed, another kind's, or one too many;
  /// or if a sample of it would have the name of another metric's, for which Prometheus refuses the whole page.
  func metric(_ kind: PluginMetric.Kind, _ name: String, help: String) -> PluginMetric? {
    guard PluginMetric.isWellFormed(name) else { return nil }
    return own.withLock { metrics in
      if let found = metrics.first(where: { $0.name == name }) { return found.kind == kind ? found : nil }
      guard metrics.count < PluginMetrics.maxOwn else { return nil }
      let made = PluginMetric(kind: kind, name: name, help: help)
      let taken = Set(metrics.flatMap(\.sampleNames))
      guard taken.isDisjoint(with: made.sampleNames) else { return nil }
      metrics.append(made)
      return made
    }
  }

  var ownMetrics: [PluginMetric] { own.withLock { $0 } }
}

/// A plugin's own counter, gauge or histogram. Lives as long as its plugin.
final class PluginMetric: Sendable {
  enum Kind: UInt32, Sendable {
    case counter = 0
    case gauge, histogram
  }

  let kind: Kind
  let name: String
  let help: String
  /// A Double's bits: the counter's sum, or the gauge's value.
  private let bits = Atomic<UInt64>(0)
  let histogram: Histogram?

  init(kind: Kind, name: String, help: String) {
    self.kind = kind
    self.name = name
    self.help = help
    histogram = kind == .histogram ? Histogram(isShared: false) : nil
  }

  /// The names that its samples have in the text format, and its family's.
  var sampleNames: [String] {
    histogram == nil ? [name] : [name, "\(name)_bucket", "\(name)_sum", "\(name)_count"]
  }

  static func of(_ handle: OpaquePointer?) -> PluginMetric? {
    handle.map { Handle.object($0, PluginMetric.self) }
  }

  static func isWellFormed(_ name: String) -> Bool {
    guard let first = name.utf8.first, (0x61...0x7a).contains(first) else { return false }
    return name.utf8.allSatisfy { (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || $0 == 0x5f }
  }

  var value: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }

  /// Adds; a counter ignores what would lessen it. A histogram observes seconds.
  func add(_ amount: Double) {
    if let histogram {
      guard amount >= 0, amount < 1e9 else { return }
      return histogram.record(UInt64(amount * 1e9))
    }
    guard amount.isFinite, kind == .gauge || amount >= 0 else { return }
    var old = bits.load(ordering: .relaxed)
    while true {
      let new = (Double(bitPattern: old) + amount).bitPattern
      let (isDone, found) = bits.weakCompareExchange(expected: old, desired: new, ordering: .relaxed)
      if isDone { return }
      old = found
    }
  }

  func set(_ value: Double) {
    guard kind == .gauge, value.isFinite else { return }
    bits.store(value.bitPattern, ordering: .relaxed)
  }
}

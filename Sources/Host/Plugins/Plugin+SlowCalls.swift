/// Calls that take longer than others can wait for a loop.
extension Plugin {
  /// After so many nanoseconds of one call the loop goes to another thread.
  static let loopSlice: UInt64 = 50_000_000
  /// The plugin's calls are made off the loops for so many nanoseconds after a slow one.
  private static let offLoops: UInt64 = 10_000_000_000
  private static let reportInterval: UInt64 = 60_000_000_000

  /// What an operator is told of it.
  static let slowCallAdvice = "blocks loops; make it blocking or async"

  /// A call on a loop is slow: for a while no loop waits for the plugin. Any thread; allocates nothing.
  func keepOffLoops(since now: UInt64) {
    offLoopsUntil.store(now &+ Plugin.offLoops, ordering: .relaxed)
  }

  /// A call that was meant for a loop has come back, after `spent` nanoseconds. The thread that made it.
  func noteSlowCall(_ spent: UInt64, _ phase: PluginPass.Phase, _ x: Exchange) {
    let now = Clock.monotonic()
    keepOffLoops(since: now)
    metrics.slowCalls.wrappingAdd(1, ordering: .relaxed)
    let told = toldOfSlowCallAt.load(ordering: .relaxed)
    guard told == 0 || now &- told > Plugin.reportInterval,
      toldOfSlowCallAt.compareExchange(expected: told, desired: now, ordering: .relaxed).exchanged
    else { return }
    Log.shared.write(
      .warning,
      "plugin \(name) took \(spent / 1_000_000) ms in its \(phase) phase, where others wait: it "
        + "\(Plugin.slowCallAdvice). For the next \(Plugin.offLoops / 1_000_000_000) s its calls are made off the loops",
      request: x.logged, fields: [("plugin", name)])
  }

  /// Its calls are made off the loops now.
  var blocksLoops: Bool { Clock.monotonic() < offLoopsUntil.load(ordering: .relaxed) }
}

/// Deaths of workers, and what they mean: a pure value, without clock or I/O.
///
/// | a worker dies | and | then |
/// | --- | --- | --- |
/// | serving | a plugin was on its stack | that plugin is quarantined, its back-off doubled each time |
/// | not yet ready | a plugin was being started | that plugin is not started again |
/// | in either state | nobody was on its stack | the death counts: three within ten seconds make the next one bare |
struct DeathRecord: Sendable {
  private(set) var culprits: [Manifest.Culprit] = []
  private var unexplained: [UInt64] = []

  static let window: UInt64 = 10_000_000_000
  static let limit = 3

  /// Three deaths within ten seconds that no plugin explains.
  private(set) var isCrashLoop = false

  /// A worker died at `now`, with `plugin` on its stack or nobody.
  mutating func note(
    plugin: String?, reason: Quarantine.Reason, wasServing: Bool, message: String, at now: UInt64
  ) {
    guard let plugin else {
      unexplained = unexplained.filter { now - $0 < DeathRecord.window } + [now]
      isCrashLoop = unexplained.count >= DeathRecord.limit
      return
    }
    let index = culprits.firstIndex { $0.plugin == plugin }
    let count = index.map { culprits[$0].count + 1 } ?? 1
    let culprit = Manifest.Culprit(
      plugin: plugin, reason: reason, isFatal: !wasServing, count: min(count, 16), message: message)
    if let index { culprits[index] = culprit } else { culprits.append(culprit) }
  }

  /// The configuration has changed: nobody is suspected any more.
  mutating func forget() { self = DeathRecord() }
}

/// Decides which plugin has ended a worker. It names one only on evidence: a plugin that is named wrongly is taken out of
/// service for nothing. A pure value, without clock or I/O.
///
/// | a frame of the worker says | the worker ended | then |
/// | --- | --- | --- |
/// | a fault was caught in a plugin, or a plugin was given up | in any way | the first of them has crashed, or hangs |
/// | a plugin called exit(3) | in any way | it has exited |
/// | a plugin sent that signal to its own process | by the signal | it has exited |
/// | a plugin is on a stack | by the supervisor's hand, at a standstill | the one that is longest on a stack hangs |
/// | | by a signal of a fault that nobody caught | the latest to enter has crashed |
/// | one plugin alone is on a stack | with an exit status that is not the host's own | it has exited |
/// | plugins are on stacks | otherwise | nobody, the first time. One that alone was there at both of two such ends has exited |
struct DeathVerdict: Sendable {
  /// What is known of the end.
  struct End: Sendable {
    /// 0 if it ended with an exit status.
    var signal: Int32
    var exitCode: Int32
    /// The supervisor has ended it, as it had come to a standstill.
    var isHung: Bool
  }

  enum Finding: Sendable, Equatable {
    case plugin(FaultFrame.Occupant, Quarantine.Reason)
    case nobody
  }

  /// The exit status of a worker that gives itself up.
  static let ownExitCode: Int32 = 70
  /// An end without a culprit is remembered for so many nanoseconds.
  static let memory: UInt64 = 300_000_000_000

  /// The plugin that alone was on a stack when a worker last ended for which nobody was blamed, and when that was.
  private var suspect: String?
  private var suspectedAt: UInt64 = 0

  /// - Parameters:
  ///   - occupants: of the dead worker's frames.
  ///   - isFault: whether the signal is one that a fault of the process itself raises.
  ///   - name: a plugin's name, by its index.
  mutating func judge(
    _ occupants: [FaultFrame.Occupant], _ end: End, isFault: Bool, at now: UInt64,
    name: (Int) -> String
  ) -> Finding {
    // A call that hangs began before the crash that it may have led to.
    let lost = occupants.filter { $0.hasCrashed || $0.isTaken }
    if let first = lost.min(by: { $0.lostAt < $1.lostAt }) {
      return .plugin(first, first.hasCrashed ? .crashed : .hung)
    }
    if let exited = occupants.first(where: \.hasExited) { return .plugin(exited, .exited) }
    if end.signal != 0, let sender = occupants.first(where: { $0.sentSignal == end.signal }) {
      return .plugin(sender, .exited)
    }
    if end.isHung { return occupants.min { $0.since < $1.since }.map { .plugin($0, .hung) } ?? .nobody }
    if isFault {
      return occupants.max { $0.since < $1.since }.map { .plugin($0, .crashed) } ?? .nobody
    }
    if end.signal == 0, end.exitCode != DeathVerdict.ownExitCode, occupants.count == 1 {
      return .plugin(occupants[0], .exited)
    }
    return judgeUnexplained(occupants, at: now, name: name)
  }

  private mutating func judgeUnexplained(
    _ occupants: [FaultFrame.Occupant], at now: UInt64, name: (Int) -> String
  ) -> Finding {
    let names = Set(occupants.map { name($0.plugin) })
    let only = names.count == 1 ? names.first : nil
    let isAgain = only != nil && only == suspect && now &- suspectedAt < DeathVerdict.memory
    suspect = isAgain ? nil : only
    suspectedAt = now
    return isAgain ? .plugin(occupants[0], .exited) : .nobody
  }
}

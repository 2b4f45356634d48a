import PluginAPI
import Synchronization

/// Which costs the stored password hashes have, and how much work has been done on hashes. Any thread.
///
/// Hashes keep the cost that they were made with until their user logs in, so that after a change of `scrypt-cost` there
/// are several. A login that fails has to cost the same whoever it is for: it costs all of them.
final class PasswordWork: Sendable {
  private let inUse: Mutex<[PasswordHash.Parameters]?>
  private let current: PasswordHash.Parameters
  private let done: Counter

  /// - Parameter current: what new hashes are made with.
  init(_ current: PasswordHash.Parameters, _ host: Host) {
    self.current = current
    inUse = Mutex(nil)
    done = host.counter(
      "password_work_total", help: "Work done on password hashes: the N of scrypt, added up.")
  }

  /// Counts a hash that is computed.
  func add(_ parameters: PasswordHash.Parameters) { done.add(Double(1 << parameters.logCost)) }

  /// What a failed login costs beside the hash that it was compared with.
  ///
  /// - Parameters:
  ///   - compared: of that hash. Remembered if nobody knew of it.
  ///   - stored: reads the costs of all hashes from the database; called once.
  func remaining(
    after compared: PasswordHash.Parameters, stored: () throws -> [PasswordHash.Parameters]
  ) throws -> [PasswordHash.Parameters] {
    var known = try inUse.withLock { $0 } ?? ([current] + stored())
    if !known.contains(compared) { known.append(compared) }
    let costs = known
    inUse.withLock { $0 = costs }
    return costs.reduce(into: []) { remaining, parameters in
      if parameters != compared, !remaining.contains(parameters) { remaining.append(parameters) }
    }
  }
}

import PluginAPI
import Synchronization

/// The keys that tokens are verified with: those of the settings, and those of a JWKS file, which is read again when it
/// changes. Any thread; once a second, one request looks at the file.
final class KeyRing: Sendable {
  private struct State {
    var keys: [any VerificationKey]
    var stamp: KeyFile.Stamp?
  }

  private let fixed: [any VerificationKey]
  private let file: KeyFile?
  private let host: Host
  private let state: Mutex<State>
  /// Counts the changes.
  private let count = Atomic<UInt64>(0)
  /// When the file was last looked at: Unix time in seconds.
  private let lookedAt = Atomic<Int64>(0)

  /// - Parameters:
  ///   - fixed: the signing key first.
  ///   - file: a JWKS file, read here the first time.
  /// - Throws: `KeyFile.Failure`.
  init(fixed: [any VerificationKey], file: KeyFile?, host: Host) throws {
    self.fixed = fixed
    self.file = file
    self.host = host
    let stamp = try file?.stamp()
    state = Mutex(State(keys: fixed + (try file?.keySet() ?? []), stamp: stamp))
  }

  /// The keys as they are now.
  func keys(for algorithm: String) -> [any VerificationKey] {
    state.withLock { $0.keys }.filter { $0.algorithm.rawValue == algorithm }
  }

  /// Which keys these are: a token that was verified under another version has to be verified again, since its key may
  /// have been withdrawn.
  ///
  /// - Parameter now: Unix time in seconds.
  func version(now: Int64) -> UInt64 {
    if let file {
      let last = lookedAt.load(ordering: .relaxed)
      if now != last, lookedAt.compareExchange(expected: last, desired: now, ordering: .relaxed).exchanged {
        update(from: file)
      }
    }
    return count.load(ordering: .acquiring)
  }

  /// Reads the file again if it has changed. One that cannot be read, as when it is only half written, changes nothing,
  /// and is looked at again.
  private func update(from file: KeyFile) {
    do {
      let stamp = try file.stamp()
      guard state.withLock({ $0.stamp }) != stamp else { return }
      let keys = fixed + (try file.keySet())
      state.withLock { $0 = State(keys: keys, stamp: stamp) }
      count.wrappingAdd(1, ordering: .acquiringAndReleasing)
      host.log(.info, "read \(keys.count - fixed.count) keys from \(file.path)")
    } catch {
      host.log(.error, "the keys stay as they are: \(error)")
    }
  }
}

import PluginAPI
import Synchronization

/// The keys that tokens are signed and verified with: those of files, which are read again when they change, and those of
/// the settings. Any thread; once a second, one request looks at the files.
///
/// A file that cannot be read, as when it is half written, others can read it, or a key in it is broken, is refused as a
/// whole: the keys stay as they are, and the log says why, once.
final class KeyRing: Sendable {
  /// A file as it was last seen.
  private struct Watched {
    var keys: [any VerificationKey]
    /// Of the content that `keys` are from.
    var stamp: KeyFile.Stamp
    /// Of a content that was refused.
    var refused: KeyFile.Stamp?
    /// Why, as logged.
    var problem: String?
  }

  private let fixed: [any VerificationKey]
  private let sources: [any KeySource]
  private let host: Host
  /// By source. Held while they are read.
  private let watched: Mutex<[Watched]>
  private let keys: Mutex<KeySet>
  /// Of `keys`; written with `watched` held.
  private let latest = Atomic<UInt64>(0)
  /// When the files were last looked at: Unix time in seconds.
  private let lookedAt = Atomic<Int64>(0)

  /// The first secret is the one that signs: of the sources, or else of `fixed`.
  ///
  /// - Parameter sources: read here the first time.
  /// - Throws: what the sources throw; `KeySet.NoSigningKey`.
  init(sources: [any KeySource], fixed: [any VerificationKey], host: Host) throws {
    self.fixed = fixed
    self.sources = sources
    self.host = host
    // The stamp first: a file that changes in between is read once more.
    let files = try sources.map { source in
      let stamp = try source.stamp()
      return Watched(keys: try source.keys(), stamp: stamp)
    }
    keys = Mutex(try KeySet(files.flatMap(\.keys) + fixed, version: 0))
    watched = Mutex(files)
  }

  /// The keys as they are now.
  var current: KeySet { keys.withLock { $0 } }

  /// Which keys these are: a token that was verified under another version has to be verified again, since its key may
  /// have been withdrawn.
  ///
  /// - Parameter now: Unix time in seconds.
  func version(now: Int64) -> UInt64 {
    if !sources.isEmpty {
      let last = lookedAt.load(ordering: .relaxed)
      if now != last, lookedAt.compareExchange(expected: last, desired: now, ordering: .relaxed).exchanged {
        look(retrying: true)
      }
    }
    return latest.load(ordering: .acquiring)
  }

  /// The keys that have taken the place of `keys`, if any have: looks at the files at once, for a token that none of `keys`
  /// has signed may be signed with one that was put there within this second. Costs a system call for each file.
  func successor(of keys: KeySet) -> KeySet? {
    if !sources.isEmpty { look(retrying: false) }
    let current = current
    return current.version == keys.version ? nil : current
  }

  /// Reads again what has changed.
  ///
  /// - Parameter retrying: also what was refused and has not changed: there are reasons outside of the file.
  private func look(retrying: Bool) {
    watched.withLock { files in
      for (index, source) in sources.enumerated() {
        do {
          let stamp = try source.stamp()
          guard stamp != files[index].stamp else {
            files[index].problem = nil
            continue
          }
          guard retrying || stamp != files[index].refused else { continue }
          files[index].refused = stamp
          try replace(index, in: &files, with: Watched(keys: source.keys(), stamp: stamp))
        } catch {
          let problem = "\(error)"
          guard problem != files[index].problem else { continue }
          files[index].problem = problem
          host.log(.error, "the keys stay as they are: \(problem)")
        }
      }
    }
  }

  private func replace(_ index: Int, in files: inout [Watched], with file: Watched) throws {
    var next = files
    next[index] = file
    let version = latest.load(ordering: .relaxed) + 1
    let replacement = try KeySet(next.flatMap(\.keys) + fixed, version: version)
    files = next
    keys.withLock { $0 = replacement }
    latest.store(version, ordering: .releasing)
    host.log(.info, "read \(file.keys.count) keys from \(sources[index].path)")
  }
}

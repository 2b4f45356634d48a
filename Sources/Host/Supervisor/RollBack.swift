/// Which library each plugin is given: the file that the configuration names, or the last copy that served well. A pure
/// value, without clock or I/O.
///
/// | a plugin's library | and | then |
/// | --- | --- | --- |
/// | has served for its probation without a fault | | it is good |
/// | is good | it faults | nothing here: quarantine alone |
/// | is not good | it fails to load or start, or faults, and there is a good one | the good one is loaded in its place |
/// | is not good | the worker ends twice, nobody is to blame, and there is a good one | the same |
/// | is not good, and served when it was replaced | its successor fails or faults | it is loaded in the successor's place |
/// | is rolled back | another file, or an edit of the configuration | the file is tried again |
struct RollBack: Sendable {
  struct Change: Sendable, Equatable {
    /// The digest of the file that failed; nil if there is no file.
    var from: String?
    var to: String
  }

  /// What a plugin of the serving generation runs.
  struct Served: Sendable, Equatable {
    var plugin: String
    var sha256: String?
    /// Nanoseconds.
    var probation: UInt64
  }

  private struct Trial: Sendable {
    var sha256: String
    var since: UInt64
    var probation: UInt64
    var unexplainedEnds = 0
  }

  /// Ends of workers that nobody is to blame for, until what is on trial is held to be the cause. One may be the machine's.
  static let unexplainedLimit = 2

  /// Digests that served well, by plugin, the latest last.
  private(set) var good: [String: [String]]
  /// What served without a fault when its successor came, by plugin: good enough to go back to, whatever its probation.
  private(set) var predecessors: [String: String] = [:]
  private(set) var changes: [String: Change] = [:]
  private var trials: [String: Trial] = [:]

  static let goodCopies = 3

  init(good: [String: [String]] = [:]) { self.good = good }

  /// The change that holds for a plugin whose file has this digest. One of another file ends here.
  mutating func change(of plugin: String, file: String?) -> Change? {
    guard let change = changes[plugin] else { return nil }
    if change.from == file { return change }
    changes[plugin] = nil
    return nil
  }

  /// The configuration was edited: every file is tried again. The changes that held.
  @discardableResult
  mutating func end() -> [String: Change] {
    defer { changes = [:] }
    return changes
  }

  /// The edit was not taken: what it put an end to goes on, whatever was held of the edit's own files.
  mutating func resume(_ ended: [String: Change]) { changes.merge(ended) { _, before in before } }

  /// A good copy turned out to be gone, or spoilt.
  mutating func forget(_ sha256: String) {
    for plugin in good.keys { good[plugin]?.removeAll { $0 == sha256 } }
    predecessors = predecessors.filter { $0.value != sha256 }
    changes = changes.filter { $0.value.to != sha256 }
  }

  /// The plugin failed with this file. True if a good copy is to take its place: another generation is wanted.
  ///
  /// - Parameter pin: the digest that the configuration insists on.
  mutating func note(faultOf plugin: String, file: String?, pin: String?, at now: UInt64) -> Bool {
    trials[plugin]?.since = now
    guard changes[plugin] == nil else { return false }
    let candidates = good[plugin] ?? []
    if let file, candidates.contains(file) { return false }
    let all = candidates + [predecessors[plugin]].compactMap { $0 }
    guard let last = all.last(where: { $0 != file && (pin == nil || $0 == pin) }) else { return false }
    changes[plugin] = Change(from: file, to: last)
    return true
  }

  /// The plugin served with this library when another file came. The caller keeps a copy.
  mutating func note(predecessor sha256: String, of plugin: String) { predecessors[plugin] = sha256 }

  /// The file would take the plugin out of service, which serves with another: that one stays.
  mutating func hold(_ plugin: String, _ change: Change) {
    predecessors[plugin] = change.to
    changes[plugin] = change
  }

  /// Held files are to be tried again. The changes that held.
  mutating func release(_ plugins: Set<String>) -> [String: Change] {
    let released = changes.filter { plugins.contains($0.key) }
    changes = changes.filter { !plugins.contains($0.key) }
    return released
  }

  /// The worker that served has ended, and nobody can be named. The plugins that are rolled back for it.
  ///
  /// - Parameter pins: the digests that the configuration insists on, by plugin.
  mutating func noteUnexplainedEnd(pins: [String: String], at now: UInt64) -> [String] {
    var due: [String] = []
    for (plugin, trial) in trials.sorted(by: { $0.key < $1.key }) {
      let ends = trial.unexplainedEnds + 1
      trials[plugin]?.unexplainedEnds = ends
      trials[plugin]?.since = now
      guard ends >= RollBack.unexplainedLimit else { continue }
      if note(faultOf: plugin, file: trial.sha256, pin: pins[plugin], at: now) { due.append(plugin) }
    }
    return due
  }

  /// These serve from `now` on; a library that served before goes on with its probation.
  mutating func note(serving: [Served], at now: UInt64) {
    var next: [String: Trial] = [:]
    for served in serving {
      guard let sha256 = served.sha256, good[served.plugin]?.last != sha256 else { continue }
      if var before = trials[served.plugin], before.sha256 == sha256 {
        before.probation = served.probation
        next[served.plugin] = before
      } else {
        next[served.plugin] = Trial(sha256: sha256, since: now, probation: served.probation)
      }
    }
    trials = next
  }

  /// Those that have now served well, with their digests. The caller keeps the copies.
  mutating func passed(at now: UInt64) -> [(plugin: String, sha256: String)] {
    let over = trials.filter { now >= $0.value.since && now - $0.value.since >= $0.value.probation }
    for (plugin, trial) in over {
      trials[plugin] = nil
      predecessors[plugin] = nil
      var list = good[plugin] ?? []
      list.removeAll { $0 == trial.sha256 }
      good[plugin] = Array((list + [trial.sha256]).suffix(RollBack.goodCopies))
    }
    return over.map { ($0.key, $0.value.sha256) }.sorted { $0.plugin < $1.plugin }
  }

  /// When a probation ends next.
  var nextPass: UInt64? { trials.values.map { $0.since &+ $0.probation }.min() }

  var goodDigests: Set<String> { Set(good.values.joined()).union(predecessors.values) }
}

// MARK: The index of good copies

extension RollBack {
  /// A line each: the plugin and its digests, the latest last.
  var index: String {
    Set(good.keys).union(predecessors.keys).sorted().map { plugin in
      let kept = (good[plugin] ?? []).filter { $0 != predecessors[plugin] }
      let digests = kept + [predecessors[plugin]].compactMap { $0 }
      return digests.isEmpty ? "" : "\(plugin) \(digests.joined(separator: " "))\n"
    }.joined()
  }

  /// Reads an index; a line that makes no sense stands for nothing.
  static func good(index: String) -> [String: [String]] {
    var good: [String: [String]] = [:]
    for line in index.split(separator: "\n") {
      let words = line.split(separator: " ").map(String.init)
      let digests = words.dropFirst().filter { $0.utf8.count == 64 && $0.allSatisfy(\.isHexDigit) }
      guard let plugin = words.first, !digests.isEmpty else { continue }
      good[plugin] = Array(digests.suffix(goodCopies))
    }
    return good
  }
}

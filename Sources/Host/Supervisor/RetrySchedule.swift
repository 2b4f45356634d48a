/// When plugins that did not start are tried again: after exponential back-off. A pure value, in nanoseconds of one
/// monotonic clock.
///
/// The back-off begins anew once a plugin has been in service for as long as its longest back-off.
struct RetrySchedule: Sendable {
  private struct Entry: Sendable {
    var backoff: Backoff
    /// How often it has been tried again in vain.
    var streak = 0
    /// When it is tried next; nil while it is in service.
    var at: UInt64?
    /// Since when it is in service.
    var backSince: UInt64 = 0
  }

  private var entries: [String: Entry] = [:]

  /// These are out, and to be tried again; all others are in service, or never tried.
  mutating func note(out plugins: [String: Backoff], at now: UInt64) {
    for (name, entry) in entries where plugins[name] == nil {
      if entry.at != nil {
        entries[name]?.at = nil
        entries[name]?.backSince = now
      } else if now &- entry.backSince > entry.backoff.maximum.nanoseconds {
        entries[name] = nil
      }
    }
    for (name, backoff) in plugins {
      guard var entry = entries[name] else {
        entries[name] = Entry(backoff: backoff, at: now &+ backoff.delay(streak: 0))
        continue
      }
      entry.backoff = backoff
      if entry.at == nil {
        let isProven = now &- entry.backSince > backoff.maximum.nanoseconds
        entry.streak = isProven ? 0 : entry.streak + 1
        entry.at = now &+ backoff.delay(streak: entry.streak)
      }
      entries[name] = entry
    }
  }

  /// Those that are due; each is planned anew, in case this try is in vain too.
  mutating func takeDue(at now: UInt64) -> Set<String> {
    var due: Set<String> = []
    for (name, entry) in entries {
      guard let at = entry.at, now >= at else { continue }
      due.insert(name)
      entries[name]?.streak += 1
      entries[name]?.at = now &+ entry.backoff.delay(streak: entry.streak + 1)
    }
    return due
  }

  /// The operator wants it tried at once.
  mutating func hasten(_ plugin: String, at now: UInt64) {
    if entries[plugin]?.at != nil { entries[plugin]?.at = now }
  }

  /// When a plugin is tried next; nil if it is not planned.
  subscript(plugin: String) -> UInt64? { entries[plugin]?.at }

  /// When `takeDue` has something next.
  var nextDue: UInt64? { entries.values.compactMap(\.at).min() }
}

extension Backoff {
  /// Nanoseconds: the first back-off, doubled for each try of the streak so far, up to the maximum.
  func delay(streak: Int) -> UInt64 {
    let first = initial.nanoseconds
    let most = maximum.nanoseconds
    guard streak < first.leadingZeroBitCount else { return most }
    return min(first << UInt64(max(0, streak)), most)
  }
}

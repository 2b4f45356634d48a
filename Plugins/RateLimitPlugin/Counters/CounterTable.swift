/// Counters by key: a hash table of a fixed size in shared memory, without locks.
///
/// A key's entry lies in a window of 16 entries that begins at its home. An entry whose time has come holds
/// nothing that a new one would not, and is used again: so memory is bounded, and nothing needs sweeping.
///
/// **One key, one entry.** Two threads that miss the same key at once must not each make an entry for it, or
/// it would have two bursts. So an entry is first *placed* (`placing` is set, with a number that was never
/// used before), and made a counter only by a thread that has seen it so, and has then looked through the
/// whole window and found no other entry of that key. Of two placements, whichever was second is seen by, or
/// sees, the other. Placements belong to nobody: any thread that wants the key can complete one, and take one
/// away. So a thread that dies in between blocks no one.
///
/// **Full.** If the window has only counters that are running, the keys that find no room share one counter a
/// limit: they are limited together, and harder than alone. Nothing passes uncounted, and no running counter
/// is lost.
struct CounterTable: Sendable {
  private let memory: CounterMemory
  private let lineCount: UInt64

  private static let entriesPerLine = 4
  private static let linesPerWindow = 4
  /// In an entry's time: it is no counter yet.
  private static let placing: UInt64 = 1 << 63
  /// Of an entry that was taken away. It is free, but does not end a search as one does that was never used.
  private static let gone = CounterMemory.Entry(key: 1, time: 0)

  /// - Parameters:
  ///   - memory: for `entryCount` entries.
  ///   - entryCount: a multiple of 4, from 16.
  init(memory: CounterMemory, entryCount: Int) {
    self.memory = memory
    lineCount = UInt64(entryCount / Self.entriesPerLine)
  }

  /// The number of entries for a table of at least this size.
  static func entryCount(atLeast count: Int) -> Int {
    max(entriesPerLine * linesPerWindow, (count + entriesPerLine - 1) / entriesPerLine * entriesPerLine)
  }

  /// Whose counter, and by what rate.
  struct Counter {
    /// The keyed hash of the limit and the client.
    let key: UInt64
    let rate: GCRA
    /// Which of the shared entries it falls back on, and the limit's own key there.
    let shared: Int
    let sharedKey: UInt64

    /// - Parameter hash: any; 0 and 1 stand for free entries, and are moved aside.
    init(hash: UInt64, rate: GCRA, shared: Int, sharedKey: UInt64) {
      key = hash < 2 ? hash + 2 : hash
      self.rate = rate
      self.shared = shared
      self.sharedKey = sharedKey
    }
  }

  /// What a counter says to a request.
  struct Answer {
    var verdict: GCRA.Verdict
    /// The key had no room, and shares a counter with others.
    var isShared = false
  }

  /// Decides a request, and counts it if it is allowed.
  func take(_ counter: Counter, now: UInt64) -> Answer {
    change(counter, now) { arrival in counter.rate.decide(arrival: arrival, now: now) }
      ?? takeShared(counter, now)
  }

  /// Makes sure that a counter has come at least as far as another of the same client, kept elsewhere. Without
  /// room for it, nothing is done.
  ///
  /// - Parameter arrival: that counter's state, on the clock of `now`.
  func raise(_ counter: Counter, to arrival: UInt64, now: UInt64) {
    guard arrival > now else { return }
    _ = change(counter, now) { own in
      GCRA.Verdict(isAllowed: own < arrival, arrival: max(own, arrival), remaining: 0, reset: 0)
    }
  }

  /// Changes a key's counter as `decide` says of its state, and makes one if there is none yet; nil if there is
  /// no room for it.
  @inline(__always)
  private func change(_ counter: Counter, _ now: UInt64, _ decide: (UInt64) -> GCRA.Verdict) -> Answer? {
    // A placement that was there before the search in hand began.
    var placed: Match?
    while true {
      let found = search(counter.key, now)
      if let match = found.counter {
        if let stray = placed { _ = memory.exchange(at: stray.place, stray.entry, for: Self.gone) }
        let verdict = decide(match.entry.time)
        if settle(match, verdict) { return Answer(verdict: verdict) }
      } else if let second = found.secondPlacement {
        _ = memory.exchange(at: second.place, second.entry, for: Self.gone)
      } else if let placement = found.placement {
        if placement == placed {
          let verdict = decide(0)
          if settle(placement, verdict) { return Answer(verdict: verdict) }
        }
        placed = placement
      } else if let free = found.free ?? found.abandoned {
        let entry = CounterMemory.Entry(key: counter.key, time: Self.placing | memory.nextPlacement())
        let isPlaced = memory.exchange(at: free.place, free.entry, for: entry)
        placed = isPlaced ? Match(place: free.place, entry: entry) : nil
      } else {
        return nil
      }
    }
  }

  /// What `take` would say now. Counts nothing.
  func peek(_ counter: Counter, now: UInt64) -> Answer {
    while true {
      let found = search(counter.key, now)
      guard let match = found.counter else {
        let hasRoom = found.placement != nil || found.free != nil || found.abandoned != nil
        if hasRoom { return Answer(verdict: counter.rate.decide(arrival: 0, now: now)) }
        let entry = memory.entry(at: .shared(counter.shared))
        let arrival = entry.key == counter.sharedKey ? entry.time : 0
        return Answer(verdict: counter.rate.decide(arrival: arrival, now: now), isShared: true)
      }
      if memory.entry(at: match.place) == match.entry {
        return Answer(verdict: counter.rate.decide(arrival: match.entry.time, now: now))
      }
    }
  }

  /// Takes back what a `take` has counted, as if it had not been.
  func giveBack(_ counter: Counter, _ answer: Answer, now: UInt64) {
    while true {
      let match: Match
      if answer.isShared {
        let place = CounterMemory.Place.shared(counter.shared)
        match = Match(place: place, entry: memory.entry(at: place))
        guard match.entry.key == counter.sharedKey else { return }
      } else {
        // Without an entry, all that was counted has run out by itself.
        guard let found = search(counter.key, now).counter else { return }
        match = found
      }
      guard match.entry.time >= counter.rate.interval else { return }
      var entry = match.entry
      entry.time -= counter.rate.interval
      if memory.exchange(at: match.place, match.entry, for: entry) { return }
    }
  }

  /// Makes a verdict final: counts it, or makes sure that what it rests on still stands.
  @inline(__always)
  private func settle(_ match: Match, _ verdict: GCRA.Verdict) -> Bool {
    guard verdict.isAllowed else { return memory.entry(at: match.place) == match.entry }
    let counted = CounterMemory.Entry(key: match.entry.key, time: verdict.arrival)
    return memory.exchange(at: match.place, match.entry, for: counted)
  }

  private func takeShared(_ counter: Counter, _ now: UInt64) -> Answer {
    let place = CounterMemory.Place.shared(counter.shared)
    while true {
      let entry = memory.entry(at: place)
      // Another limit's, of an earlier configuration: it is taken over.
      let arrival = entry.key == counter.sharedKey ? entry.time : 0
      let verdict = counter.rate.decide(arrival: arrival, now: now)
      guard verdict.isAllowed else { return Answer(verdict: verdict, isShared: true) }
      let counted = CounterMemory.Entry(key: counter.sharedKey, time: verdict.arrival)
      if memory.exchange(at: place, entry, for: counted) { return Answer(verdict: verdict, isShared: true) }
    }
  }

  // MARK: Searching

  private struct Match: Equatable {
    var place: CounterMemory.Place
    var entry: CounterMemory.Entry
  }

  private struct Found {
    /// The key's counter. If there is one, the rest does not matter.
    var counter: Match?
    var placement: Match?
    var secondPlacement: Match?
    /// The first that was never used, or has run out.
    var free: Match?
    /// The first placement of another key: taken only if nothing else is free, for whoever placed it may be
    /// dead.
    var abandoned: Match?
  }

  /// Looks through a key's window, up to the first entry that was never used: nothing was ever placed beyond
  /// it.
  @inline(__always)
  private func search(_ key: UInt64, _ now: UInt64) -> Found {
    var found = Found()
    var line = lineCount.multipliedFullWidth(by: key).high
    for _ in 0..<Self.linesPerWindow {
      for offset in 0..<Self.entriesPerLine {
        let place = CounterMemory.Place.entry(Int(line) * Self.entriesPerLine + offset)
        let owner = memory.key(at: place)
        if owner == 0 {
          if found.free == nil { found.free = Match(place: place, entry: .init(key: 0, time: 0)) }
          return found
        }
        let match = Match(place: place, entry: .init(key: owner, time: memory.time(at: place)))
        let isPlacing = match.entry.time & Self.placing != 0
        if owner == key {
          if !isPlacing {
            found.counter = match
            return found
          }
          if found.placement == nil { found.placement = match } else { found.secondPlacement = match }
        } else if isPlacing {
          if found.abandoned == nil { found.abandoned = match }
        } else if match.entry.time <= now, found.free == nil {
          found.free = match
        }
      }
      line = line + 1 == lineCount ? 0 : line + 1
    }
    return found
  }
}

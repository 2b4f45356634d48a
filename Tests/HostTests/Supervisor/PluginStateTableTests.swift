import Glibc
import Testing

@testable import bulkhead

@Suite("The table of plugin states")
struct PluginStateTableTests {
  /// Memory as the supervisor makes it: zero.
  private func table() -> PluginStateTable {
    let size = 64 << 10
    let memory = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 8)
    memset(memory, 0, size)
    return PluginStateTable(memory)
  }

  private func core(_ number: UInt64) -> Quarantine.Core {
    Quarantine.Core(
      state: .quarantined, reason: .threw, since: number, retryAt: number + 1, streak: Int(number % 7))
  }

  @Test("every state comes back as it was written")
  func roundTrip() {
    let table = table()
    #expect(table.claim(7))
    #expect(table.read(7) == nil)
    for state in Quarantine.State.allCases {
      for reason in Quarantine.Reason.allCases.map(Optional.some) + [nil] {
        for retryAt: UInt64? in [nil, 0, .max] {
          let core = Quarantine.Core(state: state, reason: reason, since: 12, retryAt: retryAt, streak: 3)
          table.write(core, key: 7, generation: 4)
          #expect(table.read(7) == PluginStateTable.Saved(core: core, generation: 4))
        }
      }
    }
  }

  @Test("a key has its own entry; one that nobody claimed has none")
  func keys() {
    let table = table()
    #expect(table.claim(1) && table.claim(2) && table.claim(1))
    table.write(core(1), key: 1, generation: 1)
    table.write(core(2), key: 2, generation: 1)
    table.write(core(3), key: 3, generation: 1)
    #expect(table.read(1)?.core == core(1))
    #expect(table.read(2)?.core == core(2))
    #expect(table.read(3) == nil)
    #expect(!table.claim(0))
  }

  @Test("an older generation does not write over a later one")
  func generations() {
    let table = table()
    _ = table.claim(1)
    table.write(core(1), key: 1, generation: 5)
    table.write(core(2), key: 1, generation: 4)
    #expect(table.read(1)?.core == core(1))
    table.write(core(3), key: 1, generation: 5)
    #expect(table.read(1)?.core == core(3))
  }

  @Test("a forgotten key begins anew, and its entry may be another's")
  func forgetting() {
    let table = table()
    _ = table.claim(1)
    table.write(core(1), key: 1, generation: 9)
    table.forget(1)
    #expect(table.read(1) == nil)
    #expect(table.claim(2) && table.read(2) == nil)
    #expect(table.claim(1) && table.read(1) == nil)
    table.write(core(2), key: 1, generation: 1)
    #expect(table.read(1)?.core == core(2))
    table.keep(only: [1])
    #expect(table.read(1)?.core == core(2))
    #expect(table.read(2) == nil)
  }

  @Test("it has an end, at which a claim is refused")
  func full() {
    let table = table()
    for key in 1...UInt64(PluginStateTable.entryCount) { #expect(table.claim(key)) }
    #expect(!table.claim(9999))
    table.forget(3)
    #expect(table.claim(9999))
  }

  @Test("a writer that dies at any word leaves the state before, or the one that it wrote", arguments: 0...8)
  func death(words: Int) {
    let table = table()
    _ = table.claim(1)
    for round in 1...UInt64(4) {
      table.write(core(round), key: 1, generation: 1)
      table.write(core(round + 100), key: 1, generation: 1, dyingAfter: words)
      let found = table.read(1)?.core
      #expect(found == core(round) || found == core(round + 100), "\(String(describing: found))")
      // All seven words of a write are there.
      if words >= 7 { #expect(found == core(round + 100)) }
    }
  }

  @Test("while one writes, another reads what was written at some time, and never less than before")
  func concurrentReader() async {
    let table = table()
    _ = table.claim(1)
    let last: UInt64 = 20_000
    let writer = Task.detached { for number in 1...last { table.write(core(number), key: 1, generation: 1) } }
    var seen: UInt64 = 0
    var reads = 0
    while seen < last {
      guard let found = table.read(1)?.core else { continue }
      guard found == core(found.since), found.since >= seen else {
        Issue.record("read \(found) after \(seen)")
        break
      }
      seen = found.since
      reads += 1
    }
    await writer.value
    #expect(reads > 1)
  }
}

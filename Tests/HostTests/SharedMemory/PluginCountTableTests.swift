import Testing

@testable import bulkhead

@Suite("Counts of plugins over generations")
struct PluginCountTableTests {
  private typealias Counts = PluginCountTable.Counts

  /// The table lives in it, and no longer than it.
  private let memory: SharedMemory
  private let table: PluginCountTable

  init() throws {
    memory = try SharedMemory.create()
    table = try #require(PluginCountTable(memory))
  }

  @Test("counts are added up by name, and forgotten once room is wanted")
  func counts() {
    let (a, b) = (PluginCountTable.key(of: "a"), PluginCountTable.key(of: "b"))
    #expect(table.read(a) == nil)
    table.add(Counts(calls: 9, faults: 9), to: a)
    for key in [a, b, a] { #expect(table.claim(key)) }
    #expect(table.read(a) == Counts())
    table.add(Counts(calls: 2, faults: 1), to: a)
    table.add(Counts(calls: 3), to: a)
    #expect(table.claim(a))
    #expect(table.read(a) == Counts(calls: 5, faults: 1))
    #expect(table.read(b) == Counts())
    table.keep(only: [b])
    #expect(table.read(a) == Counts(calls: 5, faults: 1), "who comes back goes on")
    for other in 0..<(PluginCountTable.entryCount * 3 / 4) { #expect(table.claim(UInt64(other + 1))) }
    table.keep(only: [b])
    #expect(table.read(a) == nil)
    #expect(table.claim(a))
    #expect(table.read(a) == Counts(), "an entry is handed on empty")
  }

  @Test("a table that is full takes no other name")
  func full() {
    for index in 0..<PluginCountTable.entryCount { #expect(table.claim(UInt64(index + 1))) }
    #expect(!table.claim(1 << 40))
    #expect(table.claim(7))
  }

  @Test("two generations at once: each carries over what it has counted, once")
  func carrying() {
    table.claim(PluginCountTable.key(of: "a"))
    let (old, new) = (PluginMetrics(), PluginMetrics())
    old.latency.record(5)
    #expect(old.carry() == Counts(calls: 1))
    for metrics in [old, new] { metrics.join(table, name: "a") }
    #expect(old.carry() == Counts(calls: 1))
    #expect(old.carry() == Counts(calls: 1))
    new.latency.record(5)
    old.latency.record(5)
    #expect(new.carry() == Counts(calls: 2))
    old.countFault(.threw)
    #expect(new.carry() == Counts(calls: 3, faults: 1))
    #expect(new.faults.load(ordering: .relaxed) == 0)
    #expect(new.count(of: .threw) == 1 && new.count(of: .hung) == 0)
    #expect(new.count(of: .loadFailed) == nil, "it is of no fault in service")
    table.addRollBack(to: PluginCountTable.key(of: "a"))
    #expect(old.rollBacks == 1)
    let other = PluginMetrics()
    other.join(table, name: "nobody")
    other.countFault(.threw)
    #expect(other.carry() == Counts(faults: 1))
  }
}

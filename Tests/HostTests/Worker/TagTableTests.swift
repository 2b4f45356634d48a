import Testing

@testable import bulkhead

@Suite("Tags of connections")
struct TagTableTests {
  private final class Thing {}

  @Test("a tag names who it was made for, and nobody once that one has gone, though its place is another's")
  func goes() {
    var table = TagTable<Thing>()
    let (first, second, third) = (Thing(), Thing(), Thing())
    let tags = [table.add(first), table.add(second)]
    #expect(tags.allSatisfy { $0 >= TagTable<Thing>.firstTag })
    #expect(table[tags[0]] === first && table[tags[1]] === second)
    table.remove(tags[0])
    #expect(table[tags[0]] == nil)
    let next = table.add(third)
    #expect(next != tags[0])
    #expect(table[next] === third && table[tags[0]] == nil && table[tags[1]] === second)
    table.remove(tags[0])
    #expect(table[next] === third, "removed twice")
  }

  @Test("what was never given out names nobody", arguments: [0, 1, 1023, 1025, .max, 1 << 32 | 1024])
  func unknown(tag: UInt64) {
    var table = TagTable<Thing>()
    let thing = Thing()
    let given = table.add(thing)
    #expect(table[given] === thing)
    #expect(table[tag] == nil)
  }
}

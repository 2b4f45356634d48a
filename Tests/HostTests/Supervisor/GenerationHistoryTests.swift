import Testing

@testable import bulkhead

@Suite("The history of generations")
struct GenerationHistoryTests {
  @Test("each has its cause, its times and its end; a cause counts once")
  func lives() {
    var history = GenerationHistory()
    history.begin(1, isBare: false, at: 1)
    history.serves(1, pid: 10, at: 2)
    history.cause = "a reload was asked for"
    history.begin(2, isBare: false, at: 3)
    history.serves(2, pid: 20, at: 4)
    history.ended(1, pid: 10, how: nil, at: 5)
    history.begin(3, isBare: true, at: 6)
    history.ended(2, pid: 20, how: "it was killed", at: 7)
    let found = history.entries
    #expect(found.map(\.generation) == [1, 2, 3])
    #expect(found[0].cause == "the host was started")
    #expect(found[1].cause == "a reload was asked for")
    #expect(found[2].cause != found[1].cause)
    #expect(found[0].endedAt == 5)
    #expect(found[0].failure == nil)
    #expect(found[1].failure == "it was killed")
    #expect(found[2].servedAt == nil)
    #expect(found[2].isBare)
    let json = JSONValue(parsing: Array(history.json.utf8))
    #expect(json?.array.count == 3)
    #expect(json?.array[1]["failure"].string == "it was killed")
    #expect(json?.array[2]["served_at"] == .null)
  }

  @Test("only what changed is news, and no more than the latest are kept")
  func news() {
    var history = GenerationHistory()
    #expect(!history.isNews)
    for generation in 1...(GenerationHistory.capacity + 5) { history.begin(generation, isBare: false, at: 0) }
    #expect(history.isNews)
    #expect(history.entries.count == GenerationHistory.capacity)
    #expect(history.entries.first?.generation == 6)
    history.wasTold()
    history.ended(1, pid: 1, how: nil, at: 1)
    #expect(!history.isNews, "one that is forgotten is no news")
    history.ended(6, pid: 1, how: nil, at: 1)
    #expect(history.isNews)
  }
}

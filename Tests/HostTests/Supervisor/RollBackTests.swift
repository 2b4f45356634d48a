import Testing

@testable import bulkhead

private let second: UInt64 = 1_000_000_000

@Suite("Roll-back")
struct RollBackTests {
  private let old = String(repeating: "a", count: 64)
  private let new = String(repeating: "b", count: 64)
  private let newer = String(repeating: "c", count: 64)

  private func served(_ sha256: String?) -> RollBack.Served {
    RollBack.Served(plugin: "auth", sha256: sha256, probation: 60 * second)
  }

  @Test("a library is good once it has served for its probation, also over generations")
  func probation() {
    var book = RollBack()
    book.note(serving: [served(old)], at: 0)
    #expect(book.nextPass == 60 * second)
    book.note(serving: [served(old)], at: 40 * second)
    #expect(book.passed(at: 60 * second - 1).map(\.sha256) == [])
    #expect(book.passed(at: 60 * second).map(\.sha256) == [old])
    #expect(book.good == ["auth": [old]])
    #expect(book.passed(at: 61 * second).map(\.sha256) == [])
    #expect(book.nextPass == nil)
  }

  @Test("a fault within it begins the probation anew")
  func faultDuringProbation() {
    var book = RollBack()
    book.note(serving: [served(old)], at: 0)
    #expect(
      book.note(faultOf: "auth", file: old, pin: nil, at: 50 * second) == false,
      "there is nothing to go back to")
    #expect(book.passed(at: 100 * second).map(\.sha256) == [])
    #expect(book.passed(at: 110 * second).map(\.sha256) == [old])
  }

  @Test("a new library that faults is rolled back; a good one that faults is not")
  func rollsBack() {
    var book = RollBack(good: ["auth": [old]])
    #expect(book.note(faultOf: "auth", file: old, pin: nil, at: 0) == false)
    #expect(book.note(faultOf: "auth", file: new, pin: nil, at: 0) == true)
    #expect(book.change(of: "auth", file: new) == RollBack.Change(from: new, to: old))
    #expect(book.note(faultOf: "auth", file: new, pin: nil, at: 0) == false, "once")
    #expect(book.change(of: "other", file: new) == nil)
  }

  @Test("a library that is not there is rolled back too")
  func missing() {
    var book = RollBack(good: ["auth": [old]])
    #expect(book.note(faultOf: "auth", file: nil, pin: nil, at: 0) == true)
    #expect(book.change(of: "auth", file: nil) == RollBack.Change(from: nil, to: old))
  }

  @Test("another file ends it, and so does an edit of the configuration")
  func ends() {
    var book = RollBack(good: ["auth": [old]])
    _ = book.note(faultOf: "auth", file: new, pin: nil, at: 0)
    #expect(book.change(of: "auth", file: newer) == nil)
    #expect(book.change(of: "auth", file: new) == nil, "for good")
    _ = book.note(faultOf: "auth", file: new, pin: nil, at: 0)
    book.end()
    #expect(book.change(of: "auth", file: new) == nil)
  }

  @Test("of several good copies the latest is taken, and of a pinned one only that")
  func latest() {
    var book = RollBack(good: ["auth": [old, new]])
    _ = book.note(faultOf: "auth", file: newer, pin: nil, at: 0)
    #expect(book.changes["auth"]?.to == new)
    book.end()
    #expect(book.note(faultOf: "auth", file: newer, pin: old, at: 0) == true)
    #expect(book.changes["auth"]?.to == old)
    book.end()
    #expect(book.note(faultOf: "auth", file: new, pin: newer, at: 0) == false)
  }

  @Test("three good copies are kept")
  func bounded() {
    var book = RollBack()
    let digests = "abcde".map { String(repeating: String($0), count: 64) }
    for (index, digest) in digests.enumerated() {
      let now = UInt64(index) * 100 * second
      book.note(serving: [served(digest)], at: now)
      _ = book.passed(at: now + 60 * second)
    }
    #expect(book.good["auth"] == Array(digests.suffix(3)))
  }

  @Test("a good copy that is gone is forgotten")
  func gone() {
    var book = RollBack(good: ["auth": [old, new]])
    _ = book.note(faultOf: "auth", file: newer, pin: nil, at: 0)
    book.forget(new)
    #expect(book.changes.isEmpty)
    #expect(book.note(faultOf: "auth", file: newer, pin: nil, at: 0) == true)
    #expect(book.changes["auth"]?.to == old)
  }

  @Test("what served when its successor came is gone back to, whatever its probation")
  func predecessor() {
    var book = RollBack()
    book.note(predecessor: old, of: "auth")
    #expect(RollBack.good(index: book.index) == ["auth": [old]])
    #expect(book.note(faultOf: "auth", file: old, pin: nil, at: 0) == false, "it is the only one")
    #expect(book.note(faultOf: "auth", file: new, pin: nil, at: 0) == true)
    #expect(book.changes["auth"] == RollBack.Change(from: new, to: old))
    #expect(book.goodDigests == [old])
  }

  @Test("what has served well itself needs its predecessor no more")
  func provenSuccessor() {
    var book = RollBack()
    book.note(predecessor: old, of: "auth")
    book.note(serving: [served(new)], at: 0)
    _ = book.passed(at: 60 * second)
    #expect(book.predecessors.isEmpty)
    #expect(book.index == "auth \(new)\n")
  }

  @Test("a held file is kept out until it is tried again, or another comes")
  func held() {
    var book = RollBack(good: ["auth": [newer]])
    book.hold("auth", RollBack.Change(from: new, to: old))
    #expect(book.change(of: "auth", file: new)?.to == old)
    let released = book.release(["auth", "cors"])
    #expect(released == ["auth": RollBack.Change(from: new, to: old)])
    #expect(book.change(of: "auth", file: new) == nil)
    book.resume(released)
    #expect(book.change(of: "auth", file: new)?.to == old)
    #expect(book.change(of: "auth", file: old) == nil)
    // An edit that was not taken had another file held.
    book.hold("auth", RollBack.Change(from: newer, to: old))
    book.resume(released)
    #expect(book.change(of: "auth", file: new)?.to == old)
  }

  @Test("the index is read as it was written, and nonsense in it stands for nothing")
  func index() {
    let book = RollBack(good: ["auth": [old, new], "cors": [newer]])
    #expect(RollBack.good(index: book.index) == book.good)
    #expect(RollBack.good(index: "auth\n\ncors \(old) nonsense \(new)\n x \n") == ["cors": [old, new]])
  }

  @Test(
    "at the second end of a worker that nobody explains, what is on trial is rolled back; what is good is not"
  )
  func unexplained() {
    var book = RollBack(good: ["auth": [old], "cors": [old]])
    book.note(
      serving: [served(new), RollBack.Served(plugin: "cors", sha256: old, probation: 60 * second)], at: 0)
    #expect(book.noteUnexplainedEnd(pins: [:], at: 50 * second) == [])
    // The next generation is of the same libraries.
    book.note(serving: [served(new)], at: 51 * second)
    #expect(book.passed(at: 100 * second).map(\.sha256) == [], "its probation has begun anew")
    #expect(book.noteUnexplainedEnd(pins: [:], at: 101 * second) == ["auth"])
    #expect(book.changes == ["auth": RollBack.Change(from: new, to: old)])
    #expect(book.noteUnexplainedEnd(pins: [:], at: 102 * second) == [], "once")
  }

  @Test(
    "nothing is rolled back for such ends once its probation is over, or without a good one that may be loaded"
  )
  func unexplainedInVain() {
    var book = RollBack(good: ["auth": [old]])
    book.note(serving: [served(new)], at: 0)
    #expect(book.noteUnexplainedEnd(pins: ["auth": new], at: 0) == [])
    #expect(book.noteUnexplainedEnd(pins: ["auth": new], at: 0) == [], "pinned")
    #expect(book.passed(at: 60 * second).count == 1)
    for _ in 1...3 { #expect(book.noteUnexplainedEnd(pins: [:], at: 61 * second) == []) }
    #expect(book.changes.isEmpty)
  }
}

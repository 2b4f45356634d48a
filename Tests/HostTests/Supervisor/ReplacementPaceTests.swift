import Testing

@testable import bulkhead

private let second: UInt64 = 1_000_000_000

@Suite("The pace of replacements")
struct ReplacementPaceTests {
  @Test("workers that have to be replaced from their first moment are so ever more seldom")
  func slows() {
    var pace = ReplacementPace()
    var ages: [UInt64] = []
    for _ in 0..<12 {
      #expect(pace.admits(age: pace.minimumAge - 1) == false)
      ages.append(pace.minimumAge / second)
      #expect(pace.admits(age: pace.minimumAge) == true)
      #expect(pace.isSlowed)
    }
    #expect(ages == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600])
  }

  @Test("one that has lived for longer may be followed by one that is replaced at once")
  func recovers() {
    var pace = ReplacementPace()
    for age in [1, 2, 4] as [UInt64] { #expect(pace.admits(age: age * second) == true) }
    #expect(pace.admits(age: 7 * second) == false)
    #expect(pace.admits(age: 16 * second) == true)
    #expect(pace.isSlowed == false)
    #expect(pace.admits(age: second) == true)
  }
}

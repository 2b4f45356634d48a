import Testing

@testable import HTTPClient

@Suite struct RetryPolicyTests {
  private let policy = RetryPolicy(
    retries: 5, base: .milliseconds(100), limit: .seconds(1), longestRetryAfter: .seconds(10))

  @Test("the bound of the wait doubles up to its limit, and the wait is anywhere below it")
  func backOff() {
    let bounds = (1...5).map { policy.wait(after: $0, retryAfter: nil, random: 1) }
    let expected: [Duration] = [
      .milliseconds(100), .milliseconds(200), .milliseconds(400), .milliseconds(800), .seconds(1),
    ]
    #expect(bounds == expected)
    #expect(policy.wait(after: 3, retryAfter: nil, random: 0) == .zero)
    #expect(policy.wait(after: 3, retryAfter: nil, random: 0.5) == .milliseconds(200))
  }

  @Test("there are so many retries, and no more")
  func count() {
    #expect(policy.wait(after: 6, retryAfter: nil, random: 0) == nil)
    #expect(RetryPolicy(retries: 0).wait(after: 1, retryAfter: nil, random: 0) == nil)
  }

  @Test("what the peer asks for is waited for, and past the limit there is no retry")
  func retryAfter() {
    #expect(policy.wait(after: 1, retryAfter: .seconds(7), random: 1) == .seconds(7))
    #expect(policy.wait(after: 5, retryAfter: .milliseconds(1), random: 1) == .seconds(1))
    #expect(policy.wait(after: 1, retryAfter: .seconds(11), random: 0) == nil)
  }
}

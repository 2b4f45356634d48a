/// One limit that applies to a request, with the counter it is counted by.
struct Check {
  /// Which limit, by its place in the configuration.
  let limit: Int
  let counter: CounterTable.Counter
  var answer: CounterTable.Answer

  init(limit: Int, counter: CounterTable.Counter) {
    self.limit = limit
    self.counter = counter
    answer = CounterTable.Answer(
      verdict: GCRA.Verdict(isAllowed: true, arrival: 0, remaining: 0, reset: 0))
  }

  /// What is left if the request is not counted after all.
  mutating func uncount(_ now: UInt64) {
    answer.verdict = counter.rate.uncounted(answer.verdict, now: now)
  }
}

extension UnsafeMutableBufferPointer<Check> {
  /// What checks that were asked one by one come to together: nil if all allow the request; else the one that
  /// refuses it for the longest, and none of the others counts it.
  func refusal(at now: UInt64) -> Check? {
    var refusing: Check?
    for check in self where !check.answer.verdict.isAllowed {
      if refusing.map({ $0.answer.verdict.reset < check.answer.verdict.reset }) ?? true { refusing = check }
    }
    if refusing != nil { for index in indices { self[index].uncount(now) } }
    return refusing
  }
}

extension CounterTable {
  /// Decides a request under several limits at once. It is counted by all of them if all allow it, else by
  /// none.
  ///
  /// All are asked before one is counted, so a client that one limit refuses does not use up the others. If
  /// two requests meet, one may find a limit spent that was not when it asked: then what it has counted is
  /// given back.
  ///
  /// - Parameters:
  ///   - checks: one or more; their answers are filled in.
  ///   - now: in nanoseconds.
  /// - Returns: nil if the request is allowed; else the check that refuses it for the longest.
  func decide(_ checks: UnsafeMutableBufferPointer<Check>, now: UInt64) -> Check? {
    if checks.count > 1 {
      for index in checks.indices { checks[index].answer = peek(checks[index].counter, now: now) }
      if let refusing = checks.refusal(at: now) { return refusing }
    }
    for index in checks.indices {
      let answer = take(checks[index].counter, now: now)
      guard !answer.verdict.isAllowed else {
        checks[index].answer = answer
        continue
      }
      for earlier in 0..<index { giveBack(checks[earlier].counter, checks[earlier].answer, now: now) }
      for other in checks.indices where other != index { checks[other].uncount(now) }
      checks[index].answer = answer
      return checks[index]
    }
    return nil
  }
}

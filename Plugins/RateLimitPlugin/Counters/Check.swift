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
      var refusing: Check?
      for index in checks.indices {
        checks[index].answer = peek(checks[index].counter, now: now)
        let verdict = checks[index].answer.verdict
        if !verdict.isAllowed, refusing.map({ $0.answer.verdict.reset < verdict.reset }) ?? true {
          refusing = checks[index]
        }
      }
      if let refusing {
        for index in checks.indices { uncount(&checks[index], now) }
        return refusing
      }
    }
    for index in checks.indices {
      let answer = take(checks[index].counter, now: now)
      guard !answer.verdict.isAllowed else {
        checks[index].answer = answer
        continue
      }
      for earlier in 0..<index { giveBack(checks[earlier].counter, checks[earlier].answer, now: now) }
      for other in checks.indices where other != index { uncount(&checks[other], now) }
      checks[index].answer = answer
      return checks[index]
    }
    return nil
  }

  private func uncount(_ check: inout Check, _ now: UInt64) {
    check.answer.verdict = check.counter.rate.uncounted(check.answer.verdict, now: now)
  }
}

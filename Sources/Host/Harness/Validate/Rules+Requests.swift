import Glibc
import Synchronization

/// Requests, ordinary and not.
extension Rule {
  static let requestRules: [Rule] = [
    Rule(
      id: "request-ordinary",
      title: "ordinary requests are answered, or passed on, with a status that means something",
      anchor: "/* What a call came to. */"
    ) { bench throws(Finding) in
      try bench.start()
      for target in try bench.targets(of: .ordinary) {
        let result = try bench.pass(target)
        try RequestJudge.judgeReturned(result, target)
        if let fault = RequestJudge.fault(result) {
          throw .broken("on an ordinary request it failed, \(fault)")
        }
      }
      bench.stop()
    },
    Rule(
      id: "request-hostile", title: "nothing that a client can send makes it fail",
      anchor: "/* One request, as the host understood it.", timeLimit: .seconds(180)
    ) { bench throws(Finding) in
      try bench.start()
      for request in ProbeRequest.hostile {
        for target in try bench.targets(of: request) {
          let result = try bench.pass(target)
          try RequestJudge.judgeReturned(result, target)
          if let fault = RequestJudge.fault(result) {
            throw .broken("on \(request.name) it failed, and any client could have it quarantined: \(fault)")
          }
        }
      }
      bench.stop()
    },
    Rule(
      id: "fault-reason", title: "a call that returns BH_FAULT has stated why",
      anchor: "/* States why the call in hand will return BH_FAULT.",
      timeLimit: .seconds(180)
    ) { bench throws(Finding) in
      try bench.start()
      var faults = 0
      for request in [ProbeRequest.ordinary] + ProbeRequest.hostile {
        for target in try bench.targets(of: request) {
          let result = try bench.pass(target)
          guard result.hasFailed else { continue }
          faults += 1
          guard result.hasStatedError else {
            let phase = result.returned.last?.phase ?? "a call"
            throw .broken("\(phase) returned BH_FAULT on \(request.name), and set_error was not called")
          }
        }
      }
      bench.stop()
    },
    Rule(
      id: "after-error", title: "after hostile requests it serves ordinary ones as before",
      anchor: "/* [loop] The request phase: BH_OK goes on", timeLimit: .seconds(180)
    ) { bench throws(Finding) in
      try bench.start()
      let targets = try bench.targets(of: .ordinary)
      var before: [PassResult] = []
      for target in targets { before.append(try bench.pass(target)) }
      // In the order of the corpus, each kind of error followed by an ordinary request.
      for request in ProbeRequest.hostile {
        for target in try bench.targets(of: request, routes: 2) { try bench.pass(target) }
        if let first = targets.first { try bench.pass(first) }
      }
      for (target, old) in zip(targets, before) {
        let new = try bench.pass(target)
        if let fault = RequestJudge.fault(new), RequestJudge.fault(old) == nil {
          throw .broken("after hostile requests it failed on an ordinary one: \(fault)")
        }
        // A limiter may have had enough by then; what answered must not break.
        if new.status >= 500, old.status < 500 {
          throw .broken(
            "after hostile requests an ordinary one is answered \(new.status), and was \(old.status) before")
        }
      }
      bench.stop()
    },
    Rule(
      id: "concurrency", title: "calls from all loops at once neither crash nor mix",
      anchor: "calls for different requests run at the same time",
      timeLimit: .seconds(120)
    ) { bench throws(Finding) in
      try bench.start()
      try ConcurrencyCheck.run(bench)
      bench.stop()
    },
    Rule(
      id: "answers", title: "the responses that it makes have a status within 200...599",
      anchor: "bh_status (*set_status)(bh_exchange *exchange, uint32_t status);", timeLimit: .seconds(180)
    ) { bench throws(Finding) in
      try bench.start()
      try bench.exercise()
      bench.stop()
      if let breach = CheckedHost.breaches(of: "answers").first { throw .broken(breach.message) }
    },
    Rule(
      id: "timing", title: "a call on a loop is short, and never blocks", anchor: "BH_ON_LOOP = 0,",
      timeLimit: .seconds(90)
    ) { bench throws(Finding) in
      try bench.start()
      for target in try bench.targets(of: .ordinary) where target.route?.isBlocking != true {
        let views = try GuardedViews(target, id: "validate-1")
        // The first call may fill caches; the best of several shows what the call needs, and not what the machine does.
        var shortest = UInt64.max
        for _ in 0..<5 { shortest = min(shortest, try bench.pass(target, views: views).longest) }
        guard shortest < RequestJudge.share else {
          let name = target.route.map { "the handler of \($0.method) /\($0.pattern)" } ?? "a phase"
          throw .broken(
            "\(name) took \(shortest / 1_000_000) ms at best; on a loop at most "
              + "\(RequestJudge.share / 1_000_000) ms are its share: register it BH_BLOCKING")
        }
      }
      bench.stop()
    },
  ]
}

/// What a call's outcome says.
enum RequestJudge {
  /// Nanoseconds that a call on a loop may take at best, in whatever build.
  static let share: UInt64 = 20_000_000

  static func judgeReturned(_ result: PassResult, _ request: ProbeRequest) throws(Finding) {
    for (phase, status) in result.returned {
      let isAllowed =
        status == bh_status(BH_OK) || status == bh_status(BH_FAULT)
        || status == bh_status(BH_RESPOND) && phase == "the request phase"
      guard isAllowed else {
        throw .broken("\(phase) returned \(status) on \(request.name), which means nothing there")
      }
    }
  }

  /// In short; nil if it did not fail.
  static func fault(_ result: PassResult) -> String? {
    guard result.hasFailed else { return nil }
    return "\(result.returned.last?.phase ?? "a call"): \(result.error ?? "no reason given")"
  }
}

/// Several threads, each with requests of its own that say whose they are.
private enum ConcurrencyCheck {
  static let threadCount = 4
  static let rounds = 400

  static func run(_ bench: RuleBench) throws(Finding) {
    guard let plugin = bench.plugin else { return }
    let threads = (0..<threadCount).map { RuleThread("loop \($0)", bench.monitor) }
    let mixed = Mutex<String?>(nil)
    let targets = try bench.targets(of: .ordinary, routes: 8)
    // A handler with a database behind it may take its time.
    let end = Clock.monotonic() &+ 8_000_000_000
    for (index, thread) in threads.enumerated() {
      var passes: [(Pass, Exchange)] = []
      for target in targets {
        var request = target
        let mark = "mark-of-thread-\(index)-only"
        request.query = Array("mark=\(mark)".utf8)
        request.parameter = Array(mark.utf8)
        request.body = Array("\"\(mark)\"".utf8)
        request.path = "/validate/\(mark)"
        for name in ["X-Mark", "Origin", "Authorization", "X-Request-Id"] {
          request.fields.append((name, Array(mark.utf8)))
        }
        let views = try GuardedViews(request, id: mark)
        views.protect(.readOnly)
        let pass = Pass(plugin: plugin, request: request, views: views, monitor: bench.monitor)
        passes.append((pass, Exchange(limits: Pass.limits)))
      }
      thread.begin { frame in
        for _ in 0..<rounds where Clock.monotonic() < end {
          for (pass, exchange) in passes {
            let result = pass.run(on: frame, exchange, pool: nil)
            if let other = foreignMark(in: result, besides: index) {
              mixed.withLock {
                $0 =
                  $0
                  ?? "\(pass.request.route.map { "GET /\($0.pattern)" } ?? "a phase"): the answer to one request holds \(other) of another, answered at the same time"
              }
            }
          }
        }
      }
    }
    for thread in threads { thread.wait() }
    if let message = mixed.withLock({ $0 }) { throw .broken(message) }
  }

  private static func foreignMark(in result: PassResult, besides own: Int) -> String? {
    let texts = [String(decoding: result.body.prefix(4096), as: UTF8.self)] + result.fields.map(\.value)
    for other in 0..<threadCount where other != own {
      let mark = "mark-of-thread-\(other)-only"
      if texts.contains(where: { Template.contains($0, mark) }) { return "what is" }
    }
    return nil
  }
}

import Glibc

/// Memory that is the host's.
extension Rule {
  static let memoryRules: [Rule] = [
    Rule(
      id: "views-bounds", title: "no view is read past its end: none is terminated",
      anchor: "`bh_bytes` is a view, not terminated", timeLimit: .seconds(120)
    ) { bench throws(Finding) in
      try bench.start()
      try MemoryCheck.passAll(bench, protection: .writable)
      bench.stop()
    },
    Rule(
      id: "views-read-only", title: "nothing is written into what the host hands out",
      anchor: "can be, and read-only. The host never changes it", timeLimit: .seconds(120)
    ) { bench throws(Finding) in
      try bench.start()
      try MemoryCheck.passAll(bench, protection: .readOnly)
      bench.stop()
    },
    Rule(
      id: "views-lifetime", title: "nothing of a request is used once it is over",
      anchor: "Lifetimes   [request] until the request is over", timeLimit: .seconds(120)
    ) { bench throws(Finding) in
      try bench.start()
      for request in [ProbeRequest.ordinary] + MemoryCheck.telling {
        for target in try bench.targets(of: request, routes: 12) {
          let views = try GuardedViews(target, id: "validate-1")
          views.protect(.readOnly)
          try bench.pass(target, views: views)
          // Whoever kept a pointer into it will fault, in the calls that follow or on a thread of its own.
          views.protect(.gone)
        }
      }
      for target in try bench.targets(of: .ordinary, routes: 12) { try bench.pass(target) }
      usleep(100_000)
      bench.stop()
    },
    Rule(
      id: "exchange-lifetime",
      title: "an exchange is used only by the thread that was handed it, until that call returns",
      anchor: "until that call returns. */"
    ) { bench throws(Finding) in
      try bench.start()
      var kept: [Exchange] = []
      for request in [ProbeRequest.ordinary] + MemoryCheck.telling {
        for target in try bench.targets(of: request, routes: 12) {
          let views = try GuardedViews(target, id: "validate-1")
          let exchange = Exchange(limits: Pass.limits)
          // Not one is freed: what is done to one that is over can then be told.
          kept.append(exchange)
          try bench.pass(target, views: views, exchange: exchange)
        }
      }
      usleep(150_000)
      bench.stop()
      if let breach = CheckedHost.breaches(of: "exchange-lifetime").first { throw .broken(breach.message) }
      withExtendedLifetime(kept) {}
    },
  ]
}

private enum MemoryCheck {
  /// Those of the corpus that touch every view.
  static let telling = ProbeRequest.hostile.filter { request in
    ["a hundred fields", "empty fields", "HTTP/1.0 without any field", "a query without names"].contains(
      request.name)
      || request.name.hasPrefix("Authorization") || request.name.hasPrefix("Origin")
      || request.name.hasPrefix("a body of JSON that")
  }

  static func passAll(_ bench: RuleBench, protection: GuardedViews.Protection) throws(Finding) {
    for request in [ProbeRequest.ordinary] + telling {
      for target in try bench.targets(of: request) { try bench.pass(target, protection: protection) }
    }
  }
}

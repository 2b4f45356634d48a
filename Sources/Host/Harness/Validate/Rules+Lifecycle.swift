import Glibc

/// Starting and stopping.
extension Rule {
  static let lifecycleRules: [Rule] = [
    Rule(
      id: "start-stop",
      title: "it starts, serves and stops again and again, and each stop leaves nothing behind",
      anchor: "/* [main] Ends the instance."
    ) { bench throws(Finding) in
      try bench.start()
      for target in try bench.targets(of: .ordinary, routes: 4) { try bench.pass(target) }
      bench.stop()
      // What the first start has made for good, such as caches of the C library, is no leak.
      let before = ProcessCounts.settled(at: nil)
      for _ in 0..<12 {
        try bench.start()
        for target in try bench.targets(of: .ordinary, routes: 1) { try bench.pass(target) }
        bench.stop()
      }
      let after = ProcessCounts.settled(at: before)
      guard after.descriptors < before.descriptors + 12 else {
        throw .broken("12 starts and stops left \(after.descriptors - before.descriptors) descriptors open")
      }
      guard after.threads < before.threads + 12 else {
        throw .broken("12 starts and stops left \(after.threads - before.threads) threads running")
      }
    },
    Rule(
      id: "start-fault", title: "a start that fails says why, and leaves nothing behind",
      anchor: "On BH_FAULT (after set_error)"
    ) { bench throws(Finding) in
      try bench.start()
      let routes = bench.plugin?.routes.count ?? 0
      bench.stop()
      let obstacles: [(String, (RuleBench) throws(Finding) -> Result<Plugin, RuleBench.StartFailure>)] = [
        (
          "with a state directory that is not there",
          { bench throws(Finding) in try bench.tryStart(state: "/dev/null/state") }
        ),
        (
          "when the host refuses its routes",
          { bench throws(Finding) in
            CheckedHost.behave(refusesRoutes: true)
            defer { CheckedHost.behave() }
            return try bench.tryStart()
          }
        ),
        (
          "when the host has no extension",
          { bench throws(Finding) in
            CheckedHost.behave(hasExtensions: false)
            defer { CheckedHost.behave() }
            return try bench.tryStart()
          }
        ),
      ]
      for (what, start) in obstacles {
        var before = ProcessCounts.settled(at: nil)
        for round in 0..<8 {
          let errors = CheckedHost.errorCount
          switch try start(bench) {
          case .success:
            if what.hasSuffix("routes"), routes > 0 { throw .broken("\(what), it started all the same") }
            bench.stop()
          case .failure:
            guard CheckedHost.errorCount > errors else {
              throw .broken("\(what) its start failed, and it said no reason")
            }
          }
          if round == 0 { before = ProcessCounts.settled(at: before) }
        }
        let after = ProcessCounts.settled(at: before)
        guard after.descriptors < before.descriptors + 7 else {
          throw .broken("\(what), each failed start left a descriptor open")
        }
        guard after.threads < before.threads + 7 else {
          throw .broken("\(what), each failed start left a thread running")
        }
      }
    },
    Rule(
      id: "routes", title: "routes are well formed, and registered by start on its own thread",
      anchor: "/* [main, during start] Registers a route."
    ) { bench throws(Finding) in
      try bench.start()
      guard let plugin = bench.plugin, plugin.capabilities.contains(.routes) else {
        throw .notApplicable("it is no router")
      }
      if plugin.routes.isEmpty { throw .broken("it is a router, and registered no route") }
      var seen: Set<String> = []
      for route in plugin.routes {
        let shape = route.pattern.split(separator: "/").map { $0.hasPrefix("{") ? "{}" : String($0) }.joined(
          separator: "/")
        guard seen.insert("\(route.method) \(shape)").inserted else {
          throw .broken("the route \(route.method) \(route.pattern.quotedForMessage) is registered twice")
        }
      }
      for target in try bench.targets(of: .ordinary) { try bench.pass(target) }
      bench.stop()
      if let breach = CheckedHost.breaches(of: "routes").first { throw .broken(breach.message) }
    },
  ]
}

/// What a process has, as the kernel counts it.
struct ProcessCounts: Equatable {
  var descriptors: Int
  var threads: Int

  static var now: ProcessCounts {
    ProcessCounts(
      descriptors: StateDirectory.entries(of: "/proc/self/fd").count,
      threads: StateDirectory.entries(of: "/proc/self/task").count)
  }

  /// Threads that were told to end take a moment to be gone: waits until there are no more than before, or a second.
  static func settled(at before: ProcessCounts?) -> ProcessCounts {
    let deadline = Clock.monotonic() &+ 1_000_000_000
    var counts = now
    var last = counts
    while Clock.monotonic() < deadline {
      if let before, counts.threads <= before.threads, counts.descriptors <= before.descriptors { break }
      usleep(20_000)
      last = counts
      counts = now
      if before == nil, counts == last { break }
    }
    return counts
  }
}

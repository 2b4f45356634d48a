import Glibc
import LinuxShims

/// What grows from request to request.
extension Rule {
  static let leakRules: [Rule] = [
    Rule(
      id: "leaks-memory", title: "memory does not grow from request to request",
      anchor: "Nothing changes hands.",
      timeLimit: .seconds(120)
    ) { bench throws(Finding) in
      try bench.start()
      for target in try LeakCheck.targets(bench) { try LeakCheck.memory(bench, target) }
      bench.stop()
    },
    Rule(
      id: "leaks-descriptors", title: "descriptors are not left open from request to request",
      anchor: "copies what it wants to keep past the lifetime", timeLimit: .seconds(120)
    ) { bench throws(Finding) in
      try bench.start()
      for target in try LeakCheck.targets(bench) {
        let before = try LeakCheck.counts(bench, target)
        guard before.after.descriptors - before.first.descriptors < LeakCheck.passes / 2 else {
          throw .broken(
            "\(LeakCheck.name(of: target)): \(LeakCheck.passes) requests left \(before.after.descriptors - before.first.descriptors) descriptors open"
          )
        }
      }
      bench.stop()
    },
    Rule(
      id: "leaks-threads", title: "threads are not left running from request to request",
      anchor: "[any] any thread, also the plugin's own", timeLimit: .seconds(120)
    ) { bench throws(Finding) in
      try bench.start()
      for target in try LeakCheck.targets(bench) {
        let counts = try LeakCheck.counts(bench, target)
        guard counts.after.threads - counts.first.threads < LeakCheck.passes / 2 else {
          throw .broken(
            "\(LeakCheck.name(of: target)): \(LeakCheck.passes) requests left \(counts.after.threads - counts.first.threads) threads running"
          )
        }
      }
      bench.stop()
    },
  ]
}

private enum LeakCheck {
  static let passes = 60
  /// Calls of one window; memory that grows in every window grows for ever.
  private static let window = 400
  private static let windows = 4
  /// Bytes a call.
  private static let tolerance = 24

  /// The phases, and the routes that only read.
  static func targets(_ bench: RuleBench) throws(Finding) -> [ProbeRequest] {
    let targets = try bench.targets(of: .ordinary).filter { $0.route == nil || $0.method == "GET" }
    guard !targets.isEmpty else { throw .notApplicable("it has no phase, and no route that only reads") }
    return targets
  }

  static func name(of request: ProbeRequest) -> String {
    request.route.map { "the handler of \($0.method) /\($0.pattern)" } ?? "its phases"
  }

  static func memory(_ bench: RuleBench, _ target: ProbeRequest) throws(Finding) {
    let views = try GuardedViews(target, id: "validate-1")
    let exchange = Exchange(limits: Pass.limits)
    let deadline = Clock.monotonic() &+ 12_000_000_000
    func run(_ count: Int) throws(Finding) -> Int {
      var done = 0
      while done < count, Clock.monotonic() < deadline {
        try bench.pass(target, views: views, exchange: exchange)
        done += 1
      }
      return done
    }
    // Pools and caches fill up first.
    _ = try run(window)
    var growths: [Int] = []
    for _ in 0..<windows {
      let before = Int(shim_heap_in_use())
      let done = try run(window)
      guard done == window else { break }
      growths.append(Int(shim_heap_in_use()) - before)
    }
    guard growths.count >= 2, growths.allSatisfy({ $0 > tolerance * window }) else { return }
    let perCall = growths.reduce(0, +) / (growths.count * window)
    throw .broken("\(name(of: target)): \(perCall) bytes more are in use after each request")
  }

  static func counts(
    _ bench: RuleBench, _ target: ProbeRequest
  ) throws(Finding) -> (first: ProcessCounts, after: ProcessCounts) {
    let views = try GuardedViews(target, id: "validate-1")
    let exchange = Exchange(limits: Pass.limits)
    for _ in 0..<passes { try bench.pass(target, views: views, exchange: exchange) }
    let first = ProcessCounts.settled(at: nil)
    for _ in 0..<passes { try bench.pass(target, views: views, exchange: exchange) }
    return (first, ProcessCounts.settled(at: first))
  }
}

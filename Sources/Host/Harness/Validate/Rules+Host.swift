/// What a plugin asks of the host.
extension Rule {
  private static func breachRule(
    _ id: String, _ title: String, anchor: String
  ) -> Rule {
    Rule(id: id, title: title, anchor: anchor, timeLimit: .seconds(180)) { bench throws(Finding) in
      try bench.start()
      try bench.exercise()
      bench.stop()
      if let breach = CheckedHost.breaches(of: id).first { throw .broken(breach.message) }
    }
  }

  static let hostRules: [Rule] = [
    breachRule(
      "identity", "only a plugin with BH_AUTHENTICATES sets the identity, and never an empty subject",
      anchor: "BH_AUTHENTICATES = 1u << 4"),
    breachRule(
      "cors", "only a plugin with BH_DECIDES_CORS decides CORS",
      anchor: "bh_status (*decide_cors)(bh_exchange *exchange);"),
    breachRule(
      "problems", "problems have a status of 400...599, a code in kebab-case, and members that are JSON",
      anchor: "typedef struct bh_problem {"),
    breachRule(
      "log", "the log is written with the plugin's own context and a known level",
      anchor: "void (*log)(bh_context *context"),
    Rule(
      id: "timers", title: "what its timers call comes back, and states why it fails",
      header: "timers.h", anchor: "bh_timer *(*make)(bh_context *context"
    ) { bench throws(Finding) in
      let plugin = try bench.start()
      guard !plugin.timers.all.isEmpty else { throw .notApplicable("it has no timers") }
      for (index, timer) in plugin.timers.all.enumerated() {
        _ = plugin.takeError()
        let status = bench.onMain("in what its timer \(index + 1) calls") { timer.call() }
        guard status == bh_status(BH_OK) || plugin.takeError() != nil else {
          throw .broken("what its timer \(index + 1) calls returned \(status), and set_error was not called")
        }
      }
      bench.stop()
    },
  ]
}

import Foundation
import PluginTesting
import Testing

/// Faults, edits and kills in any order, by seed.
@Suite("Chaos", .serialized)
struct ChaosTests {
  private static let faults = ["throw", "trap", "segv", "abort", "stack", "spin", "exit", "background-trap"]
  private static let phases = ["request", "response", "route"]

  private func settings(tag: Int, order: Bool) -> HostSettings {
    let victim = Section.fault(
      "victim", mount: "/victim", "paths = /victim", "timeout = 100ms", "recover = 50ms..100ms")
    let other = Section.fault("other", mount: "/other", "paths = /other", "tag = \(tag)")
    return HostSettings(plugins: order ? victim + other : other + victim)
  }

  @Test(
    "200 sequences of faults, edits and kills: the host answers after each, and the others' routes come back")
  func sequences() throws {
    let seed =
      ProcessInfo.processInfo.environment["BULKHEAD_SEED"].flatMap { UInt64($0) } ?? .random(in: 1 ... .max)
    print("chaos seed \(seed)")
    var random = SplitMix64(state: seed)
    let host = try HostProcess(settings(tag: 0, order: true))
    for sequence in 1...200 {
      var done: [String] = []
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        done.append(try act(host, sequence, &random))
      }
      let what = "seed \(seed), sequence \(sequence): \(done.joined(separator: ", "))"
      try wait("an answer after \(what)", within: .seconds(10)) {
        (try? host.get("/health"))?.status == 200
      }
      // Killed too often in too short a time, the host goes bare for a while; that is served too.
      try wait("the other routes after \(what)", within: .seconds(10)) {
        guard let answer = try? host.get("/other/echo") else { return false }
        return answer.status == 200 || answer.json["code"].string == "bare-mode"
      }
    }
    try host.rewrite(settings(tag: 1000, order: true))
    host.process.send(signal: SIGHUP)
    try wait("all to be well at last, seed \(seed)", within: .seconds(30)) {
      (try? host.get("/other/echo"))?.json["tag"].string == "1000"
    }
    #expect(try host.stop() == .exited(0))
  }

  private func act(_ host: HostProcess, _ sequence: Int, _ random: inout SplitMix64) throws -> String {
    switch Int.random(in: 0..<10, using: &random) {
    case 0:
      // Not so often that the host has to take the machine for broken.
      guard sequence % 10 == 0, let worker = try? host.worker().pid else { return "nothing" }
      kill(worker, SIGKILL)
      return "kill of \(worker)"
    case 1, 2:
      try host.rewrite(settings(tag: sequence, order: Bool.random(using: &random)))
      if Bool.random(using: &random) { host.process.send(signal: SIGHUP) }
      return "edit"
    case 3:
      host.process.send(signal: SIGHUP)
      return "SIGHUP"
    default:
      let fault = ChaosTests.faults.randomElement(using: &random) ?? "throw"
      let phase = ChaosTests.phases.randomElement(using: &random) ?? "route"
      // Whatever becomes of this request, or of its connection, is its own affair.
      _ = try? host.get("/victim/echo", headers: [("X-Fault", fault), ("X-Fault-Phase", phase)])
      return "\(fault) in \(phase)"
    }
  }

  @Test(
    "kill -9 of the worker twice a second for 20 s: no connection is refused, and the ledger's sums agree")
  func kills() throws {
    let host = try ShippedConfiguration.start(edit: {
      $0.replacing("limit = 600/1m burst 120", with: "limit = 60000/1m")
        .replacing("signup-credits = 100", with: "signup-credits = 1000\njob-lease = 2s")
    })
    let user = try Shop(host: host).register()
    let granted = try #require(try Shop(host: host).balance(of: user))
    let order = #"{"model_id":"sketch-1","prompt":"a storm","parameters":{"width":64,"height":64}}"#
    let end = Deadline(after: .seconds(20))
    var kills = 0
    var number = 0
    while !end.hasPassed {
      if let worker = try? host.worker().pid, kill(worker, SIGKILL) == 0 { kills += 1 }
      let next = Deadline(after: .milliseconds(500))
      while !next.hasPassed {
        // A refused connection throws here; an answer that is cut off by the next kill does not count.
        let connection = try host.connect()
        number += 1
        let head = "POST /api/v1/generations HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        let fields = "\(user.bearer.0): \(user.bearer.1)\r\nIdempotency-Key: order-\(number)\r\n"
        try? connection.send("\(head)\(fields)Content-Length: \(order.utf8.count)\r\n\r\n\(order)")
        _ = try? connection.receive(to: "POST")
        usleep(20_000)
      }
    }
    #expect(kills > 10)
    var total = 0
    try wait("every job to end", within: .seconds(120), every: .milliseconds(200)) {
      guard let page = try? host.get("/api/v1/generations?per_page=100", headers: [user.bearer]),
        page.status == 200
      else { return false }
      total = page.json["total"].int ?? 0
      let pending = try host.get("/api/v1/generations?status=pending", headers: [user.bearer]).json["total"]
        .int
      let processing = try host.get("/api/v1/generations?status=processing", headers: [user.bearer]).json[
        "total"
      ].int
      return pending == 0 && processing == 0
    }
    let completed = try #require(
      try host.get("/api/v1/generations?status=completed", headers: [user.bearer]).json["total"].int)
    let balance = try host.get("/api/v1/credits/balance", headers: [user.bearer]).json
    print("\(kills) kills, \(number) orders sent, \(total) taken, \(completed) completed")
    #expect(balance["reserved"].int == 0, "\(balance)")
    #expect(balance["total_spent"].int == 5 * completed, "\(balance)")
    #expect(balance["current_balance"].int == granted - 5 * completed, "\(balance)")
  }
}

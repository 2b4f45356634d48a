import Foundation
import PluginTesting
import Testing

/// Limits as clients meet them: exact over all loops, over swaps and over deaths.
@Suite("Rate limits")
struct RateLimitTests {
  private func settings(_ limit: String) -> HostSettings {
    HostSettings(
      plugins: Section.plugin("ratelimit", library: "RateLimitPlugin", ["limit = \(limit)"])
        + Section.fault("fault", mount: "/fault", "paths = /nothing"))
  }

  /// How many of `count` requests on each of `clients` connections at once are let through.
  private func passed(_ endpoint: Endpoint, clients: Int, count: Int) throws -> Int {
    let results = try onThreads(clients) { _ in
      let connection = try HTTPConnection(endpoint)
      try connection.send(String(repeating: "GET /fault/echo HTTP/1.1\r\nHost: a\r\n\r\n", count: count))
      var passed = 0
      for _ in 0..<count {
        let answer = try connection.receive()
        #expect([200, 429].contains(answer.status))
        if answer.status == 200 { passed += 1 }
      }
      return passed
    }
    return results.reduce(0, +)
  }

  @Test("of many requests at once, over all loops, exactly the burst is let through")
  func exact() throws {
    let host = try HostProcess(settings("37/1d by address name day"))
    #expect(try passed(host.endpoints[0], clients: 8, count: 50) == 37)
    let refused = try host.get("/fault/echo", headers: [("Origin", Origin.own)])
    #expect(refused.status == 429)
    #expect(refused.isProblem)
    #expect(refused.json["code"].string == "rate-limited")
    #expect(Int(refused.header("Retry-After") ?? "") ?? 0 > 0)
    #expect(refused.header("RateLimit")?.contains("r=0") == true)
    #expect(refused.header("RateLimit-Policy")?.contains("q=37") == true)
    #expect(refused.header("Access-Control-Allow-Origin") == Origin.own)
    #expect(try host.get("/health").status == 200)
  }

  @Test("counters survive a swap of the plugin, and a worker that is killed")
  func countersSurvive() throws {
    let host = try HostProcess(settings("20/1d by address name day"))
    #expect(try passed(host.endpoints[0], clients: 2, count: 6) == 12)
    let first = try host.worker()
    try host.rewrite(
      HostSettings(
        plugins: settings("20/1d by address name day").plugins
          + Section.fault("new", mount: "/new", "paths = /no")))
    host.process.send(signal: SIGHUP)
    try wait("the swap") { try host.worker().generation > first.generation }
    #expect(try passed(host.endpoints[0], clients: 1, count: 4) == 4)
    let second = try host.worker()
    kill(second.pid, SIGKILL)
    try wait("the next worker") { try host.worker().pid != second.pid }
    #expect(try passed(host.endpoints[0], clients: 4, count: 10) == 4)
  }

  @Test("limits count by client address, and an IPv6 client by its /64")
  func byAddress() throws {
    let host = try HostProcess(
      HostSettings(host: "trusted-proxies = 127.0.0.1", plugins: settings("3/1d by address name day").plugins)
    )
    func statuses(_ addresses: [String]) throws -> [Int] {
      try addresses.map { try host.get("/fault/echo", headers: [("X-Forwarded-For", $0)]).status }
    }
    #expect(try statuses(Array(repeating: "203.0.113.1", count: 4)) == [200, 200, 200, 429])
    #expect(try statuses(["203.0.113.2"]) == [200])
    #expect(try statuses((1...4).map { "2001:db8:1:2::\($0)" }) == [200, 200, 200, 429])
    #expect(try statuses(["2001:db8:1:3::1"]) == [200])
  }
}

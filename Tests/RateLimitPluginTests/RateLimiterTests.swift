import Foundation
import PluginAPI
import PluginTesting
import Synchronization
import Testing

@testable import RateLimitPlugin

@Suite("The rate limit plugin")
struct RateLimiterTests {
  private func host(
    _ limits: [String], tableSize: String = "1024", regions: SharedRegions = SharedRegions()
  ) throws -> InProcessHost {
    var settings = limits.map { ("limit", $0) }
    settings.append(("table-size", tableSize))
    return try InProcessHost(
      PluginTable.of(RateLimiter.self), settings: Fields(settings), appliesTo: .all, regions: regions)
  }

  @Test("a client passes as often as the limit says, and is then refused with 429 and the time to wait")
  func refusal() throws {
    let host = try host(["5/1h by address name login"])
    for left in (0..<5).reversed() {
      let answer = try host.send("POST", "/login")
      #expect(answer.status == 200 && answer.reachedHandler)
      #expect(answer.header("RateLimit-Policy") == "\"login\";q=5;w=3600")
      #expect(answer.header("RateLimit")?.hasPrefix("\"login\";r=\(left);t=") == true)
      #expect(answer.header("Retry-After") == nil)
    }
    let refused = try host.send("POST", "/login")
    #expect(refused.status == 429 && !refused.reachedHandler)
    #expect(refused.header("Content-Type") == "application/problem+json")
    #expect(refused.text.contains("\"code\":\"rate-limited\""))
    #expect(refused.text.contains("\"limit\":\"login\""))
    let delay = try #require(refused.header("Retry-After").flatMap { Int($0) })
    #expect((700...720).contains(delay))
    #expect(refused.header("RateLimit") == "\"login\";r=0;t=\(delay)")
  }

  @Test("after the time to wait, a request passes again")
  func recovery() throws {
    let host = try host(["1/50ms by address"])
    #expect(try host.send("GET", "/").status == 200)
    let deadline = ContinuousClock.now + .seconds(5)
    var status = try host.send("GET", "/").status
    #expect(status == 429)
    while status == 429, ContinuousClock.now < deadline { status = try host.send("GET", "/").status }
    #expect(status == 200)
  }

  @Test("clients are counted apart by address, and IPv6 ones by their /64")
  func addresses() throws {
    let host = try host(["1/1h by address"])
    func status(_ client: String) throws -> Int { try host.send("GET", "/", client: client).status }
    #expect(try status("192.0.2.1") == 200)
    #expect(try status("192.0.2.2") == 200)
    #expect(try status("192.0.2.1") == 429)
    #expect(try status("2001:db8:1:2::1") == 200)
    #expect(try status("2001:db8:1:2:ffff::9") == 429)
    #expect(try status("2001:db8:1:3::1") == 200)
    #expect(try status("::ffff:192.0.2.2") == 429)
    #expect(try status("unix") == 200)
    #expect(try status("unix") == 429)
  }

  @Test("by identity, one user counts as one from everywhere; who has none counts by address")
  func identities() throws {
    let host = try host(["1/1h by identity"])
    func status(_ subject: String?, _ client: String) throws -> Int {
      try host.send("GET", "/", identity: subject.map { Identity(subject: $0) }, client: client).status
    }
    #expect(try status("ada", "192.0.2.1") == 200)
    #expect(try status("ada", "192.0.2.2") == 429)
    #expect(try status("bob", "192.0.2.2") == 200)
    #expect(try status(nil, "192.0.2.2") == 200)
    #expect(try status(nil, "192.0.2.2") == 429)
  }

  @Test("an API key or a header is counted by its value; without it, the address is")
  func headers() throws {
    let host = try host(["GET 1/1h by api-key", "POST 1/1h by header x-tenant"])
    func status(_ method: String, _ headers: Fields, _ client: String = "192.0.2.1") throws -> Int {
      try host.send(method, "/", headers: headers, client: client).status
    }
    #expect(try status("GET", ["x-api-key": "k1"]) == 200)
    #expect(try status("GET", ["X-API-Key": "k1"], "192.0.2.9") == 429)
    #expect(try status("GET", ["X-API-Key": "k2"]) == 200)
    #expect(try status("GET", [:]) == 200)
    #expect(try status("GET", [:]) == 429)
    #expect(try status("POST", ["X-Tenant": "a"]) == 200)
    #expect(try status("POST", ["X-Tenant": "a"]) == 429)
    #expect(try status("POST", ["X-Tenant": "b"]) == 200)
  }

  @Test("an address can not be passed for by a subject or a key of its bytes")
  func kinds() throws {
    let host = try host(["1/1h by identity"])
    let bytes = String(decoding: [49, 50, 51, 52] as [UInt8], as: UTF8.self)
    #expect(try host.send("GET", "/", identity: Identity(subject: bytes)).status == 200)
    #expect(try host.send("GET", "/", client: "49.50.51.52").status == 200)
  }

  @Test("a request must pass every limit that applies, and is told of each")
  func several() throws {
    let host = try host(["100/1h by address name all", "POST /login 2/1h by address name login"])
    #expect(try host.send("GET", "/x").header("RateLimit-Policy") == "\"all\";q=100;w=3600")
    for _ in 0..<2 { #expect(try host.send("POST", "/login").status == 200) }
    for _ in 0..<3 {
      let refused = try host.send("POST", "/login")
      #expect(refused.status == 429)
      #expect(refused.header("RateLimit-Policy") == "\"all\";q=100;w=3600, \"login\";q=2;w=3600")
      #expect(refused.header("RateLimit")?.contains("\"all\";r=97;") == true)
      #expect(refused.header("RateLimit")?.contains("\"login\";r=0;") == true)
    }
    // The refused ones were not counted by the other limit.
    #expect(try host.send("GET", "/x").header("RateLimit")?.hasPrefix("\"all\";r=96;") == true)
  }

  @Test("no limit, no fields")
  func notApplying() throws {
    let answer = try host(["POST /login 1/1h"]).send("GET", "/")
    #expect(answer.status == 200)
    #expect(answer.header("RateLimit") == nil && answer.header("RateLimit-Policy") == nil)
  }

  @Test("OPTIONS is never counted, so preflights pass")
  func options() throws {
    let host = try host(["1/1h by address"])
    for _ in 0..<5 {
      let answer = try host.send("OPTIONS", "/", headers: ["Origin": "https://velro.ai"])
      #expect(answer.status != 429 && answer.header("RateLimit") == nil)
    }
    #expect(try host.send("GET", "/").status == 200)
  }

  @Test("counters survive a swap to the next generation, under another order and names")
  func generations() throws {
    let regions = SharedRegions()
    let first = try host(["2/1h by address name a", "/x 9/1h"], regions: regions)
    #expect(try first.send("GET", "/").status == 200)
    #expect(try first.send("GET", "/").status == 200)
    let second = try host(["/x 9/1h", "2/1h by address name b"], regions: regions)
    #expect(try second.send("GET", "/").status == 429)
    let changed = try host(["3/1h by address"], regions: regions)
    #expect(try changed.send("GET", "/").status == 200)
  }

  @Test("over two generations and many threads at once, exactly as many pass as the limit allows")
  func exact() throws {
    let regions = SharedRegions()
    let limits = ["300/1h by identity", "POST 1000/1h by address"]
    let hosts = [try host(limits, regions: regions), try host(limits, regions: regions)]
    let allowed = Atomic(0)
    try onThreads(8) { thread in
      for _ in 0..<100 {
        let answer = try hosts[thread % 2].send("POST", "/x", identity: Identity(subject: "ada"))
        if answer.status == 200 { allowed.add(1, ordering: .relaxed) }
      }
    }
    #expect(allowed.load(ordering: .relaxed) == 300)
  }

  @Test("refusals are logged and counted, and so is a full table")
  func observed() throws {
    let host = try host(["1/1h by address name per-client"], tableSize: "16")
    _ = try host.send("GET", "/")
    _ = try host.send("GET", "/")
    #expect(host.metric("refused_total")?.value == 1)
    #expect(host.metric("refused_per_client_total")?.value == 1)
    #expect(host.logLines.contains { $0.message.contains("\"per-client\"") && $0.requestID != nil })
    for client in 10..<60 { _ = try host.send("GET", "/", client: "192.0.2.\(client)") }
    #expect((host.metric("shared_total")?.value ?? 0) > 0)
    #expect(host.logLines.filter { $0.message.contains("table-size") }.count == 1)
  }

  @Test("a malformed limit or table size fails the start, and says which")
  func badSettings() throws {
    let error = #expect(throws: StartFailure.self) { try host(["100/1m", "5 per minute"]) }
    #expect(error?.description.contains("limit = 5 per minute") == true)
    let size = #expect(throws: StartFailure.self) { try host(["1/s"], tableSize: "3") }
    #expect(size?.description.contains("table-size") == true)
    #expect(throws: StartFailure.self) { try host([]) }
  }
}

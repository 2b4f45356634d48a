import Foundation
import PluginTesting
import Testing

/// Clients and plugins at their worst, for a while: the host must be the same afterwards.
@Suite("Abuse")
struct AbuseTests {
  @Test("random and mutated bytes from many clients: the worker lives, and holds no descriptor for them")
  func noise() throws {
    let seed = UInt64.random(in: 1...UInt64.max)
    print("seed \(seed)")
    let host = try HostProcess(HostSettings(host: "head-timeout = 2s", plugins: Section.fault()))
    let worker = try host.worker().pid
    let before = try #require(RunningProcess.descriptorCount(worker))
    let endpoint = host.endpoints[0]
    let samples = [
      "GET /fault/echo?a=b HTTP/1.1\r\nHost: a\r\n\r\n",
      "POST /fault/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
      "POST /fault/blocking HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
      "GET /fault/stream HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    ].map { Array($0.utf8) }
    try onThreads(4) { client in
      var random = SplitMix64(state: seed &+ UInt64(client))
      for _ in 0..<150 {
        let connection = try HTTPConnection(endpoint)
        var bytes = samples.randomElement(using: &random) ?? []
        for _ in 0..<Int.random(in: 0...6, using: &random) {
          let at = Int.random(in: 0..<bytes.count, using: &random)
          switch Int.random(in: 0...2, using: &random) {
          case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
          case 1: bytes.insert(UInt8.random(in: 0...255, using: &random), at: at)
          default: bytes = Array(bytes[..<max(1, at)]) + bytes
          }
        }
        try connection.send(bytes)
        if Bool.random(using: &random) {
          connection.resetWhenClosed()
        } else {
          _ = try connection.end(within: .milliseconds(20))
        }
      }
    }
    try wait("the descriptors to be closed", within: .seconds(30)) {
      RunningProcess.descriptorCount(worker) ?? 0 <= before + 1
    }
    #expect(try host.worker().pid == worker, "seed \(seed)")
    #expect(try host.plugin("fault")["state"].string == "active", "seed \(seed)")
  }

  @Test("crash after crash of different plugins under load: others' requests never fail")
  func crashesUnderLoad() throws {
    let victims = (1...3).map {
      Section.fault("victim\($0)", mount: "/victim\($0)", "paths = /victim\($0)", "recover = never")
    }
    let host = try HostProcess(
      HostSettings(plugins: victims.joined() + Section.fault("other", mount: "/other", "paths = /other")))
    let endpoint = host.endpoints[0]
    let served = try onThreads(5) { client in
      let connection = try HTTPConnection(endpoint)
      if client < 3 {
        usleep(UInt32(150_000 * (client + 1)))
        _ = try? connection.request(
          "GET", "/victim\(client + 1)/echo", headers: [("X-Fault", ["trap", "segv", "stack"][client])])
        return 0
      }
      // Two seconds of requests on one connection.
      let end = Deadline(after: .seconds(2))
      var served = 0
      while !end.hasPassed {
        guard try connection.request("GET", "/other/echo").status == 200 else { return -1 }
        served += 1
      }
      return served
    }
    #expect(served[3...].allSatisfy { $0 > 0 }, "\(served)")
    for name in ["victim1", "victim2", "victim3"] { try host.waitFor(plugin: name, state: "quarantined") }
    #expect(try host.plugin("other")["state"].string == "active")
  }

  @Test("a worker that grows past max-rss is recycled without a failed request")
  func leak() throws {
    let host = try HostProcess(
      HostSettings(host: "max-rss = 200m", plugins: Section.fault()), environment: [:])
    let before = try host.worker()
    let connection = try host.connect()
    for _ in 0..<5 {
      #expect(try connection.request("GET", "/fault/echo", headers: [("X-Fault", "leak")]).status == 200)
    }
    try wait("the worker to be recycled", within: .seconds(30)) {
      #expect(try connection.request("GET", "/fault/echo").status == 200)
      return try host.worker().generation > before.generation
    }
    #expect(try host.plugin("fault")["state"].string == "active")
    try wait("the old worker to end", within: .seconds(45)) { !RunningProcess.exists(before.pid) }
    #expect(RunningProcess.residentBytes(try host.worker().pid) ?? .max < 200 << 20)
  }

  @Test("memory stays within bounds over many connections, large bodies and refused requests")
  func memory() throws {
    let host = try HostProcess(HostSettings(host: "max-body = 4m", plugins: Section.fault()))
    let worker = try host.worker().pid
    func round() throws {
      let body = [UInt8](repeating: 65, count: 2 << 20)
      for _ in 0..<10 { #expect(try host.send("POST", "/fault/echo", body: body).status == 200) }
      for _ in 0..<200 { #expect(try host.get("/nothing").status == 404) }
      for _ in 0..<100 { #expect(try host.get("/%00").status == 400) }
    }
    try round()
    let first = try #require(RunningProcess.residentBytes(worker))
    for _ in 0..<4 { try round() }
    let last = try #require(RunningProcess.residentBytes(worker))
    #expect(last - first < 24 << 20, "grew from \(first) to \(last)")
  }
}

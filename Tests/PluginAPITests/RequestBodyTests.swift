import PluginAPI
import PluginTesting
import Testing

@Suite("Request bodies read as they arrive")
struct RequestBodyTests {
  private func host(_ routes: @escaping @Sendable (inout Routes) -> Void) throws -> InProcessHost {
    try ProbeActions.$current.withValue(ProbeActions(routes: routes)) {
      try InProcessHost(.of(Probe<NoSettings>.self), mount: "/p")
    }
  }

  @Test("a handler gets its body piece by piece, and none of it beforehand")
  func pieces() throws {
    let host = try host { routes in
      routes.post("sync", access: .public, body: .streamed()) { request in
        var body: [UInt8] = []
        var pieces = 0
        while let chunk = try request.nextBodyChunk() {
          body += chunk
          pieces += 1
        }
        return .text("\(request.bodyCount) \(pieces > 1) \(body.count) \(body.allSatisfy { $0 == 0x61 })")
      }
      routes.put("async", access: .public, body: .streamed()) { request in
        try await Task.sleep(for: .milliseconds(1))
        var buffer = [UInt8](repeating: 0, count: 1000)
        var count = 0
        while true {
          let read = try buffer.withUnsafeMutableBytes { try request.readBody(into: $0) }
          guard read > 0 else { break }
          count += read
        }
        return .text("\(count)")
      }
    }
    let body = String(repeating: "a", count: 100_000)
    #expect(try host.send("POST", "/p/sync", body: body).text == "0 true 100000 true")
    #expect(try host.send("POST", "/p/sync").text == "0 false 0 true")
    #expect(try host.send("PUT", "/p/async", body: body).text == "100000")
  }

  @Test("a body past the route's limit is refused before the handler")
  func limit() throws {
    let host = try host { routes in
      routes.post("", access: .public, body: .streamed(limit: 3)) { request in
        .text("\(try request.nextBodyChunk()?.count ?? 0)")
      }
    }
    #expect(try host.send("POST", "/p", body: "abc").text == "3")
    let refused = try host.send("POST", "/p", body: "abcd")
    #expect(refused.status == 413 && !refused.reachedHandler)
  }

  @Test("a handler that was given its body whole may not read it again")
  func whole() throws {
    let host = try host { routes in
      routes.post("", access: .public, execution: .blocking) { request in
        do {
          _ = try request.nextBodyChunk()
          return .text("read")
        } catch HostRefusal.requestBody {
          return .text("refused \(request.body ?? "")")
        }
      }
    }
    #expect(try host.send("POST", "/p", body: "abc").text == "refused abc")
  }

  @Test("what says that a body will not come is a fault where none was to come")
  func stray() throws {
    let host = try host { routes in
      routes.post("", access: .public, body: .streamed()) { _ in throw RequestBodyError.gone }
    }
    #expect(throws: PluginFault.self) { try host.send("POST", "/p", body: "abc") }
  }
}

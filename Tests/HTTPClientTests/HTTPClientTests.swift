import Foundation
import LocalServer
import PluginTesting
import Testing

@testable import HTTPClient

@Suite struct HTTPClientTests {
  private func client(_ change: (inout HTTPClient.Options) -> Void = { _ in }) throws -> HTTPClient {
    var options = HTTPClient.Options()
    change(&options)
    return try HTTPClient(options)
  }

  private func get(
    _ server: LocalServer, _ path: String = "/", _ change: (inout HTTPClient.Options) -> Void = { _ in }
  ) throws -> ClientResponse {
    let client = try client(change)
    return try client.send(ClientRequest(.get, try client.address(server.url + path)))
  }

  /// The error of a GET that must fail.
  private func failure(
    _ server: LocalServer, _ change: (inout HTTPClient.Options) -> Void = { _ in }
  ) throws -> HTTPClientError? {
    do {
      let response = try get(server, "/", change)
      Issue.record("answered \(response.status)")
      return nil
    } catch let error as HTTPClientError {
      return error
    }
  }

  @Test("a POST arrives with its fields and its body, and the answer comes back whole")
  func post() throws {
    let server = try LocalServer { _ in
      .answer(201, headers: [("X-Thing", " a b "), ("Content-Type", "Text/Plain; x=y")], body: [0, 1, 255])
    }
    let client = try client()
    let response = try client.send(
      ClientRequest(
        .post, try client.address(server.url + "/jobs?a=b#fragment"),
        headers: [("Content-Type", "application/json"), ("X-Empty", "")], body: Array("{}".utf8)))
    #expect(response.status == 201)
    #expect(response.body == [0, 1, 255])
    #expect(response.header("x-thing") == "a b")
    #expect(response.mediaType == "text/plain")
    let request = try #require(server.requests.first)
    #expect(request.method == "POST")
    #expect(request.target == "/jobs?a=b")
    #expect(request.text == "{}")
    #expect(request.headers["content-type"] == "application/json")
    #expect(request.headers["x-empty"] == "")
    #expect(request.headers["user-agent"] == "bulkhead/1.0")
    #expect(request.headers["expect"] == nil)
  }

  @Test("a POST without a body has a length of 0")
  func emptyPost() throws {
    let server = try LocalServer { _ in .answer(204) }
    let client = try client()
    #expect(try client.send(ClientRequest(.post, try client.address(server.url))).status == 204)
    #expect(server.requests[0].headers["content-length"] == "0")
  }

  @Test("requests one after the other share a connection")
  func keepAlive() throws {
    let server = try LocalServer { _ in .answer(200, body: [1]) }
    let client = try client()
    for _ in 0..<5 { _ = try client.send(ClientRequest(.get, try client.address(server.url))) }
    #expect(server.requests.count == 5)
    #expect(server.connectionCount == 1)
  }

  @Test("sixteen threads use one client at once")
  func threads() throws {
    let server = try LocalServer { .answer(200, body: Array($0.target.utf8)) }
    let client = try client()
    let group = DispatchGroup()
    let wrong = LockedList()
    for thread in 0..<16 {
      group.enter()
      Thread.detachNewThread {
        for number in 0..<20 {
          let path = "/\(thread)-\(number)"
          do {
            let response = try client.send(ClientRequest(.get, try client.address(server.url + path)))
            if response.body != Array(path.utf8) { wrong.append("\(path): \(response.status)") }
          } catch {
            wrong.append("\(path): \(error)")
          }
        }
        group.leave()
      }
    }
    group.wait()
    #expect(wrong.items == [])
    #expect(server.requests.count == 320)
  }

  @Test("an answer that does not come is given up when the time is up, and may have been acted on")
  func silence() throws {
    let server = try LocalServer { _ in .silence }
    let error = try #require(try failure(server) { $0.timeout = .milliseconds(200) })
    #expect(error.kind == .timedOut)
    #expect(error.wasSent)
  }

  @Test("an answer that comes a byte at a time is given up too")
  func slowDrip() throws {
    let bytes =
      Array("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n".utf8)
      + [UInt8](repeating: 1, count: 100_000)
    let server = try LocalServer { _ in .drip(bytes, pause: .milliseconds(5)) }
    let began = ContinuousClock.now
    let error = try #require(try failure(server) { $0.timeout = .milliseconds(300) })
    #expect(error.kind == .timedOut)
    #expect(ContinuousClock.now - began < .seconds(10))
  }

  @Test("a refused connection is told as one, and certainly had no effect")
  func refused() throws {
    let server = try LocalServer { _ in .answer(200) }
    server.close()
    let error = try #require(try failure(server))
    #expect(error.kind == .unreachable)
    #expect(!error.wasSent)
  }

  @Test("a host without an address is unreachable")
  func noSuchHost() throws {
    let client = try client { $0.timeout = .seconds(5) }
    let error = try #require(throws: HTTPClientError.self) {
      try client.send(ClientRequest(.get, try client.address("http://no-such-host.invalid/")))
    }
    // A resolver may also keep silent.
    #expect([.unreachable, .timedOut].contains(error.kind))
    #expect(!error.wasSent)
  }

  @Test(
    "what is no HTTP, or ends early, is an error",
    arguments: [
      (LocalServer.Reply.raw(Array("garbage\r\n\r\n".utf8)), HTTPClientError.Kind.malformed),
      (.raw([0xff, 0x00, 0x01, 0x0a, 0x0a]), .malformed),
      (.hangUp, .broken),
      (.raw(Array("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc".utf8)), .broken),
    ])
  func garbage(reply: LocalServer.Reply, kind: HTTPClientError.Kind) throws {
    let server = try LocalServer { _ in reply }
    let error = try #require(try failure(server))
    #expect(error.kind == kind, "\(error)")
    #expect(error.wasSent)
  }

  @Test("a body past the limit ends the transfer, stated or not; one at the limit is taken")
  func oversize() throws {
    let server = try LocalServer { request in
      switch request.target {
      case "/stated": .answer(200, body: [UInt8](repeating: 1, count: 1001))
      case "/exact": .answer(200, body: [UInt8](repeating: 1, count: 1000))
      default: .raw(Array("HTTP/1.1 200 OK\r\n\r\n".utf8) + [UInt8](repeating: 1, count: 1001))
      }
    }
    #expect(try get(server, "/exact") { $0.maxBody = 1000 }.body.count == 1000)
    for path in ["/stated", "/unstated"] {
      let error = try #require(throws: HTTPClientError.self) { try get(server, path) { $0.maxBody = 1000 } }
      #expect(error.kind == .tooLarge)
    }
  }

  @Test("a head without end is given up")
  func endlessHead() throws {
    let field = Array("X-Filler: \(String(repeating: "a", count: 1000))\r\n".utf8)
    let server = try LocalServer { _ in
      .raw(Array("HTTP/1.1 200 OK\r\n".utf8) + (0..<500).flatMap { _ in field } + [0x0d, 0x0a])
    }
    #expect(try failure(server)?.kind == .tooLarge)
  }

  @Test("what the checkpoint throws ends a request that is waiting")
  func checkpoint() throws {
    struct Stop: Error {}
    let server = try LocalServer { _ in .silence }
    let client = try client()
    let began = ContinuousClock.now
    var calls = 0
    #expect(throws: Stop.self) {
      try client.send(ClientRequest(.get, try client.address(server.url))) {
        calls += 1
        if calls > 3 { throw Stop() }
      }
    }
    #expect(ContinuousClock.now - began < .seconds(10))
  }

  @Test("by default a redirect is an answer; allowed, it is followed within the origin, and so often")
  func redirects() throws {
    let other = try LocalServer { _ in .answer(200, body: [9]) }
    let server = try LocalServer { request in
      switch request.target {
      case "/one": .answer(302, headers: [("Location", "two")])
      case "/two": .answer(200, body: [2])
      case "/loop": .answer(302, headers: [("Location", "/loop")])
      default: .answer(302, headers: [("Location", other.url)])
      }
    }
    #expect(try get(server, "/one").status == 302)
    #expect(try get(server, "/one") { $0.redirects = .sameOrigin(3) }.body == [2])
    #expect(try get(server, "/away") { $0.redirects = .sameOrigin(3) }.status == 302)
    #expect(other.requests.count == 0)
    #expect(try get(server, "/away") { $0.redirects = .anywhere(3) }.body == [9])
    let error = try #require(throws: HTTPClientError.self) {
      try get(server, "/loop") { $0.redirects = .sameOrigin(3) }
    }
    #expect(error.kind == .redirected)
  }

  @Test("a token does not leave with a redirect to another origin")
  func redirectedToken() throws {
    let other = try LocalServer { _ in .answer(200) }
    let server = try LocalServer { _ in .answer(307, headers: [("Location", other.url)]) }
    let client = try client { $0.redirects = .anywhere(1) }
    _ = try client.send(
      ClientRequest(.get, try client.address(server.url), headers: [("Authorization", "Bearer s")]))
    #expect(server.requests[0].headers["authorization"] == "Bearer s")
    #expect(other.requests[0].headers["authorization"] == nil)
  }

  @Test("a POST is never redirected")
  func redirectedPost() throws {
    let server = try LocalServer { _ in .answer(307, headers: [("Location", "/other")]) }
    let client = try client { $0.redirects = .anywhere(5) }
    #expect(try client.send(ClientRequest(.post, try client.address(server.url))).status == 307)
    #expect(server.requests.count == 1)
  }

  @Test("a proxy in the environment is ignored, and one in the options is used")
  func proxy() throws {
    let proxy = try LocalServer { _ in .answer(200, body: [7]) }
    let server = try LocalServer { _ in .answer(200, body: [1]) }
    setenv("http_proxy", proxy.url, 1)
    defer { unsetenv("http_proxy") }
    #expect(try get(server).body == [1])
    #expect(try get(server) { $0.proxy = proxy.url }.body == [7])
    #expect(proxy.requests.map(\.target) == [server.url + "/"])
  }

  @Test("Retry-After is read as seconds and as a date")
  func retryAfter() throws {
    let server = try LocalServer { request in
      .answer(
        503, headers: [("Retry-After", request.target == "/date" ? "Fri, 31 Dec 2199 23:59:59 GMT" : "7")])
    }
    #expect(try get(server).retryAfter == .seconds(7))
    #expect(try #require(try get(server, "/date").retryAfter) > .seconds(3600))
  }

  @Test(
    "only absolute URLs of http and https without user are taken",
    arguments: [
      "", "x", "//a", "/a", "ftp://a/", "file:///etc/passwd", "http://", "http://a:b@c/", "http://a b/",
      "http://a:99999/", "http://ä/", "gopher://a:70/_x", "http://a/\r\nX: y", "javascript:alert(1)",
    ])
  func badAddresses(text: String) throws {
    let client = try client()
    #expect(throws: HTTPClientError.self) { try client.address(text) }
  }

  @Test("origins are compared with default ports, without case, and relative URLs are resolved first")
  func origins() throws {
    let client = try client()
    let base = try client.address("https://Example.org/a/b?c")
    func isSame(_ text: String) throws -> Bool {
      try client.address(text, relativeTo: base).isSameOrigin(as: base)
    }
    for text in ["d", "/d", "?e", "https://EXAMPLE.org:443/", "//example.org/x"] {
      #expect(try isSame(text), "\(text)")
    }
    for text in [
      "http://example.org/", "https://example.org:444/", "//example.com/", "https://example.org.evil.com/",
      "https://evil.com\\@example.org/",
    ] {
      #expect((try? isSame(text)) != true, "\(text)")  // lint: allow, to be refused is right as well
    }
    #expect(try client.address("d", relativeTo: base).text == "https://Example.org/a/d")
    #expect("\(try client.address("https://a/b?secret"))" == "https://a/b")
  }

  @Test("a field that would break out of its line is refused before anything is sent")
  func injectedField() throws {
    let server = try LocalServer { _ in .answer(200) }
    let client = try client()
    for (name, value) in [("X", "a\r\nY: b"), ("X\r\nY", "a"), ("X", "a\u{0}"), ("", "a"), ("X:", "b")] {
      let error = try #require(throws: HTTPClientError.self) {
        try client.send(
          ClientRequest(.get, try client.address(server.url), headers: [(name: name, value: value)]))
      }
      #expect(error.kind == .invalid)
    }
    #expect(server.connectionCount == 0)
  }
}

/// A list that threads add to.
final class LockedList: @unchecked Sendable {
  private let lock = NSLock()
  private var texts: [String] = []

  func append(_ text: String) { lock.withLock { texts.append(text) } }
  var items: [String] { lock.withLock { texts } }
}

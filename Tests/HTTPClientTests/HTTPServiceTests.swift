import LocalServer
import Synchronization
import Testing

@testable import HTTPClient

/// The service with a clock of the test's own, in which waits take no time.
@Suite struct HTTPServiceTests {
  private final class World: Sendable {
    let now = Mutex<Int64>(0)
    let events = Mutex<[HTTPService.Event]>([])
    let calls = Mutex(0)
    let client: HTTPClient

    init() throws { client = try HTTPClient() }

    var time: HTTPService.Time {
      HTTPService.Time(now: { self.now.withLock { $0 } }, pause: { step in self.now.withLock { $0 += step } })
    }
    var breakerChanges: [CircuitBreaker.State.Name] {
      events.withLock { events in
        events.compactMap { if case .breaker(_, let to, _) = $0 { to } else { nil } }
      }
    }
    var retries: Int {
      events.withLock { events in events.count { if case .retry = $0 { true } else { false } } }
    }
  }

  private let world: World
  private let url: WebAddress

  init() throws {
    world = try World()
    url = try world.client.address("http://peer.example/")
  }

  private func service(
    _ retry: RetryPolicy = RetryPolicy(retries: 3), failures: Int = 100,
    _ answer: @escaping @Sendable (Int) throws -> ClientResponse
  ) -> HTTPService {
    HTTPService(
      retry: retry, breaker: .init(failures: failures, open: 1000, longestOpen: 8000, probe: 5000),
      time: world.time,
      send: { [world] _, _, _ in
        let call = world.calls.withLock { calls in
          calls += 1
          return calls
        }
        return try answer(call)
      },
      observe: { [world] event in world.events.withLock { $0.append(event) } })
  }

  private var calls: Int { world.calls.withLock { $0 } }

  @Test("a GET that meets errors of the server is sent again until it is answered")
  func recovers() throws {
    let service = service { [url] in ClientResponse(status: $0 < 4 ? 500 : 200, url: url) }
    #expect(try service.send(ClientRequest(.get, url), within: .seconds(60)).status == 200)
    #expect(calls == 4)
    #expect(world.retries == 3)
  }

  @Test("the last answer is handed out when the retries are used up")
  func givesUp() throws {
    let service = service { [url] _ in ClientResponse(status: 503, url: url) }
    #expect(try service.send(ClientRequest(.get, url), within: .seconds(60)).status == 503)
    #expect(calls == 4)
  }

  @Test("a POST is sent again only if it has an Idempotency-Key")
  func repeatable() throws {
    let service = service { _ in throw HTTPClientError(.broken, "x", wasSent: true) }
    #expect(throws: HTTPClientError.self) {
      try service.send(ClientRequest(.post, url), within: .seconds(60))
    }
    #expect(calls == 1)
    let keyed = ClientRequest(.post, url, headers: [("idempotency-key", "k")])
    #expect(throws: HTTPClientError.self) { try service.send(keyed, within: .seconds(60)) }
    #expect(calls == 5)
  }

  @Test(
    "answers that will not change, and errors that will not pass, are final",
    arguments: [200, 202, 301, 400, 401, 402, 404, 409, 422, 501])
  func final(status: Int) throws {
    let service = service { [url] _ in ClientResponse(status: status, url: url) }
    #expect(try service.send(ClientRequest(.get, url), within: .seconds(60)).status == status)
    #expect(calls == 1)
  }

  @Test("Retry-After is waited for, unless it is too long")
  func retryAfter() throws {
    let service = service(RetryPolicy(retries: 1, longestRetryAfter: .seconds(20))) { [url] call in
      call % 2 == 0
        ? ClientResponse(status: 200, url: url)
        : ClientResponse(status: 429, retryAfter: .seconds(call == 1 ? 7 : 21), url: url)
    }
    #expect(try service.send(ClientRequest(.get, url), within: .seconds(60)).status == 200)
    #expect(world.now.withLock { $0 } == 7000)
    #expect(try service.send(ClientRequest(.get, url), within: .seconds(60)).status == 429)
    #expect(world.now.withLock { $0 } == 7000)
  }

  @Test("no attempt begins after the time for all of them")
  func deadline() throws {
    let service = service(RetryPolicy(retries: 50, base: .seconds(1), limit: .seconds(1))) { [world, url] _ in
      world.now.withLock { $0 += 400 }
      return ClientResponse(status: 500, url: url)
    }
    #expect(try service.send(ClientRequest(.get, url), within: .seconds(5)).status == 500)
    #expect(world.now.withLock { $0 } <= 5400)
    #expect(3...13 ~= calls)
  }

  @Test("an error after an attempt that may have arrived says so, whatever the last attempt met")
  func mayHaveArrived() throws {
    let service = service(RetryPolicy(retries: 1)) { call in
      throw HTTPClientError(call == 1 ? .timedOut : .unreachable, "x", wasSent: call == 1)
    }
    let keyed = ClientRequest(.post, url, headers: [("Idempotency-Key", "k")])
    let error = try #require(throws: HTTPClientError.self) {
      try service.send(keyed, within: .seconds(60))
    }
    #expect(error.kind == .unreachable)
    #expect(error.wasSent)
  }

  @Test("a peer that fails again and again is left alone, then probed once, then trusted again")
  func breaker() throws {
    let isWell = Mutex(false)
    let service = HTTPService(
      retry: RetryPolicy(retries: 0), breaker: .init(failures: 2, open: 1000), time: world.time,
      send: { [world, url] _, _, _ in
        world.calls.withLock { $0 += 1 }
        return ClientResponse(status: isWell.withLock { $0 } ? 200 : 500, url: url)
      },
      observe: { [world] event in world.events.withLock { $0.append(event) } })
    let request = ClientRequest(.get, url)
    for _ in 0..<2 { _ = try service.send(request, within: .seconds(1)) }
    let refusal = try #require(throws: HTTPService.Unavailable.self) {
      try service.send(request, within: .seconds(1))
    }
    #expect(refusal.retryAfter == .seconds(1))
    #expect(calls == 2)
    world.now.withLock { $0 += 1000 }
    _ = try service.send(request, within: .seconds(1))
    #expect(calls == 3)
    #expect(throws: HTTPService.Unavailable.self) { try service.send(request, within: .seconds(1)) }
    isWell.withLock { $0 = true }
    world.now.withLock { $0 += 2000 }
    #expect(try service.send(request, within: .seconds(1)).status == 200)
    #expect(world.breakerChanges == [.open, .halfOpen, .open, .halfOpen, .closed])
  }

  @Test("a breaker that opens between attempts does not hide that one may have arrived")
  func opensBetween() throws {
    let service = service(failures: 2) { _ in throw HTTPClientError(.timedOut, "x", wasSent: true) }
    let keyed = ClientRequest(.post, url, headers: [("Idempotency-Key", "k")])
    let error = try #require(throws: HTTPClientError.self) {
      try service.send(keyed, within: .seconds(60))
    }
    #expect(error.wasSent)
    #expect(calls == 2)
  }

  @Test("what the caller gives up is not held against the peer")
  func givenUp() throws {
    struct Stop: Error {}
    let service = service(failures: 1) { _ in throw Stop() }
    for _ in 0..<5 {
      #expect(throws: Stop.self) { try service.send(ClientRequest(.get, url), within: .seconds(1)) }
    }
    #expect(service.state == .closed(failures: 0))
  }

  @Test("a real server that fails twice is asked three times")
  func real() throws {
    let server = try LocalServer { .answer($0.number < 3 ? 500 : 200, body: [UInt8($0.number)]) }
    let client = try HTTPClient()
    let service = HTTPService(client, retry: RetryPolicy(base: .milliseconds(1)), breaker: .init())
    let request = ClientRequest(.get, try client.address(server.url))
    #expect(try service.send(request, within: .seconds(20)).body == [3])
  }
}

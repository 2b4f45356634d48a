import PluginAPI
import PluginTesting
import Synchronization
import Testing

/// Writes its pieces one a pull, and says when it is gone.
private final class Pieces: StreamSource {
  private let pieces: [[UInt8]]
  private let next = Mutex(0)
  private let isReleased: Released

  init(_ pieces: [[UInt8]], _ isReleased: Released) {
    self.pieces = pieces
    self.isReleased = isReleased
  }

  deinit { isReleased.flag.withLock { $0 += 1 } }

  func pull(_ writer: borrowing StreamWriter) throws -> StreamStep {
    let index = next.withLock { next in
      defer { next += 1 }
      return next
    }
    guard index < pieces.count else { return .end }
    try writer.write(pieces[index])
    return index.isMultiple(of: 2) ? .more : .later(.milliseconds(1))
  }
}

private final class Released: Sendable {
  let flag = Mutex(0)
  var count: Int { flag.withLock { $0 } }
}

@Suite("Streams")
struct StreamTests {
  private func host(_ pieces: [[UInt8]], _ released: Released) throws -> InProcessHost {
    try ProbeActions.$current.withValue(
      ProbeActions(routes: { routes in
        routes.get("s", access: .public) { _ in
          Response(status: 201, headers: [("X-A", "1")], body: .stream(Pieces(pieces, released)))
        }
      })
    ) { try InProcessHost(.of(Probe<NoSettings>.self), mount: "/p") }
  }

  @Test("a stream is pulled to its end, and released once")
  func whole() throws {
    let released = Released()
    let answer = try host([[1], [2, 3], [], [4]], released).send("GET", "/p/s")
    #expect(answer.status == 201)
    #expect(answer.header("X-A") == "1")
    #expect(answer.body == [1, 2, 3, 4])
    #expect(released.count == 1)
  }

  @Test("more than 1 MiB in one pull is refused, and cuts the stream")
  func tooMuch() throws {
    let released = Released()
    let host = try host(
      [[UInt8](repeating: 1, count: 1 << 20), [UInt8](repeating: 1, count: 1 << 20 + 1)], released)
    #expect(
      throws: PluginFault(phase: .stream, message: HostRefusal.write(byteCount: 1 << 20 + 1).description)
    ) {
      try host.send("GET", "/p/s")
    }
    #expect(released.count == 1)
  }

  @Test("only a handler's response may be a stream")
  func outsideHandler() throws {
    let released = Released()
    let actions = ProbeActions(request: { _ in Response(body: .stream(Pieces([], released))) })
    try ProbeActions.$current.withValue(actions) {
      let host = try InProcessHost(.of(Probe<NoSettings>.self))
      #expect(throws: PluginFault(phase: .request, message: HostRefusal.stream.description)) {
        try host.send("GET", "/x")
      }
      #expect(released.count == 1)
    }
  }
}

import Testing

@testable import bulkhead

@Suite("Fault messages")
struct FaultMessageTests {
  @Test("what a plugin says of its fault is kept, and no more of it than a record has room for")
  func bounded() throws {
    let host = try TestHost(ActorPlugin.section("app", "Actor", "mount = /app", "recover = never"))
    _ = try host.send("GET", "/app/open", [ActorPlugin.act("app", "request", "fault out-of-order")])
    #expect(host.worker.faults.last(of: "app")?.message == "out-of-order")
    let table = HostTable.shared.pointee
    let plugin = host.plugin("app")
    let long = String(repeating: "x", count: 1 << 20)
    long.withBytes { table.set_error(plugin.handle, nil, $0) }
    #expect(plugin.takeError()?.utf8.count == 4096)
    #expect(plugin.takeError() == nil)
  }

  @Test("many threads may state errors at once")
  func race() throws {
    let host = try TestHost(ActorPlugin.section("app", "Actor", "mount = /app"))
    let plugin = host.plugin("app")
    let pool = try (0..<4).map { _ in
      try Helper { for number in 0..<5000 { plugin.noteError("error \(number)") } }
    }
    for helper in pool { try helper.join() }
    #expect(plugin.takeError() != nil)
  }

  /// A thread of the test's.
  private final class Helper: Sendable {
    private let done = DoneFlag()

    init(_ body: @escaping @Sendable () -> Void) throws {
      let done = done
      guard
        bulkhead.Thread.start(
          named: "helper",
          {
            body()
            done.set()
          })
      else { throw TestFailure("no thread") }
    }

    func join() throws { try wait(for: "a helper") { done.isSet } }
  }
}

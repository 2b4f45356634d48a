import Foundation
import Testing

@testable import bulkhead

@Suite("Recent requests")
struct RecentRequestsTests {
  private func exchange(_ path: String) -> Exchange {
    let x = Exchange(limits: .init())
    x.request.pointee.path = x.arena.copy(path)
    x.request.pointee.method_name = bh_bytes("GET")
    x.request.pointee.request_id = bh_bytes("id")
    x.status = 200
    return x
  }

  @Test("the latest are kept, each once; what is too long is cut")
  func latest() {
    let recent = RecentRequests()
    for number in 0..<(RecentRequests.capacity * 2 + 5) {
      recent.record(exchange("/\(number)"), nanoseconds: UInt64(number), realtime: Int64(number))
    }
    let found = recent.snapshot().map { Int($0.nanoseconds) }.sorted()
    #expect(found == Array((RecentRequests.capacity + 5)..<(RecentRequests.capacity * 2 + 5)))
    recent.record(exchange("/" + String(repeating: "x", count: 500)), nanoseconds: 1, realtime: .max)
    #expect(recent.snapshot().first { $0.realtime == .max }?.path.string.count == 128)
  }

  @Test("a reader sees whole records only, while others are written")
  func wholeOnly() {
    let recent = RecentRequests()
    let texts = (0..<8).map { String(repeating: "\($0)", count: 100 + $0) }
    let exchanges = texts.map { exchange($0) }
    let box = Box(recent, exchanges)
    let done = DispatchSemaphore(value: 0)
    Thread.detachNewThread {
      for round in 0..<200_000 {
        box.recent.record(
          box.exchanges[round % 8], nanoseconds: UInt64(round % 8), realtime: Int64(round % 8))
      }
      done.signal()
    }
    var seen = 0
    while done.wait(timeout: .now()) == .timedOut {
      for record in recent.snapshot() {
        seen += 1
        let number = Int(record.nanoseconds)
        if record.path.string != texts[number] || record.realtime != Int64(number) {
          Issue.record("a torn record: \(number), \(record.path.string)")
          _ = done.wait(timeout: .now() + 10)
          return
        }
      }
    }
    #expect(seen > 0)
  }

  private final class Box: @unchecked Sendable {
    let recent: RecentRequests
    let exchanges: [Exchange]
    init(_ recent: RecentRequests, _ exchanges: [Exchange]) {
      self.recent = recent
      self.exchanges = exchanges
    }
  }
}

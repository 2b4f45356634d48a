import PluginAPI
import PluginTesting
import Synchronization
import Testing

/// Notes which of its timers fired, in their order.
private final class Clockwork: Router {
  static let plugin = PluginDescription(name: "clockwork", version: "1.0.0", summary: "Has timers")
  static let fired = Mutex<[String]>([])

  struct Settings: PluginSettings {
    var count: Int
    static let schema = [Setting("count", .integer, default: "2", help: "how many timers")]
  }

  struct Broken: Error, CustomStringConvertible {
    var description: String { "a spring broke" }
  }

  init(_ start: Start<Settings>) throws {
    let once = try start.host.timer { Self.fired.withLock { $0.append("once") } }
    let often = try start.host.timer {
      Self.fired.withLock { $0.append("often") }
      once.cancel()
      if Self.fired.withLock({ $0.count }) == 4 { throw Broken() }
    }
    for _ in 2..<start.settings.count { _ = try start.host.timer {} }
    once.start(after: .seconds(1))
    often.start(after: .seconds(1), every: .seconds(10))
  }

  func routes(_ routes: inout Routes) {}
}

@Suite("Timers of a plugin", .serialized)
struct TimerTests {
  @Test("each fires in its time, not before it was let pass, and not when it was cancelled")
  func inTime() throws {
    Clockwork.fired.withLock { $0 = [] }
    let host = try InProcessHost(PluginTable.of(Clockwork.self))
    #expect(Clockwork.fired.withLock { $0 } == [])
    try host.advance(by: .milliseconds(999))
    #expect(Clockwork.fired.withLock { $0 } == [])
    try host.advance(by: .milliseconds(1))
    #expect(Clockwork.fired.withLock { $0 } == ["once", "often"])
    try host.advance(by: .seconds(10))
    #expect(Clockwork.fired.withLock { $0 } == ["once", "often", "often"])
  }

  @Test("what one throws is the plugin's fault")
  func throwing() throws {
    Clockwork.fired.withLock { $0 = ["before", "before"] }
    let host = try InProcessHost(PluginTable.of(Clockwork.self))
    #expect(throws: PluginFault(phase: .timer, message: "a spring broke")) {
      try host.advance(by: .seconds(1))
    }
  }

  @Test("a plugin has 64 at most")
  func tooMany() throws {
    _ = try InProcessHost(PluginTable.of(Clockwork.self), settings: ["count": "64"])
    #expect(throws: StartFailure.startFailed("\(HostRefusal.timer)")) {
      try InProcessHost(PluginTable.of(Clockwork.self), settings: ["count": "65"])
    }
  }
}

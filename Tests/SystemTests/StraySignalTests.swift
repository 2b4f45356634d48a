import PluginTesting
import Testing

/// Signals by a plugin's doing.
@Suite("A plugin that sends signals")
struct StraySignalTests {
  @Test("a timer's signal and its like end no worker, and are told of")
  func stray() throws {
    let wild = try WildHost()
    let worker = try wild.host.worker()
    #expect(try wild.outcome(of: "send-signals") == "sent")
    #expect(try wild.host.worker() == worker)
    try wait("the log") { wild.host.log.contains("came to the worker, by a plugin's doing") }
    #expect(try wild.host.stop() == .exited(0))
  }

  @Test("a worker does not stop its host")
  func endsHost() throws {
    let wild = try WildHost()
    #expect(try wild.outcome(of: "end-host") == "sent")
    try wait("the log") { wild.host.log.contains("signal 15 of generation 1 is ignored") }
    #expect(try wild.host.get("/other/echo").status == 200)
    #expect(try wild.host.stop() == .exited(0), "the operator does")
  }
}

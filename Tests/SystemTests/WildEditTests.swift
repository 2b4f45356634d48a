import Foundation
import PluginTesting
import Synchronization
import Testing

/// Edits of every kind in any order, by seed, while clients go on asking.
@Suite("Wild edits", .serialized, .everyTree)
struct WildEditTests {
  private static let questions: [WatchfulLoad.Question] =
    ["app", "keep"].map { plugin in
      WatchfulLoad.Question(target: "/\(plugin)/echo") { answer in
        guard answer.status == 200 else { return "not 200" }
        let own = answer.json["tag"].string ?? ""
        guard own.hasPrefix(plugin + "-"), own.hasSuffix(WildFiles.end) else { return "its tag is \(own)" }
        // The middleware before `app`, and `keep` itself.
        let tags = answer.all("X-Fault-Tag")
        let expected = plugin == "app" ? "gate-" : "keep-"
        return tags.contains { $0.hasPrefix(expected) && $0.hasSuffix(WildFiles.end) }
          ? nil : "no tag \(expected)"
      }
    } + [
      question("/plain/items/1", 200), question("/health", 200), question("/health/ready", 200),
      question("/nowhere", 404),
    ]

  private static func question(_ target: String, _ status: Int) -> WatchfulLoad.Question {
    WatchfulLoad.Question(target: target) { answer in
      guard answer.status == status else { return "not \(status)" }
      return answer.header("Access-Control-Allow-Origin") == Origin.own ? nil : "no CORS"
    }
  }

  @Test(
    "200 random edits: nothing that was served is answered otherwise, and the last good file is active at last"
  )
  func edits() throws {
    let seed =
      ProcessInfo.processInfo.environment["BULKHEAD_SEED"].flatMap { UInt64($0) } ?? .random(in: 1 ... .max)
    print("wild edits, seed \(seed)")
    let storm = try EditStorm(seed: seed, asking: WildEditTests.questions)
    do {
      try storm.run(edits: ReleaseBuild.isInstalled ? 60 : 200)
      try storm.expectCalm()
      try storm.expectNothingLeft()
    } catch {
      Issue.record("\(storm.account(of: error))")
      return
    }
    let counts = storm.load.end()
    print("\(counts) of \(storm.steps.count) steps")
    #expect(counts.served > storm.steps.count)
    #expect(storm.load.failures == [], "\(storm.account(of: nil))")
    #expect(try storm.host.stop() == .exited(0))
  }
}

import Foundation
import PluginTesting
import Testing

/// A thread that is frozen for good keeps what it held: a heap's lock, a mutex, a database's lock.
@Suite("A plugin that dies with a lock in its hands", .serialized)
struct HeldLockTests {
  private let directory: TemporaryDirectory
  private let victim: String

  init() throws {
    directory = try TemporaryDirectory()
    victim = try BrokenPlugin.compile("dies-with-a-lock", in: directory, links: ["sqlite3"])
  }

  private func section(_ lines: String...) -> String {
    Section.plugin(
      "victim", library: victim, ["mount = /victim", "recover = never", "timeout = 500ms"] + lines)
  }

  private func load(on host: HostProcess) throws -> SteadyLoad {
    try SteadyLoad(
      on: host.endpoints[0], clients: 16, turns: [SteadyLoad.get("/other/echo"), SteadyLoad.get("/health")])
  }

  /// The victim, and nobody else, is named; the worker with the frozen thread ends without being killed.
  private func settle(_ host: HostProcess, _ before: pid_t) throws {
    let plugin = try host.waitFor(plugin: "victim", state: "quarantined")
    #expect(plugin["reason"].string == "crashed", "\(plugin)")
    try wait("the worker with the frozen thread to end", within: .seconds(20)) {
      !RunningProcess.exists(before)
    }
    #expect(try host.worker().pid != before)
    #expect(try host.plugin("other")["faults"].int == 0)
    #expect(try host.command("release", "victim").status == .exited(0))
    try wait("the victim to be back") { try host.get("/victim/wait").status == 200 }
  }

  @Test(
    "a heap's: orders are obeyed, nobody's request fails, nobody's connection closes",
    arguments: ["main-heap", "own-heap"])
  func heap(kind: String) throws {
    let host = try HostProcess(
      HostSettings(plugins: section() + Section.fault("other", mount: "/other", "paths = /other")))
    let load = try load(on: host)
    for round in 1...5 {
      let before = try host.worker().pid
      let answer = try host.get("/victim/\(kind)")
      #expect(
        answer.status == 503 && answer.json["code"].string == "plugin-fault", "\(round): \(answer.text)")
      try settle(host, before)
    }
    let (served, failures) = load.end()
    #expect(failures == [])
    #expect(served > 500)
  }

  @Test("a mutex of its own: those who wait for it are answered, and hold up nobody for long")
  func mutex() throws {
    let host = try HostProcess(
      HostSettings(plugins: section() + Section.fault("other", mount: "/other", "paths = /other")))
    let load = try load(on: host)
    let endpoint = host.endpoints[0]
    for _ in 1...3 {
      let before = try host.worker().pid
      // All at once: some are in the plugin already when it falls.
      let answers = try onThreads(9) { index in
        try HTTPConnection(endpoint).request("GET", index == 4 ? "/victim/mutex" : "/victim/wait").status
      }
      #expect(answers.contains(503))
      #expect(answers.allSatisfy { [200, 503, 504].contains($0) }, "\(answers)")
      try settle(host, before)
    }
    let (served, failures) = load.end()
    #expect(failures == [])
    #expect(served > 500)
  }

  @Test("a database's: its neighbour writes again as soon as the worker with the frozen thread is gone")
  func database() throws {
    let shop = try ShippedConfiguration.start { text in
      let database = text.split(separator: "\n").first { $0.hasPrefix("state-dir") }.map {
        "\($0.dropFirst("state-dir = ".count))/domain.sqlite3"
      }
      return text + "\n" + section("database = \(database ?? "")")
        + Section.fault("other", mount: "/other", "paths = /other")
    }
    let user = try Shop(host: shop).register()
    #expect(try Shop(host: shop).balance(of: user) == 100)
    // Built in, and not limited.
    let load = try SteadyLoad(on: shop.endpoints[0], clients: 16, turns: [SteadyLoad.get("/health")])
    for round in 1...3 {
      let before = try shop.worker().pid
      let answer = try shop.get("/victim/database")
      #expect(answer.json["code"].string == "plugin-fault", "\(round): \(answer.text)")
      try wait("the worker with the frozen thread to end", within: .seconds(20)) {
        !RunningProcess.exists(before)
      }
      let project = try shop.send(
        "POST", "/api/v1/projects", json: #"{"name":"After the fall \#(round)"}"#, headers: [user.bearer])
      #expect(project.status == 201, "\(round): \(project.text)")
      try settle(shop, before)
    }
    let (served, failures) = load.end()
    #expect(failures == [])
    #expect(served > 500)
  }
}

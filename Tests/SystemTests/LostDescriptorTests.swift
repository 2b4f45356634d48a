import PluginTesting
import Testing

/// Plugins that close, shut or shorten what is not theirs.
@Suite("A plugin that spoils the worker's descriptors")
struct LostDescriptorTests {
  @Test("the memory that all share cannot be shortened under the supervisor")
  func shortened() throws {
    let wild = try WildHost()
    #expect(try wild.outcome(of: "truncate-all") == "refused")
    #expect(try wild.host.get("/other/echo").status == 200)
    #expect(try wild.host.command("status").status == .exited(0))
    #expect(try wild.host.stop() == .exited(0))
  }

  @Test(
    "a worker that cannot hear, or not accept, any more is replaced, and all are served",
    arguments: ["close-epoll", "close-eventfd", "replace-eventfds", "close-listeners", "limit-descriptors"])
  func replaced(deed: String) throws {
    let wild = try WildHost()
    let generation = try WildHost.generation(of: wild.host)
    WildHost.doAtAnyCost(deed, on: wild.host)
    if deed == "close-listeners" || deed == "limit-descriptors" {
      // It is noticed when somebody comes, who is not refused.
      #expect(try wild.host.get("/other/echo").status == 200)
    }
    try wild.waitForSuccessor(of: generation)
    #expect(try wild.host.get("/other/echo").status == 200)
    #expect(try wild.host.plugin("other")["state"].string == "active")
    let plugin = try wild.host.plugin("wild")
    #expect(plugin["state"].string == "active" || plugin["reason"].string == "tampered", "\(plugin)")
  }

  @Test("who closes what loops wait with is named the second time, whichever worker meets it")
  func named() throws {
    let wild = try WildHost()
    for _ in 0..<2 {
      let generation = try WildHost.generation(of: wild.host)
      WildHost.doAtAnyCost("close-epoll", on: wild.host)
      try wild.waitForSuccessor(of: generation)
    }
    let plugin = try wild.host.waitFor(plugin: "wild", state: "quarantined")
    #expect(plugin["reason"].string == "tampered")
    #expect(try wild.recorded()["message"].string?.contains("which is the host's") == true)
    #expect(try wild.host.plugin("other")["state"].string == "active")
    #expect(try wild.host.get("/other/echo").status == 200)
  }

  @Test("a listening socket that was shut down for all is opened anew", arguments: ["127.0.0.1:0", "unix"])
  func shut(address: String) throws {
    let directory = try TemporaryDirectory()
    let library = try WildHost.library(in: directory)
    let listen = address == "unix" ? "unix:\(directory.path)/socket" : address
    let host = try HostProcess(
      HostSettings(listen: [listen], plugins: Section.plugin("wild", library: library, ["mount = /wild"])),
      in: directory)
    let generation = try WildHost.generation(of: host)
    #expect(try host.get("/wild/do/shut-listeners").text == "lost")
    try wait("another worker") { try WildHost.generation(of: host) > generation }
    try wait("an answer") {
      (try? host.get("/health").status) == 200  // lint: allow, refused until it listens again
    }
    #expect(try host.command("reload").status == .exited(0))
    #expect(try host.get("/health").status == 200)
    #expect(try host.stop() == .exited(0))
  }
}

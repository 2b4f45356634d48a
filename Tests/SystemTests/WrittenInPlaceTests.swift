import Foundation
import PluginTesting
import Testing

/// Libraries that are written over while they serve, as `cp` and `cat` do: what runs is mapped from copies.
@Suite("Libraries written over in place", .everyTree)
struct WrittenInPlaceTests {
  /// What goes wrong with a library's file, done by the shell: `$0` is the library, `$1` another one.
  enum Writing: String, CaseIterable, Sendable {
    case copied = "cp \"$1\" \"$0\""
    case poured = "cat \"$1\" > \"$0\""
    case emptied = ": > \"$0\""
    case spoilt = "dd if=/dev/urandom of=\"$0\" bs=4096 count=64 conv=notrunc"
    case halved = "head -c 30000 \"$1\" > \"$0\""
  }

  /// A host with a router and a middleware whose libraries are the test's own, and proven good.
  private func start() throws -> (host: HostProcess, router: String, cors: String) {
    let directory = try TemporaryDirectory()
    let router = try directory.copyLibrary("FaultPlugin", as: "libRouter.so")
    let cors = try directory.copyLibrary("CORSPlugin", as: "libCORS.so")
    let host = try HostProcess(
      HostSettings(
        plugins: Section.plugin(
          "cors", library: cors, ["origins = https://velro.ai", "probation = 300ms"])
          + Section.plugin(
            "fault", library: router, ["mount = /fault", "probation = 300ms"])),
      in: directory)
    for name in ["cors", "fault"] {
      let digest = try #require(try host.plugin(name)["sha256"].string)
      try wait("\(name) to be good") {
        FileManager.default.fileExists(atPath: "\(host.stateDirectory)/good/\(digest)")
      }
    }
    return (host, router, cors)
  }

  /// Clients of the router, with the middleware's headers.
  private func load(on host: HostProcess) throws -> SteadyLoad {
    try SteadyLoad(
      on: host.endpoints[0], clients: 4,
      turns: [
        { connection in
          let answer = try connection.request("GET", "/fault/echo", headers: [("Origin", Origin.own)])
          usleep(2000)
          guard answer.status == 200 else { return "answered \(answer.status): \(answer.text)" }
          if answer.header("Connection")?.lowercased() == "close" { return "the connection is closed" }
          return answer.header("Access-Control-Allow-Origin") == Origin.own ? nil : "without CORS"
        }
      ])
  }

  private func write(_ writing: Writing, over library: String, from other: String) throws {
    let result = try ReleaseBuild.run("/bin/sh", ["-ec", writing.rawValue, library, other])
    try #require(result.status == .exited(0), "\(result)")
  }

  /// True once the host has looked at the file, and has either taken it or gone on without.
  private func isJudged(_ name: String, in host: HostProcess, before: String?) throws -> Bool {
    let plugin = try host.plugin(name)
    return plugin["rolled_back"] != .null || plugin["sha256"].string != before
  }

  @Test(
    "whatever is written over a library that serves, no request fails and no connection is closed",
    arguments: Writing.allCases)
  func underLoad(writing: Writing) throws {
    let (host, router, cors) = try start()
    let load = try load(on: host)
    for (name, library, other) in [("cors", cors, "RateLimitPlugin"), ("fault", router, "FaultPlugin")] {
      let before = try host.plugin(name)["sha256"].string
      let source = try host.directory.copyLibrary(other, as: "libOther.so", mark: "another build")
      try write(writing, over: library, from: source)
      try wait("\(name) to be judged", within: .seconds(30)) { try isJudged(name, in: host, before: before) }
      #expect(try host.plugin(name)["state"].string == "active")
    }
    let (served, failures) = load.end()
    #expect(failures == [])
    #expect(served > 20)
  }

  @Test("cp over a library is a release like any other: it is taken, and the next one too")
  func released() throws {
    let (host, router, _) = try start()
    let load = try load(on: host)
    for round in 1...3 {
      let before = try host.plugin("fault")["sha256"].string
      let next = try host.directory.copyLibrary("FaultPlugin", as: "libNext.so", mark: "round \(round)")
      try write(.copied, over: router, from: next)
      try wait("round \(round)") { try host.plugin("fault")["sha256"].string != before }
      #expect(try host.plugin("fault")["rolled_back"] == .null)
    }
    #expect(load.end().failures == [])
  }

  @Test("nothing is mapped from the files that the configuration names, before a swap and after it")
  func mapped() throws {
    let (host, router, cors) = try start()
    for round in 1...2 {
      let before = try host.plugin("fault")["sha256"].string
      let files = RunningProcess.mappedFiles(ofFamily: host.process.pid)
      #expect(files.isDisjoint(with: [router, cors]), "\(files)")
      #expect(files.contains { $0.hasSuffix("/libRouter.so") }, "\(files)")
      for place in ReleaseBuild.tree.forbidden {
        #expect(!files.contains { $0.hasPrefix(place + "/") }, "\(files)")
      }
      let next = try host.directory.copyLibrary("FaultPlugin", as: "libNext.so", mark: "round \(round)")
      try write(.copied, over: router, from: next)
      try wait("the swap") { try host.plugin("fault")["sha256"].string != before }
    }
  }
}

/// State directories that libraries cannot be loaded from.
@Suite(
  "A state directory that cannot hold libraries", .everyTree,
  .enabled(if: MountNamespace.isAvailable, "needs mount namespaces"))
struct MemoryCopyTests {
  enum Fault: String, CaseIterable, Sendable {
    case noexec
    case readOnly = "ro"
    case full = "size=64k"
  }

  private func start(_ fault: Fault) throws -> (host: HostProcess, library: String) {
    let directory = try TemporaryDirectory()
    let library = try directory.copyLibrary("FaultPlugin", as: "libFaultPlugin.so")
    let state = directory.path + "/state"
    try FileManager.default.createDirectory(atPath: state, withIntermediateDirectories: false)
    var tree = ReleaseBuild.tree
    tree.launcher += try #require(MountNamespace.launcher([(fault.rawValue, state)]))
    let settings = HostSettings(
      plugins: Section.plugin("fault", library: library, ["mount = /fault", "probation = 300ms"]))
    return (try ReleaseBuild.$tree.withValue(tree) { try HostProcess(settings, in: directory) }, library)
  }

  @Test("libraries are mapped from memory, and the log says so once", arguments: Fault.allCases)
  func memory(fault: Fault) throws {
    let (host, library) = try start(fault)
    let connection = try host.connect()
    let before = try host.plugin("fault")["sha256"].string
    for round in 1...2 {
      let files = RunningProcess.mappedFiles(ofFamily: host.process.pid)
      #expect(!files.contains(library), "\(files)")
      #expect(files.contains { $0.hasPrefix("/memfd:libFaultPlugin.so") }, "\(files)")
      let bytes = try Data(contentsOf: URL(fileURLWithPath: library))
      let handle = try #require(FileHandle(forWritingAtPath: library))
      try handle.truncate(atOffset: 0)
      #expect(try connection.request("GET", "/fault/echo").status == 200)
      try handle.write(contentsOf: bytes + Data("round \(round)".utf8))
      try handle.close()
      try wait("the new library") {
        #expect(try connection.request("GET", "/fault/echo").status == 200)
        return try host.plugin("fault")["sha256"].string != before
      }
    }
    let lines = host.log.split(separator: "\n")
    #expect(lines.count { $0.contains("copies of libraries are held in memory") } == 1, "\(host.log)")
  }

  @Test("a backtrace names library and function all the same", arguments: Fault.allCases)
  func backtrace(fault: Fault) throws {
    let (host, _) = try start(fault)
    #expect(try host.get("/fault/echo", headers: [("X-Fault", "trap")]).status == 503)
    let plugin = try host.waitFor(plugin: "fault", state: "quarantined")
    let frames = plugin["last_fault"]["backtrace"].array.compactMap(\.string)
    #expect(
      frames.contains { $0.contains("FaultPlugin.Fault.happen") && $0.hasSuffix("in libFaultPlugin.so") },
      "\(plugin)")
  }

  @Test("a roll-back goes to a good copy that nothing can be mapped from where it lies")
  func rollBack() throws {
    let (host, library) = try start(.noexec)
    let digest = try #require(try host.plugin("fault")["sha256"].string)
    // Its probation; where its copy is kept nobody sees from here.
    usleep(600_000)
    let load = try SteadyLoad(on: host.endpoints[0], clients: 2, turns: [SteadyLoad.get("/fault/echo")])
    try Data("no library at all".utf8).write(to: URL(fileURLWithPath: library))
    try wait("the roll-back") { try host.plugin("fault")["rolled_back"]["to"].string == digest }
    #expect(try host.plugin("fault")["state"].string == "active")
    #expect(load.end().failures == [])
  }
}

import Foundation
import PluginTesting
import Testing

/// The command line: exit codes and what is printed.
@Suite("The command")
struct CommandTests {
  private func check(_ settings: HostSettings, _ arguments: String...) throws -> CommandResult {
    let directory = try TemporaryDirectory()
    let path = try directory.write("plugins.conf", settings.text(stateDirectory: directory.path + "/state"))
    return try ReleaseBuild.run(["check", "--config", path] + arguments)
  }

  @Test(
    "wrong usage ends with 64, and says what is right",
    arguments: [
      [], ["frobnicate"], ["run", "--confg", "x"], ["run", "--config"], ["check", "extra"], ["describe"],
      ["version", "--loud"], ["bypass", "some"],
    ])
  func usage(arguments: [String]) throws {
    let result = try ReleaseBuild.run(arguments)
    #expect(result.status == .exited(64), "\(arguments): \(result)")
    #expect(!result.errors.isEmpty)
    #expect(result.output.isEmpty)
  }

  @Test(
    "--help is everywhere, on standard output, with 0",
    arguments: [
      "run", "check", "status", "reload", "stop", "quarantine", "release", "bypass", "drain", "log-level",
      "faults",
      "describe", "version",
    ])
  func help(command: String) throws {
    let result = try ReleaseBuild.run([command, "--help"])
    #expect(result.status == .exited(0), "\(result)")
    #expect(result.output.contains(command))
    #expect(try ReleaseBuild.run(["--help"]).output.contains(command))
  }

  @Test("version, for people and as JSON")
  func version() throws {
    let plain = try ReleaseBuild.run(["version"])
    #expect(plain.status == .exited(0))
    #expect(plain.output.hasPrefix("bulkhead "))
    let json = try ReleaseBuild.run(["version", "--json"])
    #expect(json.status == .exited(0))
    #expect(try JSONValue(parsing: Array(json.output.utf8))["version"].string?.isEmpty == false)
  }

  @Test("a bad configuration ends with 78, and every error in it is listed with its line")
  func badConfiguration() throws {
    let directory = try TemporaryDirectory()
    let path = try directory.write(
      "plugins.conf",
      """
      [host]
      lisen = 127.0.0.1:0
      max-body = lots
      head-timeout = soon

      [cors]
      origins = https://*

      [plugin a]
      on-failure = sometimes

      [plugin a]
      library = FaultPlugin
      [pluggin b]
      """)
    for command in ["run", "check"] {
      let result = try ReleaseBuild.run([command, "--config", path])
      #expect(result.status == .exited(command == "run" ? 78 : 1), "\(result)")
      let said = result.errors + result.output
      for (line, word) in [
        (2, "listen"), (3, "max-body"), (4, "head-timeout"), (10, "closed"), (14, "plugin"),
      ] {
        #expect(said.contains("plugins.conf:\(line)"), "line \(line) in: \(said)")
        #expect(said.contains(word), "\(word) in: \(said)")
      }
    }
  }

  @Test("a configuration that is not there: 78 from run, 1 from check")
  func noConfiguration() throws {
    let run = try ReleaseBuild.run(["run", "--config", "/nonexistent/plugins.conf"])
    #expect(run.status == .exited(78))
    #expect(run.errors.contains("/nonexistent/plugins.conf"))
    #expect(try ReleaseBuild.run(["check", "--config", "/nonexistent/plugins.conf"]).status == .exited(1))
  }

  @Test("check loads every plugin in a child: 0 if all are well, 1 with each problem if not")
  func checks() throws {
    let good = try check(HostSettings(plugins: Section.fault()))
    #expect(good.status == .exited(0), "\(good)")
    let directory = try TemporaryDirectory()
    let deadly = try BrokenPlugin.compile("dies-in-constructor", in: directory)
    let bad = try check(
      HostSettings(
        plugins: Section.plugin("one", library: deadly, []) + Section.plugin("two", library: "Nowhere", [])
          + Section.fault("three", mount: "/three", "phaes = start")))
    #expect(bad.status == .exited(1))
    let said = bad.output + bad.errors
    for word in ["one", "two", "libNowhere.so", "phaes"] {
      #expect(said.contains(word), "\(word) in: \(said)")
    }
    let json = try check(HostSettings(plugins: Section.fault()), "--json")
    #expect(json.status == .exited(0))
    #expect(throws: Never.self, "\(json.output)") { try JSONValue(parsing: Array(json.output.utf8)) }
  }

  @Test(
    "check shows, with its line, what a shipped plugin would refuse at its start",
    arguments: [
      ("CORSPlugin", ["origins = *", "credentials = true"], 7, "any site could act as the signed-in user"),
      (
        "CORSPlugin", ["origins = https://a.example", "policy = /x origins=null credentials=true"], 10,
        "policy = /x"
      ),
      ("RateLimitPlugin", ["limit = 5/1m", "limit = /x 0/1m"], 10, "\"0/1m\" is no rate"),
      ("RateLimitPlugin", ["limit = 5/1m", "store = mysql://x"], 10, "redis://HOST:PORT"),
      ("AuthPlugin", ["mount = /auth", "secret = short"], 10, "has 5 bytes"),
      ("AuthPlugin", ["mount = /auth", "public-key = RS256 /nowhere.pem"], 10, "/nowhere.pem"),
      ("DomainRoutes", ["mount = /api", "redeem-code = A"], 10, "the amount is missing"),
      ("DomainRoutes", ["mount = /api", "payment-provider = http"], 7, "payment-endpoint"),
      ("DomainRoutes", ["mount = /api", "signup-credits = -5"], 10, "is not within"),
    ])
  func settings(library: String, lines: [String], line: Int, words: String) throws {
    let directory = try TemporaryDirectory()
    let text =
      "[host]\nlisten = 127.0.0.1:0\nstate-dir = \(directory.path)/state\n"
      + "plugin-path = \(ReleaseBuild.pluginPath)\n\n\n[plugin one]\nlibrary = \(library)\n"
      + lines.joined(separator: "\n") + "\n"
    let path = try directory.write("plugins.conf", text)
    let result = try ReleaseBuild.run(["check", "--config", path])
    #expect(result.status == .exited(1), "\(result)")
    #expect(result.output.hasPrefix("\(path):\(line): [plugin one] "), "\(result)")
    #expect(result.output.contains(words), "\(result)")
    #expect(result.output.hasSuffix("\n1 problem\n"), "\(result)")
    #expect(!FileManager.default.fileExists(atPath: directory.path + "/state"))
  }

  @Test("check asks a plugin in C about its settings too, and survives what it does then")
  func settingsInC() throws {
    func check(_ how: String, _ settings: [String]) throws -> CommandResult {
      let directory = try TemporaryDirectory()
      let library = try BrokenPlugin.compile("settings-check", in: directory, defining: ["CHECK=\(how)"])
      let path = try directory.write(
        "plugins.conf", "[plugin one]\nlibrary = \(library)\n" + settings.joined(separator: "\n") + "\n")
      return try ReleaseBuild.run(["check", "--config", path])
    }
    #expect(try check("words", ["size = 2"]).status == .exited(0))
    let words = try check("words", ["range = 1-2", "range = 9-1", "size = 3"])
    #expect(words.status == .exited(1))
    let lines = words.output.split(separator: "\n").map { $0.split(separator: ":", maxSplits: 1).last }
    #expect(
      lines == [
        "1: [plugin one] both together are too much",
        "4: [plugin one] range = 9-1: ends before it begins", "5: [plugin one] size: is odd", "3 problems",
      ], "\(words)")
    // What does not fit the schema is not for the plugin to judge.
    let schema = try check("words", ["range = 9-1", "range = 1-2", "size = three"])
    #expect(schema.output.contains("'size'"))
    #expect(!schema.output.contains("ends before"))
    let trap = try check("trap", ["size = 2"])
    #expect(trap.status == .exited(1))
    #expect(trap.output.contains("crashed: checking its settings it"), "\(trap)")
  }

  @Test("the shipped configuration passes check")
  func shippedPasses() throws {
    let directory = try TemporaryDirectory()
    let path = try directory.write("plugins.conf", ShippedConfiguration.adapted(to: directory))
    let result = try ReleaseBuild.run(["check", "--config", path])
    #expect(result.status == .exited(0), "\(result)")
  }

  @Test("describe shows a library's facts, settings and routes, and 1 for what is none")
  func describe() throws {
    let result = try ReleaseBuild.run(["describe", ReleaseBuild.library("FaultPlugin"), "--json"])
    #expect(result.status == .exited(0), "\(result)")
    let json = try JSONValue(parsing: Array(result.output.utf8))
    #expect(json["name"].string == "fault")
    #expect(json["version"].string == "1.0.0")
    #expect(json["settings"].array.contains { $0["name"].string == "delay" })
    #expect(json["routes"].array.contains { ($0["pattern"].string ?? "").contains("echo") })
    let none = try ReleaseBuild.run(["describe", "/etc/hostname"])
    #expect(none.status == .exited(1))
    #expect(none.errors.contains("/etc/hostname"))
  }

  @Test("describe shows the routes of every router that is shipped, also of one that asks for shared memory")
  func describeShipped() throws {
    for (library, route) in [("AuthPlugin", "login"), ("DomainRoutes", "credits"), ("FaultPlugin", "echo")] {
      let result = try ReleaseBuild.run(["describe", ReleaseBuild.library(library), "--json"])
      #expect(result.status == .exited(0), "\(result)")
      let json = try JSONValue(parsing: Array(result.output.utf8))
      #expect(json["start_failure"] == .null, "\(library): \(json["start_failure"])")
      #expect(json["routes"].array.contains { ($0["pattern"].string ?? "").contains(route) }, "\(library)")
    }
  }

  @Test(
    "check names a mistyped library key, a library that is nearly there, and two routers at one mount, by line"
  )
  func slips() throws {
    let result = try check(
      HostSettings(
        plugins: "\n[plugin one]\nlibary = AuthPlugin\n[plugin two]\nlibrary = RateLimitPlugn\n"
          + "[plugin three]\nlibrary = FaultPlugin\nmount = /same\n[plugin four]\nlibrary = FaultPlugin\nmount = /same/\n"
      ))
    #expect(result.status == .exited(1))
    for words in [
      "unknown key 'libary' in [plugin one]; did you mean 'library'?", "did you mean 'RateLimitPlugin'?",
      "[plugin four] 'mount' is '/same', which [plugin three] has on line",
    ] {
      #expect(result.output.contains(words), "\(words) in: \(result.output)")
    }
    #expect(!result.output.contains("has no 'library'"))
    #expect(result.output.hasSuffix("\n3 problems\n"), "\(result.output)")
  }

  @Test("the host links neither Foundation nor any library of a plugin")
  func links() throws {
    let result = try ReleaseBuild.run("/usr/bin/env", ["ldd", ReleaseBuild.binary])
    #expect(result.status == .exited(0))
    #expect(result.output.contains("libc.so"))
    for library in ["Foundation", "libcrypto", "libssl", "libsqlite3", "libhiredis", "libpq"] {
      #expect(!result.output.contains(library), "\(library)")
    }
  }

  @Test("status, quarantine, release, log-level, reload and stop over the control socket")
  func control() throws {
    let host = try HostProcess(HostSettings(plugins: Section.fault()))
    let status = try host.command("status", "--json")
    #expect(status.status == .exited(0), "\(status)")
    #expect(throws: Never.self) { try JSONValue(parsing: Array(status.output.utf8)) }
    #expect(try host.command("quarantine", "fault").status == .exited(0))
    try host.waitFor(plugin: "fault", state: "quarantined")
    let out = try host.plugin("fault")
    #expect(out["reason"].string == "operator")
    #expect(out["faults"].int == 0 && out["last_fault"] == .null, "it is no fault")
    #expect(try host.command("faults").output.contains("operator") == false)
    #expect(try host.get("/fault/echo").status == 503)
    #expect(try host.command("release", "fault").status == .exited(0))
    try wait("the release") { try host.get("/fault/echo").status == 200 }
    #expect(try host.command("quarantine", "nobody").status == .exited(1))
    #expect(try host.command("log-level", "debug").status == .exited(0))
    let before = try host.worker().generation
    #expect(try host.command("reload").status == .exited(0))
    try wait("the next generation") { try host.worker().generation > before }
    #expect(try host.command("stop").status == .exited(0))
    #expect(try host.process.waitForExit(within: .seconds(10)) == .exited(0))
    #expect(try host.command("status").status == .exited(69))
  }

  @Test("a fault is kept in the ledger, shown by faults, and leaves its redacted request")
  func ledger() throws {
    let host = try HostProcess(
      HostSettings(plugins: Section.fault("fault", mount: "/fault", "recover = never")))
    _ = try host.get("/fault/echo", headers: [("X-Fault", "throw"), ("Authorization", "Bearer secret-88")])
    let id = try #require(try host.plugin("fault")["last_fault"]["id"].string)
    let record = "\(host.stateDirectory)/faults/\(id)"
    // One after the other.
    for suffix in [".json", ".request"] {
      try wait("the record's \(suffix)") { FileManager.default.fileExists(atPath: record + suffix) }
    }
    for name in [record + ".json", record + ".request"] {
      let text = String(decoding: FileManager.default.contents(atPath: name) ?? Data(), as: UTF8.self)
      #expect(text.contains("/fault/echo"), "\(name)")
      #expect(!text.contains("secret-88"), "\(name)")
    }
    #expect(try host.command("faults").output.contains(id))
    #expect(try host.command("faults", id).output.contains("thrown, as asked for"))
  }
}

/// The script that operators run against a host.
@Suite("The check of a running host")
struct DiagnosticScriptTests {
  private let script = "\(ReleaseBuild.packageRoot)/scripts/test-diagnostic-endpoints.sh"

  @Test("passes on the shipped configuration, fails on one with auth broken, and when nobody is there")
  func judges() throws {
    let good = try ShippedConfiguration.start()
    let passed = try ReleaseBuild.run("/bin/sh", [script, "http://\(good.endpoints[0])"])
    #expect(passed.status == .exited(0), "\(passed.output)")
    #expect(passed.output.contains(" passed, 0 failed"))
    let broken = try ShippedConfiguration.start(edit: {
      $0.replacing("library = AuthPlugin", with: "library = Nowhere").replacing(
        "probe = ", with: "# probe = ")
    })
    let failed = try ReleaseBuild.run("/bin/sh", [script, "http://\(broken.endpoints[0])"])
    #expect(failed.status == .exited(1), "\(failed.output)")
    #expect(failed.output.contains("FAIL  no plugin is out"))
    #expect(failed.output.contains("ok    GET /health answers 200"))
    try broken.stop()
    let nobody = try ReleaseBuild.run("/bin/sh", [script, "http://\(broken.endpoints[0])"])
    #expect(nobody.status == .exited(1))
    #expect(!nobody.output.contains("ok    "), "\(nobody.output)")
  }
}

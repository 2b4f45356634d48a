import Foundation
import PluginAPI
import PluginTesting
import Testing

/// A plugin in C, compiled for one test.
private struct CPlugin {
  let table: PluginTable?

  /// - Parameter source: Below `Tests/Fixtures`.
  init(_ source: String) throws {
    let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    let fixture = tests.appendingPathComponent("Fixtures/\(source)")
    let headers = tests.deletingLastPathComponent().appendingPathComponent("Sources/PluginABI/include")
    let library = FileManager.default.temporaryDirectory.appendingPathComponent("lib\(UUID().uuidString).so")
    defer { unlink(library.path) }
    let compiler = try ReleaseBuild.run(
      "/usr/bin/env",
      [
        "cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-fvisibility=hidden", "-I",
        headers.path, "-I", fixture.deletingLastPathComponent().appendingPathComponent("include").path, "-o",
        library.path, fixture.path,
      ])
    try #require(
      compiler.status == .exited(0), "\(source) does not compile without warnings: \(compiler.errors)")
    let handle = try #require(dlopen(library.path, RTLD_NOW | RTLD_LOCAL), "\(source) does not load")
    let symbol = try #require(dlsym(handle, "bulkhead_plugin"), "\(source) has no entry point")
    table = unsafeBitCast(symbol, to: (@convention(c) () -> PluginTable?).self)()
  }
}

@Suite("Plugins in C")
struct CPluginTests {
  @Test("a plugin in plain C compiles without warnings, and serves")
  func plainC() throws {
    let table = try CPlugin("PlainCPlugin/plugin.c").table
    let host = try InProcessHost(table, settings: ["greeting": "Ahoy"], mount: "/c")
    #expect(host.routes == ["GET /c/hello", "GET /c/items/{id}", "POST /c/sum"])
    #expect(try host.send("GET", "/c/hello").text == "Ahoy")
    #expect(try host.send("GET", "/c/items/a%2Fb").text == "a/b")
    #expect(try host.send("POST", "/c/sum", bytes: [255, 255, 1]).text == "511")
    let refusal = try host.send("POST", "/c/sum")
    #expect(refusal.status == 422)
    #expect(refusal.text.contains(#""code":"empty-body""#))
    #expect(refusal.header("x-plain-c") == "Ahoy")
    #expect(try host.send("GET", "/elsewhere").header("x-plain-c") == "Ahoy")
    #expect(host.metric("answers_total")?.value == 4)
    // After 10 ms, and then each 100 ms.
    try host.advance(by: .milliseconds(220))
    #expect(host.metric("ticks_total")?.value == 3)
  }

  @Test("the plain C plugin's self-test refuses a greeting of two lines")
  func plainCSelfTest() throws {
    let table = try CPlugin("PlainCPlugin/plugin.c").table
    #expect(throws: StartFailure.startFailed("the greeting has more than one line")) {
      try InProcessHost(table, settings: ["greeting": "a\nb"])
    }
  }

  @Test(
    "a broken plugin does not start, for the reason that is stated",
    arguments: [
      ("null-table", "load-failed: the entry point returns no table"),
      ("bad-name", "load-failed: the plugin's name is not in kebab-case"),
      ("null-function", "load-failed: a capability lacks its function"),
      ("wrong-abi", "abi-mismatch: the plugin has major version 99"),
      ("short-table", "abi-mismatch: the plugin's table has 16 bytes"),
      ("requires-setting", "bad-settings: 'api-key' is required"),
      ("start-fails", "start-failed: the database is locked"),
      ("start-fails-silently", "start-failed: no reason given"),
      ("bad-route", "start-failed: no such route"),
      ("self-test-fails", "start-failed: two and two make five"),
    ])
  func broken(name: String, reason: String) throws {
    let table = try CPlugin("Broken/\(name).c").table
    let failure = #expect(throws: StartFailure.self) { try InProcessHost(table) }
    #expect(failure?.description == reason)
  }

  @Test("a problem is an answer, and a status that the ABI does not have is a fault")
  func statuses() throws {
    let problem = try InProcessHost(CPlugin("Broken/throws-problem.c").table)
    #expect(try problem.send("GET", "/x").status == 409)
    let unknown = try InProcessHost(CPlugin("Broken/unknown-status.c").table)
    #expect(throws: PluginFault(phase: .request, message: "status 77, and no reason given")) {
      try unknown.send("GET", "/x")
    }
    let secret = try InProcessHost(CPlugin("Broken/requires-setting.c").table, settings: ["api-key": "x"])
    #expect(try secret.send("GET", "/x").status == 200)
  }
}

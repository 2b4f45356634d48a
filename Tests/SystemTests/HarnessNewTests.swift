import Foundation
import PluginTesting
import Testing

/// `bulkhead new plugin`: what it makes builds, tests and loads as it stands.
@Suite("The harness: new plugin")
struct HarnessNewTests {
  private func serve(_ library: String) throws {
    let host = try HostProcess(
      HostSettings(plugins: "[plugin rate-card]\nlibrary = \(library)\nmount = /rate-card\n"))
    try host.waitFor(plugin: "rate-card", state: "active")
    #expect(try host.get("/rate-card/Ada").text == "Hello, Ada\n")
    try host.stop()
  }

  @Test("in C: make, make test, and the real host serves it")
  func inC() throws {
    let directory = try TemporaryDirectory()
    let package = directory.path + "/rate-card"
    let made = try ReleaseBuild.run(["new", "plugin", "rate-card", "--language", "c", "--directory", package])
    #expect(made.status == .exited(0), "\(made)")
    let built = try ReleaseBuild.run(
      "/usr/bin/make", ["-C", package, "test", "BULKHEAD=\(ReleaseBuild.binary)"], within: .seconds(300))
    #expect(built.status == .exited(0), "\(built.output)\(built.errors)")
    #expect(built.output.contains("3 passed, 0 failed"))
    try serve(package + "/build/libRateCardPlugin.so")
  }

  @Test("in Swift: swift build, swift test in both hosts, its cases, and the real host serves it")
  func inSwift() throws {
    let directory = try TemporaryDirectory()
    let package = directory.path + "/rate-card"
    let made = try ReleaseBuild.run(
      ["new", "plugin", "rate-card", "--directory", package, "--sdk", ReleaseBuild.packageRoot])
    #expect(made.status == .exited(0), "\(made)")
    let environment = ["BULKHEAD_BINARY": ReleaseBuild.binary]
    let tested = try ReleaseBuild.run(
      "/usr/bin/env", ["swift", "test", "--package-path", package, "--jobs", "2"], environment: environment,
      within: .seconds(900))
    #expect(tested.status == .exited(0), "\(tested.output.suffix(3000))\(tested.errors.suffix(2000))")
    // Within the process, and in the real host.
    #expect(
      tested.output.contains("\"greets by name\" with 2 test cases passed"), "\(tested.output.suffix(2000))")
    let built = try ReleaseBuild.run(
      "/usr/bin/env",
      ["swift", "build", "-c", "release", "--package-path", package, "--product", "RateCardPlugin"],
      within: .seconds(900))
    #expect(built.status == .exited(0), "\(built.output.suffix(3000))\(built.errors.suffix(2000))")
    let library = package + "/.build/release/libRateCardPlugin.so"
    let cases = try ReleaseBuild.run(["test", library])
    #expect(cases.output.hasSuffix("3 passed, 0 failed\n"), "\(cases)")
    try serve(library)
  }

  @Test("what is there already is left alone, and a name is in kebab-case")
  func refusals() throws {
    let directory = try TemporaryDirectory()
    try directory.write("x", "")
    let taken = try ReleaseBuild.run(["new", "plugin", "a", "--language", "c", "--directory", directory.path])
    #expect(taken.status == .exited(1))
    #expect(try ReleaseBuild.run(["new", "plugin", "A_b"]).status == .exited(64))
    #expect(try ReleaseBuild.run(["new", "thing", "a"]).status == .exited(64))
  }
}

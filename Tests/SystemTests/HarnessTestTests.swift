import Foundation
import PluginTesting
import Testing

/// `bulkhead test`: cases, each in a process of its own.
@Suite("The harness: test")
struct HarnessTestTests {
  static let shipped = ["AuthPlugin", "CORSPlugin", "RateLimitPlugin", "DomainRoutes"]

  @Test("the cases of a shipped plugin pass", arguments: shipped)
  func shippedCases(plugin: String) throws {
    let result = try ReleaseBuild.run(
      ["test", ReleaseBuild.library(plugin), Harness.cases(of: plugin)], within: .seconds(300))
    #expect(result.status == .exited(0), "\(result.output)\(result.errors)")
    let last = try #require(result.output.split(separator: "\n").last)
    #expect(last.hasSuffix(" passed, 0 failed"))
    #expect(!last.hasPrefix("0 "))
  }

  @Test("a bare name is looked up in plugin-path, and its cases beside the library")
  func conventions() throws {
    let directory = try TemporaryDirectory()
    let cases = "\(directory.path)/cases/FaultPlugin"
    try FileManager.default.createDirectory(atPath: cases, withIntermediateDirectories: true)
    try FileManager.default.copyItem(
      atPath: ReleaseBuild.library("FaultPlugin"), toPath: "\(directory.path)/libFaultPlugin.so")
    try Harness.echoes.write(toFile: "\(cases)/fault.case", atomically: true, encoding: .utf8)
    let configuration = try directory.write("plugins.conf", "[host]\nplugin-path = \(directory.path)\n")
    let result = try ReleaseBuild.run(["test", "FaultPlugin", "--config", configuration])
    #expect(result.status == .exited(0), "\(result)")
    #expect(result.output.hasSuffix("1 passed, 0 failed\n"))
  }

  /// What a plugin does, and what is said of it.
  @Test(
    "a case in which the plugin dies fails, says how, and the next one runs",
    arguments: [
      ("trap", "crashed: SIGILL"), ("segv", "crashed: SIGSEGV"), ("hang", "hung: did not come back"),
      ("exit", "ended the process with exit status 3"), ("throw", "threw: thrown, as asked for"),
      ("abort", "crashed: SIGABRT"), ("background-trap", "crashed: SIGILL"),
    ])
  func deaths(fault: String, says: String) throws {
    let text = """
      [plugin]
      mount = /fault
      timeout = 400ms

      [case it dies]

      GET /fault/echo
      X-Fault: \(fault)

      HTTP 200

      [case it lives]

      GET /fault/echo

      HTTP 200
      json path = "/fault/echo"
      """
    let directory = try TemporaryDirectory()
    let file = try directory.write("fault.case", text)
    let junit = directory.path + "/junit.xml"
    let result = try ReleaseBuild.run(["test", ReleaseBuild.library("FaultPlugin"), file, "--junit", junit])
    #expect(result.status == .exited(1))
    #expect(result.output.contains(says), "\(result.output)")
    #expect(result.output.hasSuffix("1 passed, 1 failed\n"))
    let xml = String(decoding: FileManager.default.contents(atPath: junit) ?? Data(), as: UTF8.self)
    #expect(xml.contains("tests=\"2\" failures=\"1\""))
    #expect(xml.contains("<failure message="))
  }

  @Test("--json has every case, and --set counts before the file")
  func json() throws {
    let directory = try TemporaryDirectory()
    let file = try directory.write("fault.case", Harness.echoes)
    let result = try ReleaseBuild.run(
      ["test", ReleaseBuild.library("FaultPlugin"), file, "--json", "--set", "tag=other"])
    let json = try JSONValue(parsing: Array(result.output.utf8))
    #expect(json["failed"].int == 1, "\(result.output)")
    #expect(json["results"][0]["outcome"].string == "failed")
    #expect(json["results"][0]["message"].string?.contains("X-Fault-Tag") == true)
    #expect(json["results"][0]["repeat"].string?.contains("--set tag=other") == true)
  }

  @Test("a file that makes no sense ends with 78, a library that does not load with 1, no cases with 64")
  func statuses() throws {
    let directory = try TemporaryDirectory()
    let file = try directory.write("a.case", "[case a]\nGET /x\nnonsense\n")
    let fault = ReleaseBuild.library("FaultPlugin")
    #expect(try ReleaseBuild.run(["test", fault, file]).status == .exited(78))
    #expect(try ReleaseBuild.run(["test", directory.path + "/none.so", file]).status == .exited(1))
    #expect(try ReleaseBuild.run(["test", fault, directory.path + "/empty"]).status == .exited(78))
    #expect(try ReleaseBuild.run(["test", fault, "--set", "nothing"]).status == .exited(64))
  }

  @Test("a fault on record fails again from its reproducer, and passes with a library that is fixed")
  func replay() throws {
    let directory = try TemporaryDirectory()
    let broken = try Harness.library(.brokenOnHeader, in: directory)
    let fixed = try Harness.library(.right, in: directory)
    let host = try HostProcess(HostSettings(plugins: "[plugin shop]\nlibrary = \(broken)\nmount = /shop\n"))
    let answer = try host.get("/shop/echo/7?token=secret", headers: [("X-Crash", "now")])
    #expect(answer.status == 503)
    let faults = "\(host.stateDirectory)/faults"
    var id = ""
    try wait("the reproducer", within: .seconds(10)) {
      let names = try? FileManager.default.contentsOfDirectory(atPath: faults)
      id = names?.first { $0.hasSuffix(".request") }.map { String($0.dropLast(8)) } ?? ""
      return !id.isEmpty
    }
    try host.stop()
    let arguments = ["--replay", id, "--config", host.configurationPath]
    let again = try ReleaseBuild.run(["test", broken] + arguments)
    #expect(again.status == .exited(1), "\(again)")
    #expect(again.output.contains("crashed: SIGSEGV"), "\(again.output)")
    #expect(again.output.hasSuffix("0 passed, 1 failed\n"))
    let after = try ReleaseBuild.run(["test", fixed] + arguments)
    #expect(after.status == .exited(0), "\(after)")
    #expect(after.output.hasSuffix("1 passed, 0 failed\n"))
    #expect(
      try ReleaseBuild.run(["test", fixed, "--replay", "none", "--config", host.configurationPath]).status
        == .exited(1))
  }

  @Test("every command of the harness has help", arguments: ["test", "validate", "new", "bisect"])
  func help(command: String) throws {
    let result = try ReleaseBuild.run([command, "--help"])
    #expect(result.status == .exited(0))
    #expect(result.output.contains("usage: bulkhead \(command)"))
  }
}

/// What the harness's tests share.
enum Harness {
  static func cases(of plugin: String) -> String { "\(ReleaseBuild.packageRoot)/Plugins/\(plugin)/Cases" }

  static let echoes = """
    [plugin]
    mount = /fault
    tag = ours

    [case it echoes]

    GET /fault/echo

    HTTP 200
    X-Fault-Tag: ours
    json tag = "ours"
    """

  /// Builds of Tests/Fixtures/Defects/defect.c, by their number there.
  enum Build: Int {
    case right = 0
    case brokenOnHeader = 35
  }

  static func library(_ build: Build, in directory: TemporaryDirectory) throws -> String {
    try defect(build.rawValue, in: directory)
  }

  /// - Returns: the library's path.
  static func defect(_ number: Int, in directory: TemporaryDirectory) throws -> String {
    let root = ReleaseBuild.packageRoot
    let output = "\(directory.path)/libDefect\(number).so"
    let result = try ReleaseBuild.run(
      "/usr/bin/env",
      [
        "cc", "-std=gnu11", "-shared", "-fPIC", "-pthread", "-fno-omit-frame-pointer", "-DDEFECT=\(number)",
        "-I",
        "\(root)/Sources/PluginABI/include", "-o", output, "\(root)/Tests/Fixtures/Defects/defect.c",
      ])
    guard result.status == .exited(0) else {
      throw HarnessError.system(call: "cc defect.c", reason: result.errors)
    }
    return output
  }
}

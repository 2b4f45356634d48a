import Foundation
import PluginTesting
import Testing

/// A plugin under the checkers that its author uses: each names the plugin's own line.
@Suite("Memory checkers", .serialized)
struct MemoryCheckerTests {
  /// A checker, how it is put in front of the host, and what the plugin is built with.
  enum Checker: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case addressSanitizer, threadSanitizer, valgrind
    var testDescription: String { rawValue }

    var flags: [String] {
      switch self {
      case .addressSanitizer: ["-fsanitize=address"]
      case .threadSanitizer: ["-fsanitize=thread"]
      case .valgrind: []
      }
    }

    /// The compiler's run-time library; nil if there is none.
    var runtime: String? {
      let name: String
      switch self {
      case .addressSanitizer: name = "libasan.so"
      case .threadSanitizer: name = "libtsan.so"
      case .valgrind: return nil
      }
      guard let found = try? ReleaseBuild.run("/usr/bin/env", ["gcc", "-print-file-name=\(name)"]),
        found.status == .exited(0)
      else { return nil }
      let path = found.output.trimmingCharacters(in: .whitespacesAndNewlines)
      return path.hasPrefix("/") ? URL(fileURLWithPath: path).resolvingSymlinksInPath().path : nil
    }

    var isHere: Bool {
      guard self == .valgrind else { return runtime != nil }
      return FileManager.default.isExecutableFile(atPath: Checker.valgrindPath)
    }

    static let valgrindPath = "/usr/bin/valgrind"

    /// Runs the host's command under it.
    func run(_ arguments: [String]) throws -> CommandResult {
      let command = ReleaseBuild.tree.command(arguments)
      guard self == .valgrind else {
        return try ReleaseBuild.run(
          command.executable, command.arguments, environment: ["LD_PRELOAD": runtime ?? ""],
          within: .seconds(120))
      }
      return try ReleaseBuild.run(
        Checker.valgrindPath, ["--trace-children=yes", "--quiet", command.executable] + command.arguments,
        within: .seconds(240))
    }

    /// Where the environment has it.
    static let here = allCases.filter(\.isHere)
    static let missing = allCases.filter { !$0.isHere }.map(\.rawValue)
  }

  /// The line of the source that ends with this remark.
  private func line(_ remark: String, of source: String) throws -> Int {
    let lines = try String(contentsOfFile: source, encoding: .utf8).components(separatedBy: "\n")
    return try #require(lines.firstIndex { $0.hasSuffix("/* \(remark) */") }) + 1
  }

  private func build(for checker: Checker, in directory: TemporaryDirectory) throws -> String {
    let output = "\(directory.path)/libSick.so"
    let built = try ReleaseBuild.run(
      "/usr/bin/env",
      ["gcc", "-g", "-O1", "-shared", "-fPIC", "-I\(Self.sources)/Sources/PluginABI/include"] + checker.flags
        + ["-o", output, "\(Self.sources)/Tests/Fixtures/Broken/sick.c"])
    try #require(built.status == .exited(0), "\(built.errors)")
    return output
  }

  private static let sources = ReleaseBuild.packageRoot

  private static let cases = """
    [case well]
    GET /well

    HTTP 200

    [case overflow]
    GET /overflow

    HTTP 200

    [case null]
    GET /null

    HTTP 200

    [case race]
    GET /race

    HTTP 200

    """

  @Test(
    "the report names the plugin's line, and fails the case",
    arguments: [
      (Checker.addressSanitizer, "overflow"), (.addressSanitizer, "null"), (.threadSanitizer, "race"),
      (.valgrind, "overflow"), (.valgrind, "null"),
    ])
  func report(checker: Checker, deed: String) throws {
    guard checker.isHere else {
      return print("skipped: \(checker.rawValue) is not on this machine (scripts/deps test)")
    }
    let directory = try TemporaryDirectory()
    let library = try build(for: checker, in: directory)
    let file = try directory.write("sick.case", Self.cases)
    let result = try checker.run(["test", library, file, "--filter", deed])
    #expect(result.status == .exited(1), "\(result.output)")
    let place = "sick.c:\(try line(deed, of: "\(Self.sources)/Tests/Fixtures/Broken/sick.c"))"
    #expect(result.output.contains(place), "no \(place) in \(result.output)")
    #expect(result.errors.contains("is loaded: its reports go to standard error"), "\(result.errors)")
  }

  @Test("a plugin without a fault passes under each checker", arguments: Checker.here)
  func well(checker: Checker) throws {
    let directory = try TemporaryDirectory()
    let library = try build(for: checker, in: directory)
    let file = try directory.write("sick.case", Self.cases)
    let result = try checker.run(["test", library, file, "--filter", "well"])
    #expect(result.status == .exited(0), "\(result.output) \(result.errors)")
  }

  @Test("a whole host serves under AddressSanitizer, whose report is in its log")
  func host() throws {
    guard let runtime = Checker.addressSanitizer.runtime else {
      return print("skipped: AddressSanitizer is not on this machine")
    }
    let directory = try TemporaryDirectory()
    let library = try build(for: .addressSanitizer, in: directory)
    let host = try HostProcess(
      HostSettings(plugins: Section.plugin("sick", library: library, ["applies-to = all"])), in: directory,
      environment: ["LD_PRELOAD": runtime])
    #expect(try host.get("/health").status == 200)
    let connection = try host.connect()
    try connection.send("GET /overflow HTTP/1.1\r\nHost: a\r\n\r\n")
    let place = "sick.c:\(try line("overflow", of: "\(Self.sources)/Tests/Fixtures/Broken/sick.c"))"
    try wait("the report") { host.log.contains(place) }
    try wait("the next worker") { try host.get("/health").status == 200 }
  }
}

import PluginTesting
import Testing

/// `bulkhead validate`: it finds what is wrong, and nothing in what is right.
@Suite("The harness: validate", .serialized)
struct HarnessValidateTests {
  @Test("a shipped plugin keeps every rule", arguments: HarnessTestTests.shipped)
  func shipped(plugin: String) throws {
    let directory = try TemporaryDirectory()
    var arguments = ["validate", ReleaseBuild.library(plugin), "--json"]
    if plugin == "RateLimitPlugin" { arguments += ["--set", "limit=100000/1m by address"] }
    if plugin == "CORSPlugin" { arguments += ["--set", "origins=https://velro.ai, https://*.velro.ai"] }
    let result = try ReleaseBuild.run(arguments, within: .seconds(400))
    let json = try JSONValue(parsing: Array(result.output.utf8))
    let failures = json["results"].array.filter { $0["outcome"].string == "failed" }
    #expect(failures.isEmpty, "\(failures)")
    #expect(result.status == .exited(0))
    #expect((json["passed"].int ?? 0) >= 30)
    withExtendedLifetime(directory) {}
  }

  @Test("the plugin without a defect keeps every rule, and the last line says so")
  func right() throws {
    let directory = try TemporaryDirectory()
    let result = try ReleaseBuild.run(
      ["validate", try Harness.defect(0, in: directory)], within: .seconds(200))
    #expect(result.status == .exited(0), "\(result.output)")
    #expect(result.output.hasSuffix(" passed, 0 failed\n"))
  }

  /// The planted defects, and the rule that has to find each.
  static let planted: [(Int, String)] = [
    (1, "table-strings"), (2, "table-functions"), (3, "table-constant"), (4, "settings-schema"),
    (5, "settings-defaults"), (6, "settings-values"), (7, "start-fault"), (8, "start-fault"),
    (9, "start-stop"),
    (10, "request-ordinary"), (11, "request-hostile"), (12, "views-bounds"), (13, "views-read-only"),
    (14, "views-lifetime"), (15, "exchange-lifetime"), (16, "concurrency"), (17, "after-error"),
    (18, "leaks-memory"), (19, "leaks-descriptors"), (20, "leaks-threads"), (21, "timing"), (22, "output"),
    (23, "signals"), (24, "environment"), (25, "children"), (26, "extension"), (27, "problems"),
    (28, "identity"),
    (29, "exits"), (30, "request-hostile"), (31, "fault-reason"), (32, "routes"), (33, "settings-defaults"),
    (34, "signals"), (36, "timers"),
  ]

  @Test("a planted defect is found by its rule, with a place in the header and a command", arguments: planted)
  func found(defect: Int, rule: String) throws {
    let directory = try TemporaryDirectory()
    let library = try Harness.defect(defect, in: directory)
    let result = try ReleaseBuild.run(["validate", library, "--only", rule, "--json"], within: .seconds(120))
    #expect(result.status == .exited(1), "\(result.output)")
    let finding = try JSONValue(parsing: Array(result.output.utf8))["results"][0]
    #expect(finding["outcome"].string == "failed")
    #expect(finding["place"].string?.contains(".h:") == true)
    #expect(finding["repeat"].string == "bulkhead validate \(library) --only \(rule)")
    #expect(finding["message"].string?.isEmpty == false)
  }

  @Test("what stands in the way of other rules is told once")
  func once() throws {
    let directory = try TemporaryDirectory()
    // It reads past the end of a view, in each request.
    let result = try ReleaseBuild.run(
      ["validate", try Harness.defect(12, in: directory), "--json"], within: .seconds(200))
    let json = try JSONValue(parsing: Array(result.output.utf8))
    let failed = json["results"].array.filter { $0["outcome"].string == "failed" }.compactMap {
      $0["name"].string
    }
    #expect(failed.count == 1, "\(failed)")
    #expect(failed.first?.hasPrefix("views-bounds:") == true)
    #expect(json["results"].array.contains { $0["message"].string?.contains("'views-bounds'") == true })
  }

  @Test("that there is no such file is told once, and no rule is checked")
  func missing() throws {
    let result = try ReleaseBuild.run(["validate", "/nowhere/libNothing.so"])
    #expect(result.status == .exited(1))
    #expect(result.output.isEmpty, "\(result.output)")
    #expect(result.errors == "bulkhead: validate: /nowhere/libNothing.so: No such file or directory\n")
    let directory = try ReleaseBuild.run(["validate", "/tmp"])
    #expect(directory.status == .exited(1))
    #expect(directory.errors == "bulkhead: validate: /tmp: it is not a regular file\n")
  }

  @Test("why a file is no library is told once")
  func noLibrary() throws {
    let directory = try TemporaryDirectory()
    try directory.write("libNothing.so", Array("no library at all".utf8), mode: 0o755)
    let result = try ReleaseBuild.run(["validate", "\(directory.path)/libNothing.so"])
    #expect(result.status == .exited(1))
    let told = result.output.split(separator: "\n").filter {
      $0.contains("file too short") || $0.contains("invalid ELF")
    }
    #expect(told.count == 1, "\(result.output)")
    #expect(result.output.hasSuffix("0 passed, 1 failed\n"), "\(result.output)")
  }

  @Test("the rules are listed with their places, and an unknown one is wrong usage")
  func list() throws {
    let json = try JSONValue(
      parsing: Array(try ReleaseBuild.run(["validate", "any", "--list", "--json"]).output.utf8))
    let rules = json["rules"].array
    #expect(rules.count >= 30)
    // Each place is a line of a header that is there.
    for rule in rules { #expect(rule["place"].string?.contains(".h:") == true, "\(rule)") }
    let unknown = try ReleaseBuild.run(["validate", "any", "--only", "view-bounds"])
    #expect(unknown.status == .exited(64))
    #expect(unknown.errors.contains("views-bounds"))
  }
}

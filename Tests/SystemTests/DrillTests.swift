import PluginTesting
import Testing

/// The night of 15 August 2025, as `scripts/drill` re-enacts it, on this build.
@Suite("The drill")
struct DrillTests {
  private func drill(_ arguments: String...) throws -> CommandResult {
    try ReleaseBuild.run(
      "\(ReleaseBuild.packageRoot)/scripts/drill", arguments,
      environment: ["BULKHEAD_BINARY": ReleaseBuild.binary], within: .seconds(400))
  }

  @Test("nothing goes dark on the shipped configuration, and each culprit is named")
  func nothingGoesDark() throws {
    let result = try drill()
    #expect(result.status == .exited(0), "\(result)")
    #expect(!result.output.contains("DARK  "), "\(result)")
    #expect(result.output.contains("\nNOTHING WENT DARK: "), "\(result)")
    for line in [
      "auth 1.1.0 quarantined, threw: the auth service has no method auth_service_verify_access_token",
      "ratelimit held, threw: auth has left no identity to count by",
      "auth failed, load-failed: plugins/libAuthPlugin.so: undefined symbol: bulkhead_no_such_function",
      "403: ratelimit responded in its request phase",
      "rejected: plugins.conf:",
      "auth 1.0.0 active, rolled back from ",
      "plugins.conf held, dropped: the file names no plugin any more; 4 are served",
      "serves, once the file is whole",
      "auth held, load-failed: plugins/libAuthPlugin.so is cut short",
      "ratelimit held, load-failed: ",
      "health     {\"status\":\"starting\"",
      "auth failed, hung: it did not load and start within its start-timeout of 5s",
      "auth held, start-failed: ",
      "taken by itself, ",
    ] {
      #expect(result.output.contains(line), "\(line)\nin\n\(result.output)")
    }
  }

  @Test(
    "a protection that is taken away is missed",
    arguments: [
      // CORS as a plugin alone, as it was then.
      (#"/^\[cors\]/,/^\[plugin/s|^origins = .*|origins = https://other.example|"#, "without CORS headers"),
      // Nothing is proven before it serves, and the limiter's failure is everybody's.
      (
        #"/^probe = /d; /^\[plugin ratelimit\]/,/^$/s/^on-failure = open/on-failure = closed/"#,
        "public answers 503"
      ),
    ])
  func goesDark(edit: String, finding: String) throws {
    let result = try drill("--edit", edit)
    #expect(result.status == .exited(1), "\(result)")
    #expect(result.output.contains("\nIT WENT DARK: "), "\(result)")
    #expect(result.output.contains(finding), "\(result)")
    #expect(!result.output.contains("NOTHING WENT DARK"), "\(result)")
  }

  @Test("what cannot be drilled is said, and is no judgement")
  func unable() throws {
    let script = "\(ReleaseBuild.packageRoot)/scripts/drill"
    let noBuild = try ReleaseBuild.run(script, [], environment: ["BULKHEAD_BINARY": "/nowhere/bulkhead"])
    #expect(noBuild.status == .exited(69), "\(noBuild)")
    let noChange = try drill("--edit", "s/nothing of this kind/x/")
    #expect(noChange.status == .exited(69), "\(noChange)")
    #expect(noChange.errors.contains("--edit changes nothing"))
    #expect(try drill("--frobnicate").status == .exited(64))
  }
}

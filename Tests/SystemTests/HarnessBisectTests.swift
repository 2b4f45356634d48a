import PluginTesting
import Testing

/// `bulkhead bisect`: who breaks a request.
@Suite("The harness: bisect")
struct HarnessBisectTests {
  /// Four plugins; `second` fails on a header, the others do not look at it.
  private func configuration(in directory: TemporaryDirectory) throws -> String {
    let right = try Harness.library(.right, in: directory)
    let broken = try Harness.library(.brokenOnHeader, in: directory)
    let text = """
      [host]
      state-dir = \(directory.path)/state

      [plugin first]
      library = \(right)
      mount = /first

      [plugin second]
      library = \(broken)
      mount = /second

      [plugin third]
      library = \(right)
      mount = /third
      """
    return try directory.write("plugins.conf", text)
  }

  @Test("names the one plugin that breaks a request, which needs another's route to be reached")
  func guilty() throws {
    let directory = try TemporaryDirectory()
    let file = try configuration(in: directory)
    let result = try ReleaseBuild.run(
      ["bisect", "GET", "/third/echo/1", "-H", "X-Crash: now", "--config", file, "--json"],
      within: .seconds(120))
    #expect(result.status == .exited(1), "\(result)")
    let json = try JSONValue(parsing: Array(result.output.utf8))
    // Its route belongs to the third: without that no middleware runs, and nothing breaks.
    #expect(json["plugins"].array.compactMap(\.string) == ["second", "third"], "\(result.output)")
    #expect(json["outcome"]["fault"].string?.contains("SIGSEGV") == true)
  }

  @Test("a plugin alone, from a file of bytes")
  func alone() throws {
    let directory = try TemporaryDirectory()
    let file = try configuration(in: directory)
    let request = try directory.write("x.request", "GET /second/echo/1 HTTP/1.1\r\nX-Crash: now\r\n\r\n")
    let result = try ReleaseBuild.run(["bisect", request, "--config", file], within: .seconds(120))
    #expect(result.status == .exited(1), "\(result)")
    #expect(result.output.contains("broken by second:"), "\(result.output)")
  }

  @Test("nothing breaks a request that is well, and --expect says what is")
  func well() throws {
    let directory = try TemporaryDirectory()
    let file = try configuration(in: directory)
    let well = try ReleaseBuild.run(
      ["bisect", "GET", "/third/echo/1", "--config", file], within: .seconds(120))
    #expect(well.status == .exited(0), "\(well)")
    #expect(well.output.contains("nothing breaks it"))
    let other = try ReleaseBuild.run(
      ["bisect", "GET", "/third/echo/1", "--config", file, "--expect", "201"], within: .seconds(120))
    #expect(other.status == .exited(1))
    #expect(other.output.contains("broken by third: 200"), "\(other.output)")
  }
}

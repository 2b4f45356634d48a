import BrowserTesting
import PluginTesting
import Testing

/// What a page learns of requests that the host refuses before it has read their heads to the end.
@Suite("Refusals in a browser", .serialized)
struct BrowserRefusalTests {
  /// A page of another origin than the host's, which reaches the host by way of small segments.
  private final class Visit {
    private let site: PageServer
    private let host: HostProcess
    private let relay: SegmentingRelay
    private let browser: Chromium
    let tab: BrowserTab

    init() throws {
      site = try PageServer(["/": "<!doctype html><title>A page</title>"])
      host = try HostProcess(
        HostSettings(
          cors: "origins = \(site.origin)\nmethods = GET, PUT\nheaders = X-Large", plugins: Section.fault()))
      guard case .ipv4(_, let port) = host.endpoints[0] else {
        throw HarnessError.malformed("\(host.endpoints[0]) has no port")
      }
      relay = try SegmentingRelay(to: port)
      browser = try Chromium()
      tab = try browser.open()
      try tab.navigate(to: site.origin)
    }

    /// Status and code of the answer, or the error that `fetch` ends with.
    func fetch(_ target: String, _ options: String = "{}") throws -> JSONValue {
      try tab.evaluate(
        """
        fetch('http://127.0.0.1:\(relay.port)' + \(target), \(options))
          .then(async r => ({status: r.status, code: (await r.json()).code}))
          .catch(e => ({error: String(e)}))
        """)
    }
  }

  private static func answer(_ status: Int, _ code: String) -> JSONValue {
    .object(["status": .number(Double(status)), "code": .string(code)])
  }

  @Test("a page sees that its address, or a field of it, is too long: a status, and no network error")
  func tooLong() throws {
    let visit = try Visit()
    #expect(try visit.fetch("'/health?q=' + 'a'.repeat(9000)") == Self.answer(414, "target-too-long"))
    #expect(
      try visit.fetch("'/fault/echo'", "{headers: {'X-Large': 'a'.repeat(30000)}}")
        == Self.answer(431, "head-too-large"))
    #expect(
      try visit.fetch("'/health?q=' + 'a'.repeat(9000)", "{method: 'PUT', body: 'b'.repeat(100000)}")
        == .object(["error": .string("TypeError: Failed to fetch")]),
      "the preflight is refused, and by Fetch that is a network error")
    let failures = try visit.tab.failures()
    #expect(failures.allSatisfy { $0.cors == "PreflightInvalidStatus" }, "\(failures)")
  }
}

import Testing

@testable import bulkhead

@Suite("What status shows")
struct StatusTextTests {
  private static let now: Int64 = 1_764_067_764_500_000_000  // 2025-11-25T10:49:24.500Z

  private func report(_ plugins: String) throws -> JSONValue {
    let text = """
      {"status":"serving","pid":7,"version":"1.2.3","uptime_s":93784,"generation":4,"bypass":"off","log_level":"info",
      "config":{"path":"/etc/bulkhead/plugins.conf","status":"active","error":null},"listeners":["127.0.0.1:80","[::]:80"],
      "generations":[{"generation":3,"pid":30,"state":"draining","bare":false},
      {"generation":4,"pid":40,"state":"serving","bare":false}],"plugins":[\(plugins)]}
      """
    return try #require(JSONValue(parsing: Array(text.utf8)))
  }

  private func lines(_ report: JSONValue, width: Int? = nil, isStyled: Bool = false) -> [String] {
    StatusText(now: StatusTextTests.now, width: width, isStyled: isStyled).lines(report)
  }

  private let active = """
    {"name":"auth","version":"1.0.0","kind":"middleware+router","state":"active","reason":null,"bypassed":false,
    "calls":120345,"faults":2,"retry_at":null,"message":"an older fault","rolled_back":null,"mode":"enforce",
    "since":null,"latency_us":{"p50":8.25,"p99":1234.5}}
    """
  private let quarantined = """
    {"name":"rate-limit","version":"1.0.0","kind":"middleware","state":"quarantined","reason":"threw","bypassed":false,
    "calls":9,"faults":1,"retry_at":"2025-11-25T10:49:28.100Z","message":"no\\nstore","mode":"shadow",
    "rolled_back":{"from":"1","to":"0123456789abcdef"},"since":"2025-11-25T10:47:20.000Z","latency_us":{"p50":null,"p99":null}}
    """

  @Test("the host, its workers, and each plugin on a line")
  func whole() throws {
    let report = try report("\(active),\(quarantined)")
    #expect(
      lines(report) == [
        "host       1.2.3, pid 7, up 1d 2h",
        "state      generation 4 serving",
        "workers    generation 3 draining, pid 30",
        "           generation 4 serving, pid 40",
        "config     /etc/bulkhead/plugins.conf: active",
        "listen     127.0.0.1:80, [::]:80",
        "bypass     off",
        "log-level  info",
        "plugins    1 active, 1 quarantined",
        "",
        "PLUGIN      KIND               STATE                REASON  SINCE  NEXT TRY   CALLS  FAULTS    P50    P99"
          + "  VERSION  MESSAGE",
        "auth        middleware+router  active               -           -         -  120345       2  8.2µs  1.2ms"
          + "  1.0.0",
        "rate-limit  middleware         quarantined, shadow  threw   2m 4s     in 4s       9       1      -      -"
          + "  1.0.0    rolled back to 0123456789ab; no store",
      ])
  }

  @Test("what the host does not tell takes no room")
  func lean() throws {
    let plain = """
      {"name":"cors","version":"1.0.0","kind":"middleware","state":"active","reason":null,"bypassed":true,"calls":1,
      "faults":0,"retry_at":null,"message":null,"rolled_back":null}
      """
    let shown = lines(try report(plain))
    #expect(
      shown.suffix(2) == [
        "PLUGIN  KIND        STATE             CALLS  FAULTS  VERSION",
        "cors    middleware  active, bypassed      1       0  1.0.0",
      ])
    #expect(lines(try report("")).last == "log-level  info")
  }

  @Test("no worker, and a configuration that is not taken, are said with each error on a line")
  func down() throws {
    let text = """
      {"status":"down","pid":7,"version":"1","uptime_s":0,"generation":null,"bypass":"heavy","log_level":"info",
      "config":{"path":"p","status":"rejected","error":"p:1: one\\np:2: two"},"listeners":[],"generations":[],"plugins":[]}
      """
    let shown = lines(try #require(JSONValue(parsing: Array(text.utf8))))
    #expect(shown.contains("state      no worker serves at this moment"))
    #expect(shown.contains("config     p: rejected"))
    #expect(shown.suffix(3) == ["The configuration as it is now is not taken:", "  p:1: one", "  p:2: two"])
  }

  private func held(_ items: String) throws -> [String] {
    let text = """
      {"status":"serving","pid":7,"version":"1","uptime_s":0,"generation":4,"bypass":"off","log_level":"info",
      "config":{"path":"p","status":"held","error":"not for people","held":[\(items)]},"listeners":[],"generations":[],
      "plugins":[\(active)]}
      """
    return lines(try #require(JSONValue(parsing: Array(text.utf8))))
  }

  @Test(
    "what is held is said with each reason on a line: what serves goes on, what to do, and that it is tried again"
  )
  func heldChange() throws {
    let shown = try held(
      """
      {"plugin":"auth","reason":"start-failed","message":"no\\nkey"},
      {"plugin":null,"reason":"exited","message":"generation 5 ended"}
      """)
    #expect(shown.contains("config     p: held"))
    let complaint = try #require(shown.firstIndex(of: "What serves goes on, and a change is held:"))
    #expect(
      shown[complaint...].prefix(7) == [
        "What serves goes on, and a change is held:",
        "  auth: start-failed: no",
        "  key",
        "  exited: generation 5 ended",
        "It is tried again by itself, after 'recover', and when the file or a library changes.",
        "Mend what is named, or take it all the same: bulkhead reload --force",
        "",
      ])
    #expect(!shown.contains { $0.contains("not taken") || $0.contains("not for people") })
  }

  @Test("an edit that drops something is not tried again by itself, and status does not say so")
  func heldEdit() throws {
    let shown = try held(
      """
      {"plugin":"auth","reason":"dropped","message":"no section"},
      {"plugin":null,"reason":"half-written","message":"cut"}
      """)
    #expect(shown.contains("  auth: dropped: no section"))
    #expect(shown.contains("It is looked at again when the file or a library changes."))
    #expect(!shown.contains { $0.contains("by itself") })
  }

  @Test("while plugins start, status says what is served and what is not")
  func starting() throws {
    let text = """
      {"status":"starting","pid":7,"version":"1","uptime_s":0,"generation":2,"bypass":"off","log_level":"info",
      "config":{"path":"p","status":"active","error":null,"held":[]},"listeners":[],
      "generations":[{"generation":1,"pid":30,"state":"starting","bare":false},
      {"generation":2,"pid":31,"state":"serving","bare":false}],"plugins":[]}
      """
    let shown = lines(try #require(JSONValue(parsing: Array(text.utf8))))
    #expect(shown.contains("state      generation 2 starting"))
    #expect(
      shown.suffix(3) == [
        "", "The plugins are still starting: their paths answer 503 until they have.",
        "Health, version, diagnostics and CORS are served meanwhile.",
      ])
  }

  @Test("a plugin that has failed shows when it is tried next")
  func failed() throws {
    let failed = quarantined.replacing("\"quarantined\"", with: "\"failed\"")
      .replacing("\"threw\"", with: "\"start-failed\"")
    let shown = lines(try report(failed))
    #expect(shown.suffix(2).first?.contains("  NEXT TRY  ") == true)
    #expect(shown.last?.contains("failed, shadow  start-failed  2m 4s     in 4s  ") == true, "\(shown)")
  }

  @Test(
    "no line is wider than the terminal, styled or not", arguments: [1, 7, 20, 40, 66, 80, 100, 132, 200])
  func widths(width: Int) throws {
    for report in [
      try report("\(active),\(quarantined)"),
      try #require(JSONValue(parsing: Array(StatusTextTests.everyComplaint.utf8))),
    ] {
      expectFits(report, width: width)
    }
  }

  private static let everyComplaint = """
    {"status":"starting","pid":7,"version":"1","uptime_s":0,"generation":4,"bypass":"off","log_level":"info",
    "config":{"path":"p","status":"held","held":[{"plugin":"auth","reason":"load-failed","message":"a long message"}]}}
    """

  private func expectFits(_ report: JSONValue, width: Int) {
    let plain = lines(report, width: width)
    #expect(plain.allSatisfy { $0.displayWidth <= width })
    let styled = lines(report, width: width, isStyled: true)
    #expect(styled.contains { $0.contains("\u{1b}[") })
    #expect(styled.map(StatusTextTests.unstyled) == plain)
  }

  private static func unstyled(_ text: String) -> String {
    var shown = ""
    var isInside = false
    for character in text {
      if character == "\u{1b}" { isInside = true }
      if !isInside { shown.append(character) }
      if isInside, character == "m" { isInside = false }
    }
    return shown
  }

  @Test("on 80 columns the state, its reason and the message stay")
  func narrow() throws {
    let shown = lines(try report("\(active),\(quarantined)"), width: 80)
    let title = try #require(shown.first { $0.hasPrefix("PLUGIN") })
    for column in ["STATE", "REASON", "NEXT TRY", "MESSAGE"] { #expect(title.contains(column)) }
    for column in ["VERSION", "KIND"] { #expect(!title.contains(column)) }
  }

  @Test("a probe that is due says so, and what has no reason has none to come")
  func probes() throws {
    let due = quarantined.replacing("10:49:28.100Z", with: "10:49:24.100Z")
    #expect(lines(try report(due)).last?.contains("  now  ") == true)
    let stray = active.replacing("\"retry_at\":null", with: "\"retry_at\":\"2025-11-25T10:49:28.100Z\"")
    #expect(!lines(try report(stray)).contains { $0.contains("NEXT TRY") })
  }

  @Test(
    "latencies have two digits at least",
    arguments: [
      (0.0, "0.0µs"), (0.47, "0.4µs"), (9.99, "9.9µs"), (10, "10µs"), (999.9, "999µs"), (1000, "1.0ms"),
      (25_400, "25ms"), (1_000_000, "1.0s"), (61_000_000, "61s"),
    ])
  func latency(microseconds: Double, text: String) { #expect(StatusText.latency(microseconds) == text) }

  @Test(
    "durations have their two largest units",
    arguments: [
      (-3, "0s"), (0, "0s"), (59, "59s"), (60, "1m"), (61, "1m 1s"), (3600, "1h"), (3661, "1h 1m"),
      (86_400, "1d"), (90_061, "1d 1h"),
    ])
  func durations(seconds: Int, text: String) { #expect(StatusText.duration(seconds: seconds) == text) }

  @Test("a frame clears what stood there, line by line, and is no higher than the terminal")
  func frame() {
    #expect(AlternateScreen.frame(["a", "b"], rows: 2) == "\u{1b}[Ha\u{1b}[K\r\nb\u{1b}[K\u{1b}[J")
    let cut = AlternateScreen.frame(["a", "b", "c", "d"], rows: 3)
    #expect(cut == "\u{1b}[Ha\u{1b}[K\r\nb\u{1b}[K\r\n… 2 more lines\u{1b}[K\u{1b}[J")
  }

  @Test("colour needs a terminal that knows it, and nobody who asks for none")
  func colour() {
    let colour = { Terminal.isColoured(isTerminal: true, $0) }
    #expect(colour(["TERM": "xterm"]))
    #expect(colour(["TERM": "xterm", "NO_COLOR": ""]))
    #expect(!colour(["TERM": "xterm", "NO_COLOR": "1"]))
    #expect(!colour(["TERM": "dumb"]))
    #expect(!colour([:]))
    #expect(!Terminal.isColoured(isTerminal: false, ["TERM": "xterm"]))
  }
}

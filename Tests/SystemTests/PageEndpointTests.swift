import Foundation
import PluginTesting
import Testing

/// What is behind the page at `/__diag/`: its text, its events and its actions, as any client sees them.
@Suite("The diagnostics page's endpoints")
struct PageEndpointTests {
  private static let token = DiagnosticsPage.token
  private static let bearer = ("Authorization", "Bearer \(token)")
  private static let action = ("X-Bulkhead-Action", "1")

  private func start(_ lines: String...) throws -> HostProcess {
    try HostProcess(HostSettings(host: lines.joined(separator: "\n"), plugins: DiagnosticsPage.plugins))
  }

  // MARK: The page

  @Test("the page carries a policy that lets nothing foreign in, and a nonce of its own each time")
  func policy() throws {
    let host = try start()
    var nonces: Set<String> = []
    for path in ["/__diag/", "/__diag", "/__diag/"] {
      let answer = try host.get(path, headers: [("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")])
      #expect(answer.status == 200)
      #expect(answer.header("Content-Type") == "text/html; charset=utf-8")
      #expect(answer.header("Cache-Control") == "no-store")
      #expect(answer.header("X-Content-Type-Options") == "nosniff")
      let policy = answer.header("Content-Security-Policy") ?? ""
      #expect(policy.hasPrefix("default-src 'none'; script-src 'nonce-"), "\(policy)")
      for wanted in ["frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'", "connect-src 'self'"]
      {
        #expect(policy.contains(wanted), "\(policy)")
      }
      #expect(!policy.contains("unsafe"))
      let nonce = String(policy.split(separator: "'nonce-")[1].prefix { $0 != "'" })
      #expect(nonce.count == 32)
      nonces.insert(nonce)
      #expect(answer.text.split(separator: "nonce=\"\(nonce)\"").count == 3, "a style and a script carry it")
      #expect(!answer.text.contains("@NONCE@"))
      // One file, nothing fetched from anywhere: no address in it but the namespace of SVG.
      let addresses = answer.text.matches(of: /(https?:)?\/\/[a-z][a-z0-9.-]*\.[a-z]+/).map {
        String($0.output.0)
      }
      #expect(Set(addresses) == ["http://www.w3.org"], "\(addresses)")
      #expect(!answer.text.contains("innerHTML"))
    }
    #expect(nonces.count == 3)
  }

  @Test("a program that asks for JSON gets the list of endpoints, each of which answers")
  func index() throws {
    let host = try start()
    let answer = try host.get("/__diag/", headers: [("Accept", "application/json")])
    let endpoints = answer.json["endpoints"].array.compactMap(\.string)
    #expect(endpoints.count >= 13)
    for endpoint in endpoints where !endpoint.contains("events") && !endpoint.contains("{") {
      let path = endpoint.replacing("…", with: "/fault/echo")
      #expect(try host.get(path).status == 200, "\(path)")
    }
  }

  @Test("the page and its events obey diagnostics")
  func access() throws {
    let html = ("Accept", "text/html")
    let off = try start("diagnostics = off", "admin-token = \(PageEndpointTests.token)")
    for path in ["/__diag/", "/__diag/events"] { #expect(try off.get(path, headers: [html]).status == 404) }
    #expect(try off.send("POST", "/__diag/bypass/all", headers: [Self.bearer, Self.action]).status == 404)
    let guarded = try start("diagnostics = token", "admin-token = \(PageEndpointTests.token)")
    // The page itself tells nothing: a browser gets it with the 401, to ask for the token in it.
    let page = try guarded.get("/__diag/", headers: [html])
    #expect(page.status == 401)
    #expect(page.header("WWW-Authenticate")?.hasPrefix("Bearer") == true)
    #expect(page.header("Content-Type") == "text/html; charset=utf-8")
    #expect(page.header("Content-Security-Policy") != nil)
    #expect(!page.text.contains("guard"))
    #expect(try guarded.get("/__diag/", headers: [("Accept", "application/json")]).isProblem)
    #expect(try guarded.get("/__diag/events").status == 401)
    #expect(try guarded.get("/__diag/", headers: [html, Self.bearer]).status == 200)
  }

  // MARK: Events

  /// An open stream, and the events of it that have come.
  private final class Events {
    private let connection: HTTPConnection
    private var text = ""

    init(_ host: HostProcess) throws {
      connection = try host.connect()
      try connection.send("GET /__diag/events HTTP/1.1\r\nHost: a\r\n\r\n")
      let head = try connection.receiveHead()
      #expect(head.status == 200)
      #expect(head.header("Content-Type") == "text/event-stream")
      #expect(head.header("Cache-Control") == "no-store")
    }

    /// Reads on until there is an event of this name that `condition` holds for.
    @discardableResult
    func wait(for name: String, _ condition: (JSONValue) -> Bool = { _ in true }) throws -> JSONValue {
      let deadline = Deadline(after: .seconds(20))
      while true {
        for event in text.split(separator: "\n\n") where event.contains("event: \(name)\n") {
          guard
            let data = event.split(separator: "\ndata: ").last?.prefix(while: { $0 != "\n" && $0 != "\r" }),
            let value = try? JSONValue(parsing: Array(data.utf8)), condition(value)
          else { continue }
          return value
        }
        guard !deadline.hasPassed, let bytes = try connection.receiveBytes(within: .seconds(5)),
          !bytes.isEmpty
        else { throw HarnessError.timedOut("event \(name) in \(text.suffix(2000))") }
        text += String(decoding: bytes, as: UTF8.self)
      }
    }

    /// Waits for the last chunk, after which the connection serves on.
    func waitForEnd() throws {
      let deadline = Deadline(after: .seconds(10))
      while !text.hasSuffix("0\r\n\r\n") {
        guard !deadline.hasPassed, let bytes = try connection.receiveBytes(within: .seconds(5)),
          !bytes.isEmpty
        else { throw HarnessError.timedOut("the end of the stream") }
        text += String(decoding: bytes, as: UTF8.self)
      }
    }

    func get(_ path: String) throws -> HTTPResponse { try connection.request("GET", path) }
  }

  @Test("the events tell the state, and each change of it within moments")
  func events() throws {
    let host = try start()
    let events = try Events(host)
    let status = try events.wait(for: "status")
    #expect(status["plugins"].array.compactMap { $0["name"].string } == ["guard", "fault"])
    #expect(status["plugins"][0]["middleware"]["paths"][0].string == "/fault")
    #expect(status["actions"].bool == false)
    _ = try host.get("/fault/echo", headers: [("X-Request-Id", "seen-7")])
    try events.wait(for: "sample") { $0["requests_per_s"].number ?? 0 > 0 }
    try events.wait(for: "requests") { $0.array.contains { $0["request_id"].string == "seen-7" } }
    try events.wait(for: "generations") { $0[0]["served_at"].string != nil }
    #expect(try host.command("quarantine", "guard").status == .exited(0))
    try events.wait(for: "status") { $0["plugins"][0]["state"].string == "quarantined" }
    #expect(try host.command("release", "guard").status == .exited(0))
    _ = try host.get("/fault/echo", headers: [("X-Fault", "throw"), ("X-Fault-Phase", "route")])
    try events.wait(for: "faults") { $0[0]["reason"].string == "threw" }
  }

  @Test("a swap ends the streams in order, and the connections go over to the next generation")
  func swap() throws {
    let host = try start()
    let streams = try (0..<5).map { _ in try Events(host) }
    for stream in streams { try stream.wait(for: "sample") }
    let before = try host.worker()
    #expect(try host.command("reload").status == .exited(0))
    for stream in streams {
      try stream.waitForEnd()
      // One that asks at once may still meet the old worker.
      try wait("the next generation on the same connection") {
        (try stream.get("/__version").json["generation"].int ?? 0) > before.generation
      }
    }
    try wait("the old worker's end", within: .seconds(5)) { !RunningProcess.exists(before.pid) }
    let history = try host.get("/__diag/generations").json["generations"].array
    // A stand-in may have been one too.
    #expect(history.filter { $0["bare"].bool == false }.count == 2)
    #expect(history.last?["cause"].string == "a reload was asked for")
  }

  @Test("fifty streams are fed by one sample a second, and cost next to nothing")
  func fiftyStreams() throws {
    let host = try start("threads = 2")
    let pid = try host.worker().pid
    func ticks() throws -> Int {
      let stat = String(
        decoding: FileManager.default.contents(atPath: "/proc/\(pid)/stat") ?? Data(), as: UTF8.self)
      let fields = stat.split(separator: ")").last?.split(separator: " ") ?? []
      return (Int(fields[11]) ?? 0) + (Int(fields[12]) ?? 0)
    }
    let streams = try (0..<50).map { _ in try Events(host) }
    for stream in streams { try stream.wait(for: "sample") }
    let start = try ticks()
    let deadline = Deadline(after: .seconds(3))
    while !deadline.hasPassed { usleep(50_000) }
    let spent = try ticks() - start
    // A hundredth of a second each: 5 % of one processor would be 15.
    #expect(spent <= 15, "\(spent) ticks in 3 s")
    // Others are served; past the limit, more streams are not.
    #expect(try host.get("/fault/echo").status == 200)
    let more = try (0..<14).map { _ in try Events(host) }
    let refused = try host.get("/__diag/events")
    #expect(refused.status == 503)
    #expect(refused.json["code"].string == "too-many-streams")
    #expect(refused.header("Retry-After") != nil)
    withExtendedLifetime((streams, more)) {}
  }

  @Test("streams that are closed by their clients are let go")
  func closedStreams() throws {
    let host = try start()
    for _ in 0..<4 {
      do {
        let streams = try (0..<40).map { _ in try Events(host) }
        for stream in streams { try stream.wait(for: "sample") }
      }
      try wait("the connections' end", within: .seconds(3)) {
        try host.get("/metrics").text.contains("\nbulkhead_connections_open 1\n")
      }
    }
  }

  // MARK: Actions

  @Test("with the token quarantine, release and bypass do as the commands, in the next generation too")
  func actions() throws {
    let host = try start("admin-token = \(Self.token)")
    let headers = [Self.bearer, Self.action]
    let answer = try host.send("POST", "/__diag/quarantine/guard", headers: headers)
    #expect(answer.status == 202)
    #expect(answer.json["asked"].string == "quarantine guard")
    #expect(try host.waitFor(plugin: "guard", state: "quarantined")["reason"].string == "operator")
    #expect(try host.get("/fault/echo").status == 503)
    #expect(try host.command("reload").status == .exited(0))
    #expect(try host.plugin("guard")["state"].string == "quarantined")
    #expect(try host.send("POST", "/__diag/release/guard", headers: headers).status == 202)
    try host.waitFor(plugin: "guard", state: "active")
    #expect(try host.send("POST", "/__diag/bypass/all", headers: headers).status == 202)
    try wait("the bypass") { try host.get("/health").json["bypass"].string == "all" }
    #expect(try host.command("reload").status == .exited(0))
    #expect(try host.get("/health").json["bypass"].string == "all")
    #expect(try host.send("POST", "/__diag/bypass/off", headers: headers).status == 202)
    try wait("its end") { try host.get("/health").json["bypass"].string == "off" }
  }

  @Test("who has no token, or comes from another site, changes nothing")
  func refusals() throws {
    let host = try start("admin-token = \(Self.token)")
    let own = "http://\(host.endpoints[0])"
    let refused: [(status: Int, code: String, headers: [(String, String)])] = [
      (401, "actions-unauthorized", [Self.action]),
      (401, "actions-unauthorized", [Self.action, ("Authorization", "Bearer let-me-act-2")]),
      (401, "actions-unauthorized", [Self.action, ("Cookie", "token=\(Self.token)")]),
      (403, "cross-site-action", [Self.bearer]),
      (403, "cross-site-action", [Self.bearer, Self.action, ("Sec-Fetch-Site", "cross-site")]),
      (403, "cross-site-action", [Self.bearer, Self.action, ("Sec-Fetch-Site", "same-site")]),
      (403, "cross-site-action", [Self.bearer, Self.action, ("Origin", "https://velro.ai")]),
      (403, "cross-site-action", [Self.bearer, Self.action, ("Origin", "null")]),
      (403, "cross-site-action", [Self.bearer, Self.action, ("Origin", own + "0")]),
    ]
    for (status, code, headers) in refused {
      for path in ["/__diag/quarantine/guard", "/__diag/bypass/all"] {
        let answer = try host.send("POST", path, headers: headers)
        #expect(answer.status == status, "\(headers)")
        #expect(answer.json["code"].string == code, "\(headers): \(answer.text)")
      }
    }
    for method in ["GET", "HEAD", "PUT", "DELETE"] {
      let answer = try host.send(method, "/__diag/quarantine/guard", headers: [Self.bearer, Self.action])
      #expect(answer.status == 405, "\(method)")
      #expect(answer.header("Allow") == "POST, OPTIONS")
    }
    for (path, status) in [
      ("quarantine/nobody", 404), ("bypass/everything", 404), ("release/", 404), ("quarantine", 404),
    ] {
      let answer = try host.send("POST", "/__diag/\(path)", headers: [Self.bearer, Self.action])
      #expect(answer.status == status || answer.status == 405, "\(path): \(answer.status)")
    }
    #expect(try host.plugin("guard")["state"].string == "active")
    #expect(try host.get("/health").json["bypass"].string == "off")
    // From its own page, as a browser sends it.
    let fromPage = [Self.bearer, Self.action, ("Origin", own), ("Sec-Fetch-Site", "same-origin")]
    #expect(try host.send("POST", "/__diag/quarantine/guard", headers: fromPage).status == 202)
    try host.waitFor(plugin: "guard", state: "quarantined")
    #expect(!host.log.contains(Self.token), "the log shows the token")
    #expect(!(try host.get("/__diag/config").text.contains(Self.token)))
  }

  @Test("without an admin token in the file nobody acts, on the loopback neither")
  func disabled() throws {
    let host = try start()
    let answer = try host.send("POST", "/__diag/quarantine/guard", headers: [Self.bearer, Self.action])
    #expect(answer.status == 403)
    #expect(answer.json["code"].string == "actions-disabled")
    #expect(try host.plugin("guard")["state"].string == "active")
  }

  @Test("what has failed cannot be taken out, and is released unless only another library could mend it")
  func failed() throws {
    let directory = try TemporaryDirectory()
    let wrong = try BrokenPlugin.compile("wrong-abi", in: directory)
    let broken = try BrokenPlugin.sabotaged("FaultPlugin", in: directory)
    try directory.write("sabotage", "start throw")
    let host = try HostProcess(
      HostSettings(
        host: "admin-token = \(Self.token)",
        plugins: Section.plugin("wrong", library: wrong, ["paths = /wrong"])
          + Section.plugin("broken", library: broken, ["mount = /broken", "recover = 1h"])),
      in: directory)
    for path in ["quarantine/wrong", "release/wrong", "quarantine/broken"] {
      let answer = try host.send("POST", "/__diag/\(path)", headers: [Self.bearer, Self.action])
      #expect(answer.status == 409, "\(path)")
      #expect(answer.json["code"].string == "plugin-failed", "\(path)")
    }
    #expect(try host.plugin("broken")["state"].string == "failed")
    try FileManager.default.removeItem(atPath: directory.path + "/sabotage")
    let release = try host.send("POST", "/__diag/release/broken", headers: [Self.bearer, Self.action])
    #expect(release.status == 202, "\(release.text)")
    try host.waitFor(plugin: "broken", state: "active")
  }

  // MARK: What each plugin did

  @Test("recent requests show when each plugin was entered and left, in order and within the request")
  func entryAndExit() throws {
    let host = try start()
    _ = try host.get("/fault/echo", headers: [("X-Request-Id", "timed-1")])
    let requests = try host.get("/__diag/requests").json["requests"].array
    let request = try #require(requests.first { $0["request_id"].string == "timed-1" })
    let passes = request["plugins"].array
    #expect(
      passes.map { "\($0["plugin"].string ?? "") \($0["phase"].string ?? "")" } == [
        "guard request", "fault request", "fault route", "fault response", "guard response",
      ])
    var last = 0.0
    for pass in passes {
      let entry = try #require(pass["entry_us"].number)
      let exit = try #require(pass["exit_us"].number)
      #expect(entry >= last && exit >= entry, "\(passes)")
      #expect(abs(exit - entry - (pass["duration_us"].number ?? -1)) < 0.01, "\(pass)")
      #expect(pass["outcome"].string == "passed")
      last = exit
    }
    #expect(last <= request["duration_us"].number ?? 0)
  }

  @Test(
    "at log-level = debug each plugin's entry and exit is a line with the request's id",
    arguments: ["text", "json"])
  func debugLines(format: String) throws {
    let host = try start("log-level = debug", "log-format = \(format)")
    _ = try host.get("/fault/echo", headers: [("X-Request-Id", "logged-1")])
    _ = try host.get("/fault/echo", headers: [("X-Request-Id", "logged-2"), ("X-Fault", "throw")])
    func lines(_ id: String) -> [Substring] {
      host.log.split(separator: "\n").filter {
        $0.contains(id) && ($0.contains("entry: ") || $0.contains("exit: "))
      }
    }
    try wait("the lines") {
      lines("logged-1").count == 10 && lines("logged-2").contains { $0.contains("failed") }
    }
    let words = lines("logged-1").map { line in
      let what = line.contains("entry: ") ? "entry" : "exit"
      let phase = ["request", "route", "response"].first { line.contains("\(what): \($0)") } ?? "?"
      return "\(what) \(phase) \(line.contains("guard") ? "guard" : "fault")"
    }
    #expect(
      words == [
        "entry request guard", "exit request guard", "entry request fault", "exit request fault",
        "entry route fault", "exit route fault", "entry response fault", "exit response fault",
        "entry response guard", "exit response guard",
      ])
    #expect(lines("logged-1").filter { $0.contains("exit: ") }.allSatisfy { $0.contains(" us") })
  }
}

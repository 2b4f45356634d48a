import Foundation
import PluginTesting
import Testing

/// Start, stop, and what comes between.
@Suite("Start and stop", .everyTree)
struct LifecycleTests {
  @Test(
    "SIGTERM, SIGINT and SIGQUIT end with 0, and leave no process behind",
    arguments: [SIGTERM, SIGINT, SIGQUIT])
  func stops(signal: Int32) throws {
    let host = try HostProcess(HostSettings(plugins: Section.fault()))
    let worker = try host.worker().pid
    host.process.send(signal: signal)
    #expect(try host.process.waitForExit(within: .seconds(10)) == .exited(0))
    #expect(!RunningProcess.exists(worker))
    #expect(throws: HarnessError.self) { try host.connect() }
  }

  @Test("started without standard output and error, the host writes its log nowhere, not into its own files")
  func withoutStandardDescriptors() throws {
    let directory = try TemporaryDirectory()
    let state = directory.path + "/state"
    let socket = directory.path + "/http.sock"
    let settings = HostSettings(listen: ["unix:\(socket)"], plugins: Section.fault())
    let path = try directory.write("plugins.conf", settings.text(stateDirectory: state))
    let host = try ChildProcess(
      "/bin/sh", ["-c", "exec \"$0\" run --config \"$1\" <&- >&- 2>&-", ReleaseBuild.binary, path],
      environment: ReleaseBuild.cleanEnvironment, directory: directory.path, name: "host")
    var connected: HTTPConnection?
    try wait("the host to listen", within: .seconds(30)) {
      do { connected = try HTTPConnection(.unix(path: socket)) } catch { return false }
      return true
    }
    let connection = try #require(connected)
    let worker = try #require(try connection.request("GET", "/__version").json["pid"].int)
    // What a worker's plugins write goes to the supervisor; its log is descriptor 6.
    for (pid, descriptors) in [(Int(host.pid), [0, 1, 2]), (worker, [0, 6])] {
      for descriptor in descriptors {
        let target = try FileManager.default.destinationOfSymbolicLink(
          atPath: "/proc/\(pid)/fd/\(descriptor)")
        #expect(target == "/dev/null", "\(pid), \(descriptor)")
      }
    }
    // The log, which is nowhere, cannot say whether a stand-in answers.
    try wait("the plugins") { try connection.request("GET", "/fault/echo").status == 200 }
    #expect(FileManager.default.contents(atPath: state + "/lock")?.isEmpty == true)
    host.send(signal: SIGTERM)
    #expect(try host.waitForExit(within: .seconds(20)) == .exited(0))
  }

  @Test("signals that other servers know end neither host nor worker; the log says so once")
  func idleSignals() throws {
    let host = try HostProcess(HostSettings(plugins: Section.fault()))
    let connection = try host.connect()
    let worker = try host.worker()
    let disregarded = [SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO, SIGPWR]
    for _ in 0..<2 {
      for signal in disregarded {
        host.process.send(signal: signal)
        if signal != SIGALRM { kill(worker.pid, signal) }
        // Signals of one number that come at once are one.
        try wait("signal \(signal) to be noted") { host.log.contains("signal \(signal) (") }
      }
      for signal in [SIGHUP, SIGQUIT] { kill(worker.pid, signal) }
    }
    #expect(try connection.request("GET", "/fault/echo").status == 200)
    #expect(try host.worker() == worker)
    for signal in disregarded {
      #expect(host.log.split(separator: "\n").count { $0.contains("signal \(signal) (") } == 1)
    }
    #expect(try host.stop() == .exited(0))
  }

  @Test("requests in flight are finished, then the connection is closed and the host ends with 0")
  func drains() throws {
    let host = try HostProcess(
      HostSettings(plugins: Section.fault("slow", mount: "/slow", "delay = 700ms", "paths = /slow")))
    let busy = try host.connect()
    try busy.send("GET /slow/echo HTTP/1.1\r\nHost: a\r\n\r\n")
    let idle = try host.connect()
    try wait("the request to be under way") {
      try host.get("/metrics").status == 200 && !host.log.contains("x-never")
    }
    usleep(100_000)
    host.process.send(signal: SIGTERM)
    let answer = try busy.receive()
    #expect(answer.status == 200)
    #expect(try busy.end() == .closed)
    #expect(try idle.end() == .closed)
    #expect(try host.process.waitForExit(within: .seconds(10)) == .exited(0))
  }

  @Test("an upload under way at SIGTERM is taken to its end and answered")
  func drainsUploads() throws {
    let host = try HostProcess(HostSettings(plugins: Section.fault()))
    let connection = try host.connect()
    try connection.send("POST /fault/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc")
    #expect(try connection.end(within: .milliseconds(100)) == .open)
    host.process.send(signal: SIGTERM)
    #expect(try connection.end(within: .milliseconds(200)) == .open)
    try connection.send("def")
    let answer = try connection.receive(to: "POST")
    #expect(answer.status == 200)
    #expect(answer.json["body"].string == "abcdef")
    #expect(try host.process.waitForExit(within: .seconds(10)) == .exited(0))
  }

  @Test("a host that stops refuses new connections while it finishes what is under way", arguments: [1, 3])
  func refusesNewConnections(threads: Int) throws {
    let host = try HostProcess(HostSettings(host: "threads = \(threads)", plugins: Section.fault()))
    let connection = try host.connect()
    try connection.send("POST /fault/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc")
    #expect(try connection.end(within: .milliseconds(100)) == .open)
    host.process.send(signal: SIGTERM)
    try wait("new connections to be refused") {
      do {
        _ = try host.connect()
        return false
      } catch is HarnessError {
        return true
      }
    }
    #expect(try connection.end(within: .milliseconds(100)) == .open)
    try connection.send("def")
    #expect(try connection.receive(to: "POST").status == 200)
    #expect(try host.process.waitForExit(within: .seconds(10)) == .exited(0))
  }

  @Test("a client that waited to be accepted when the host was stopped is answered")
  func acceptsThoseThatWait() throws {
    let host = try HostProcess(
      HostSettings(
        host: "threads = 1",
        plugins: Section.fault("slow", mount: "/slow", "delay = 1s", "paths = /slow")
          + Section.fault("fault", mount: "/fault", "paths = /nothing")))
    let busy = try host.connect()
    #expect(try busy.request("GET", "/health").status == 200)
    // The one loop is held up for a second; whoever comes meanwhile waits in the kernel's queue.
    try busy.send("GET /slow/echo HTTP/1.1\r\nHost: a\r\n\r\n")
    usleep(50_000)
    // More than are taken in one turn.
    let waiting = try (0..<150).map { _ in try host.connect() }
    for connection in waiting { try connection.send("GET /fault/echo HTTP/1.1\r\nHost: a\r\n\r\n") }
    host.process.send(signal: SIGTERM)
    #expect(try busy.receive().status == 200)
    for connection in waiting { #expect(try connection.receive().status == 200) }
    #expect(try host.process.waitForExit(within: .seconds(10)) == .exited(0))
  }

  @Test(
    "a second SIGINT ends at once what the first would have waited for: 130, and no fault is put down to anybody"
  )
  func interruptedTwice() throws {
    let host = try HostProcess(
      HostSettings(
        plugins: Section.fault("slow", mount: "/slow", "delay = 25s", "timeout = 60s", "paths = /slow")))
    let worker = try host.worker().pid
    let connection = try host.connect()
    try connection.send("GET /slow/echo HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(try connection.end(within: .milliseconds(100)) == .open)
    host.process.send(signal: SIGINT)
    try wait("the host to stop") { host.log.contains("interrupt once more (Ctrl-C)") }
    try wait("the end") {
      host.process.send(signal: SIGINT)
      return host.process.exitStatus() != nil
    }
    #expect(try host.process.waitForExit(within: .seconds(1)) == .exited(130))
    #expect(host.log.contains("interrupted again"))
    #expect(try connection.end() != .open)
    #expect(!RunningProcess.exists(worker))
    let faults = try FileManager.default.contentsOfDirectory(atPath: host.stateDirectory + "/faults")
    #expect(faults.isEmpty, "\(faults)")
  }

  @Test("SIGTERM twice, or a SIGINT after it, still finishes what is under way")
  func terminatedTwice() throws {
    let host = try HostProcess(HostSettings(plugins: Section.fault()))
    let connection = try host.connect()
    try connection.send("POST /fault/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc")
    #expect(try connection.end(within: .milliseconds(100)) == .open)
    host.process.send(signal: SIGTERM)
    try wait("the host to stop") { host.log.contains("stopping") }
    host.process.send(signal: SIGTERM)
    host.process.send(signal: SIGINT)
    try wait("the SIGINT to be seen") { host.log.contains("interrupt once more") }
    #expect(try connection.end(within: .milliseconds(100)) == .open)
    try connection.send("def")
    #expect(try connection.receive(to: "POST").status == 200)
    #expect(try host.process.waitForExit(within: .seconds(10)) == .exited(0))
  }

  @Test("a request that does not end is cut off after drain-timeout, and the host still ends with 0")
  func drainTimeout() throws {
    let host = try HostProcess(
      HostSettings(
        host: "drain-timeout = 500ms\nrequest-timeout = 60s",
        plugins: Section.fault("slow", mount: "/slow", "timeout = 60s")))
    let connection = try host.connect()
    try connection.send("POST /slow/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc")
    #expect(try connection.end(within: .milliseconds(100)) == .open)
    let clock = ContinuousClock()
    let begin = clock.now
    host.process.send(signal: SIGTERM)
    #expect(try host.process.waitForExit(within: .seconds(15)) == .exited(0))
    #expect(clock.now - begin > .milliseconds(400))
  }

  @Test("the state directory is the host's alone")
  func stateDirectory() throws {
    let host = try HostProcess(HostSettings(plugins: Section.fault()))
    let attributes = try FileManager.default.attributesOfItem(atPath: host.stateDirectory)
    #expect(attributes[.posixPermissions] as? Int == 0o700)
  }

  @Test("a state directory that nobody can write to is told of, and keeps no plugin from being served")
  func unwritableStateDirectory() throws {
    let directory = try TemporaryDirectory()
    // Whoever runs this, no directory can be made there.
    let text = HostSettings(plugins: Section.fault()).text(stateDirectory: "/sys/bulkhead/state")
    let host = try HostProcess(configuration: text, listeners: 1, in: directory)
    #expect(host.log.contains("the state directory cannot be written"), "\(host.log)")
    #expect(try host.get("/fault/echo").status == 200)
    #expect(try host.get("/fault/echo", headers: [("X-Fault", "trap")]).status == 503)
    try host.waitFor(plugin: "fault", state: "quarantined")
    try host.directory.write("plugins.conf", text + Section.fault("next", mount: "/next"))
    host.process.send(signal: SIGHUP)
    try wait("the edit to be taken") { try host.get("/next/echo").status == 200 }
    #expect(try host.stop() == .exited(0))
  }

  @Test("metrics are Prometheus text, and count")
  func metrics() throws {
    let host = try HostProcess(HostSettings(plugins: Section.fault()))
    for _ in 0..<7 { _ = try host.get("/fault/echo") }
    let answer = try host.get("/metrics")
    #expect(answer.header("Content-Type")?.hasPrefix("text/plain; version=0.0.4") == true)
    var names: Set<String> = []
    for line in answer.text.split(separator: "\n") where !line.hasPrefix("#") {
      let parts = line.split(separator: " ")
      #expect(parts.count == 2 && Double(parts[1]) != nil, "\(line)")
      names.insert(String(line.prefix { $0 != "{" && $0 != " " }))
    }
    #expect(names.contains { $0.contains("request") }, "\(names)")
    #expect(answer.text.contains("fault"), "a plugin's latency is among them")
    #expect(answer.text.contains("/fault/echo"), "a route's latency is among them")
  }

  @Test("each request is one line of the log, as text and as JSON", arguments: ["text", "json"])
  func accessLog(format: String) throws {
    let host = try HostProcess(HostSettings(host: "log-format = \(format)", plugins: Section.fault()))
    let id = "log-line-1"
    _ = try host.get("/fault/echo?secret=1", headers: [("X-Request-Id", id)])
    try wait("the line") { host.log.contains(id) }
    let lines = host.log.split(separator: "\n").filter { $0.contains(id) }
    #expect(lines.count == 1, "\(lines)")
    #expect(lines[0].contains("/fault/echo") && lines[0].contains("200"))
    if format == "json" {
      let json = try JSONValue(parsing: Array(lines[0].utf8))
      #expect(json["request_id"].string == id)
      #expect(json["status"].int == 200)
      for line in host.log.split(separator: "\n") {
        let line = try JSONValue(parsing: Array(line.utf8))
        #expect(line["time"].string != nil && line["message"].string != nil, "\(line)")
      }
      #expect(host.log.contains("\"message\":\"bulkhead: listening on "))
    }
  }

  @Test("a client cannot write into the log")
  func logInjection() throws {
    let host = try HostProcess(HostSettings(plugins: Section.fault()))
    _ = try host.get(
      "/fault/echo%0a%1b[31mforged", headers: [("User-Agent", "a\u{1F}b"), ("X-Request-Id", "mark")])
    _ = try host.get("/fault/echo%0Aforged", headers: [("X-Request-Id", "mark-2")])
    try wait("the line") { host.log.contains("mark-2") }
    #expect(!host.log.split(separator: "\n").contains { $0.hasPrefix("forged") })
    #expect(!host.log.contains("\u{1B}["))
  }
}

import Foundation
import PluginTesting
import Testing

/// Process managers that signal every process of a service: systemd's `KillMode=control-group`, Heroku, a shell's
/// `kill -TERM -GROUP`.
@Suite("A signal to all processes of a host")
struct SignalToAllTests {
  private func start() throws -> HostProcess {
    try HostProcess(
      HostSettings(plugins: Section.fault("slow", mount: "/slow", "delay = 700ms", "paths = /slow")))
  }

  /// A connection with a request in the plugin.
  private func busy(_ host: HostProcess) throws -> HTTPConnection {
    let connection = try host.connect()
    try connection.send("GET /slow/echo HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(try connection.end(within: .milliseconds(100)) == .open)
    return connection
  }

  @Test(
    "lets the requests in flight be finished, whichever process gets it first",
    arguments: [SIGTERM, SIGINT, SIGQUIT], [true, false])
  func drains(signal: Int32, isWorkerFirst: Bool) throws {
    let host = try start()
    let worker = try host.worker().pid
    let connection = try busy(host)
    if isWorkerFirst { kill(worker, signal) }
    host.process.send(signal: signal)
    if !isWorkerFirst { kill(worker, signal) }
    #expect(try connection.receive().status == 200)
    #expect(try connection.end() == .closed)
    #expect(try host.process.waitForExit(within: .seconds(20)) == .exited(0))
    #expect(!RunningProcess.exists(worker))
    #expect(!host.log.contains("ended by signal"), "\(host.log)")
  }

  @Test("of SIGHUP is a reload: nothing ends, and no request is lost")
  func reloads() throws {
    let host = try start()
    let worker = try host.worker()
    let connection = try busy(host)
    for pid in [worker.pid, host.process.pid] { kill(pid, SIGHUP) }
    try wait("the next generation") { try host.worker().generation > worker.generation }
    #expect(try connection.receive().status == 200)
    #expect(!host.log.contains("ended by signal"), "\(host.log)")
    #expect(try host.stop() == .exited(0))
  }

  @Test(
    "that comes to a worker alone ends nothing, and the log says who ends it", arguments: [SIGTERM, SIGINT])
  func worker(signal: Int32) throws {
    let host = try start()
    let worker = try host.worker()
    let connection = try busy(host)
    kill(worker.pid, signal)
    #expect(try connection.receive().status == 200)
    try wait("the log") {
      host.log.contains("workers end when their supervisor, pid \(host.process.pid), says so")
    }
    #expect(try host.worker() == worker)
    #expect(try host.stop() == .exited(0))
  }

  @Test("ends no worker that is only starting")
  func starting() throws {
    let host = try HostProcess(HostSettings(plugins: Section.fault()))
    // From the first moment on that it can be seen: its handlers may not be in place.
    let known = Set(try children(of: host))
    host.process.send(signal: SIGHUP)
    var next: pid_t?
    try wait("the next worker to be started", every: .microseconds(200)) {
      next = try children(of: host).first { !known.contains($0) && isWorker($0) }
      return next != nil
    }
    let worker = try #require(next)
    for _ in 0..<20 {
      kill(worker, SIGTERM)
      usleep(500)
    }
    try wait("it to serve") { try host.worker().pid == worker }
    #expect(try host.stop() == .exited(0))
  }

  private func children(of host: HostProcess) throws -> [pid_t] {
    let pid = host.process.pid
    return try String(contentsOfFile: "/proc/\(pid)/task/\(pid)/children", encoding: .utf8)
      .split(separator: " ").compactMap { pid_t($0) }
  }

  /// False for sha256sum, and for a child that is not yet a program of its own.
  private func isWorker(_ pid: pid_t) -> Bool {
    let line = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") ?? Data()
    return line.split(separator: 0).last == Data("worker".utf8)
  }
}

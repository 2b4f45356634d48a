import Foundation
import PluginTesting
import Testing

/// Addresses: IPv4, IPv6, Unix sockets, several at once, and what overrides them.
@Suite("Listeners")
struct ListenerTests {
  @Test("IPv4, IPv6 and a Unix socket serve the same host")
  func allFamilies() throws {
    let directory = try TemporaryDirectory()
    let host = try HostProcess(
      HostSettings(
        listen: ["127.0.0.1:0", "[::1]:0", "unix:\(directory.path)/http.sock"], plugins: Section.fault()),
      in: directory)
    #expect(host.endpoints.count == 3)
    let clients = try host.endpoints.indices.map { index in
      try host.connect(listener: index).request("GET", "/fault/echo").json["client"].string
    }
    #expect(clients == ["127.0.0.1", "::1", "unix"])
    for index in host.endpoints.indices {
      #expect(try host.connect(listener: index).request("GET", "/__diag/plugins").status == 200)
    }
  }

  @Test("a Unix socket is gone after the host has stopped, and one that a dead host left is taken over")
  func unixSocketLeftBehind() throws {
    let directory = try TemporaryDirectory()
    let settings = HostSettings(listen: ["unix:\(directory.path)/http.sock"], plugins: Section.fault())
    let killed = try HostProcess(settings, in: directory)
    let worker = try killed.worker().pid
    killed.process.send(signal: 9)
    _ = try killed.process.waitForExit(within: .seconds(5))
    try wait("its worker to end") { !RunningProcess.exists(worker) }
    let next = try HostProcess(settings, in: directory)
    #expect(try next.get("/fault/echo").status == 200)
    #expect(try next.stop() == .exited(0))
    #expect(throws: HarnessError.self) { try HTTPConnection(next.endpoints[0]) }
  }

  @Test("socket-mode is the mode of a Unix socket from its first moment, and after an edit")
  func socketMode() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/http.sock"
    func mode() throws -> Int? {
      try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
    }
    func settings(_ mode: String) -> HostSettings {
      HostSettings(listen: ["unix:\(path)"], host: "socket-mode = \(mode)", plugins: Section.fault())
    }
    let host = try HostProcess(settings("0660"), in: directory)
    #expect(try mode() == 0o660)
    let values = try host.get("/__diag/config").text
    #expect(values.contains("0660"), "\(values)")
    try host.rewrite(settings("0666"))
    #expect(try host.command("reload").status == .exited(0))
    #expect(try mode() == 0o666)
    #expect(try host.get("/fault/echo").status == 200)
  }

  @Test("a Unix socket whose file was deleted is made anew by a reload")
  func socketDeleted() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/http.sock"
    let host = try HostProcess(
      HostSettings(listen: ["unix:\(path)"], plugins: Section.fault()), in: directory)
    let open = try host.connect()
    #expect(try open.request("GET", "/fault/echo").status == 200)
    try FileManager.default.removeItem(atPath: path)
    #expect(try host.command("reload").status == .exited(0))
    #expect(try host.get("/fault/echo").status == 200)
    #expect(try open.request("GET", "/fault/echo").status == 200)
    #expect(try host.command("reload").status == .exited(0))
    #expect(try host.get("/fault/echo").status == 200)
    #expect(try host.stop() == .exited(0))
    #expect(!FileManager.default.fileExists(atPath: path))
  }

  @Test("PORT overrides the port, --listen the address")
  func overrides() throws {
    let first = try HostProcess(HostSettings(listen: ["127.0.0.1:1"]), environment: ["PORT": "0"])
    guard case .ipv4("127.0.0.1", let port) = first.endpoints[0] else {
      Issue.record("\(first.endpoints)")
      return
    }
    #expect(port > 1)
    let second = try HostProcess(HostSettings(listen: ["127.0.0.1:1"]), arguments: ["--listen", "[::1]:0"])
    guard case .ipv6 = second.endpoints[0] else {
      Issue.record("\(second.endpoints)")
      return
    }
    #expect(try second.get("/health").status == 200)
  }

  @Test("a port in use: exit 69, and the address is named")
  func portInUse() throws {
    let host = try HostProcess()
    let directory = try TemporaryDirectory()
    #expect {
      try HostProcess(HostSettings(listen: [host.endpoints[0].description]), in: directory)
    } throws: { error in
      guard case HarnessError.didNotStart(exit: .exited(69), let log) = error else { return false }
      return log.contains(host.endpoints[0].description)
    }
    #expect(try host.get("/health").status == 200)
  }

  @Test("an edit to an address that the host's own excludes needs a restart, says so, and changes nothing")
  func ownAddressInTheWay() throws {
    let host = try HostProcess(HostSettings(plugins: Section.fault()))
    guard case .ipv4(_, let port) = host.endpoints[0] else {
      Issue.record("\(host.endpoints)")
      return
    }
    try host.rewrite(HostSettings(listen: ["127.0.0.1:\(port)"], plugins: Section.fault()))
    let same = try host.command("reload")
    #expect(same.status == .exited(0), "the port that the kernel gave, by its number: \(same)")
    try host.rewrite(HostSettings(listen: ["0.0.0.0:\(port)"], plugins: Section.fault()))
    let reload = try host.command("reload")
    #expect(reload.status == .exited(1), "\(reload)")
    #expect((reload.output + reload.errors).contains("0.0.0.0:\(port)"), "\(reload)")
    #expect((reload.output + reload.errors).contains("needs a restart"), "\(reload)")
    #expect(try host.get("/fault/echo").status == 200)
  }

  @Test("a second host on the same state directory: exit 69, and the first serves on")
  func stateDirectoryInUse() throws {
    let host = try HostProcess()
    #expect {
      try HostProcess(HostSettings(), in: host.directory)
    } throws: { error in
      guard case HarnessError.didNotStart(exit: .exited(69), _) = error else { return false }
      return true
    }
    #expect(try host.get("/health").status == 200)
  }

  @Test("a host with few descriptors starts, and checks its plugins rightly")
  func fewDescriptors() throws {
    let directory = try TemporaryDirectory()
    let socket = directory.path + "/http.sock"
    let settings = HostSettings(listen: ["unix:\(socket)"], host: "threads = 1", plugins: Section.fault())
    let path = try directory.write(
      "plugins.conf", settings.text(stateDirectory: directory.path + "/state"))
    let limited = "ulimit -n 96; exec \"$0\" \"$@\" --config \"\(path)\""
    let check = try ReleaseBuild.run("/bin/sh", ["-c", limited, ReleaseBuild.binary, "check"])
    #expect(check.status == .exited(0), "\(check)")
    let host = try ChildProcess(
      "/bin/sh", ["-c", limited, ReleaseBuild.binary, "run"], environment: ReleaseBuild.cleanEnvironment,
      directory: directory.path, name: "host")
    try wait("the host to serve", within: .seconds(30)) {
      host.errors.contains("listening on") || host.exitStatus() != nil
    }
    #expect(
      try HTTPConnection(.unix(path: socket)).request("GET", "/fault/echo").status == 200, "\(host.errors)")
    host.send(signal: SIGTERM)
    #expect(try host.waitForExit(within: .seconds(20)) == .exited(0))
  }

  @Test("hundreds of listeners are all served")
  func manyListeners() throws {
    let directory = try TemporaryDirectory()
    let count = 520
    let host = try HostProcess(
      HostSettings(
        listen: (0..<count).map { "unix:\(directory.path)/\($0).sock" }, host: "threads = 1",
        plugins: Section.fault()), in: directory)
    for listener in [0, 255, 505, 506, count - 1] {
      #expect(try host.connect(listener: listener).request("GET", "/fault/echo").status == 200)
    }
    #expect(try host.stop() == .exited(0))
  }

  @Test("the client's address comes from a proxy only if that is trusted")
  func forwarded() throws {
    let header = ("X-Forwarded-For", "203.0.113.9, 198.51.100.7")
    let untrusting = try HostProcess(HostSettings(plugins: Section.fault()))
    #expect(try untrusting.get("/fault/echo", headers: [header]).json["client"].string == "127.0.0.1")
    let trusting = try HostProcess(
      HostSettings(host: "trusted-proxies = 127.0.0.1, 198.51.100.0/24", plugins: Section.fault()))
    #expect(try trusting.get("/fault/echo", headers: [header]).json["client"].string == "203.0.113.9")
    let forwarded = ("Forwarded", "for=\"[2001:db8::1]:4711\";proto=https")
    #expect(try trusting.get("/fault/echo", headers: [forwarded]).json["client"].string == "2001:db8::1")
    // A client that lies behind an honest proxy: the rightmost address that is no proxy's counts.
    let lie = ("X-Forwarded-For", "127.0.0.1, 203.0.113.9")
    #expect(try trusting.get("/fault/echo", headers: [lie]).json["client"].string == "203.0.113.9")
    #expect(try trusting.get("/__diag/plugins", headers: [header]).status == 403)
  }
}

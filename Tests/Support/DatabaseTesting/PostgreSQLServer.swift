import Foundation
import LinuxShims
import PluginTesting
import Synchronization

/// A PostgreSQL server of the tests' own: in a temporary directory, on a Unix socket, for as long as this process runs.
///
/// Debian's package `postgresql` has the programs. Where they are missing every test that asks for a server fails, and
/// says so.
public final class PostgreSQLServer: Sendable {
  /// One for all tests of the process.
  public static func shared() throws -> PostgreSQLServer { try first.get() }
  private static let first = Result { try PostgreSQLServer() }

  /// Proper for a URL only once it is percent-encoded; must not turn up in a message.
  public static let password = "pass/word & more"

  private let directory: String
  private let programs: String
  private let connections: Int
  private let state = Mutex<Running?>(nil)
  private let databases = Atomic<Int>(0)

  private struct Running: @unchecked Sendable {
    let process: ChildProcess
    /// The end of the server's standard input that this process holds.
    let lifeline: Int32
  }

  /// Makes a server, and waits until it answers.
  /// - Parameter connections: How many it has at a time; three of them are kept for superusers, as the tests' own role is.
  public init(connections: Int = 500) throws {
    programs = try Self.programs()
    self.connections = connections
    // Short: a socket's path has 107 bytes at most.
    directory = "/tmp/bulkhead-pg-\(getpid())-\(UUID().uuidString.prefix(8))"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    try Self.password.write(toFile: directory + "/password", atomically: true, encoding: .utf8)
    if let owner = Self.owner {
      for path in [directory, directory + "/password"] {
        try FileManager.default.setAttributes([.ownerAccountName: owner], ofItemAtPath: path)
      }
    }
    try run([
      programs + "/initdb", "-D", directory + "/data", "-U", "bulkhead", "--pwfile", directory + "/password",
      "--auth=scram-sha-256", "--no-sync", "--locale=C.UTF-8", "--encoding=UTF8",
    ])
    try start()
  }

  /// Starts the server again after `stop()`.
  public func start() throws {
    let command =
      Self.asOwner + [
        programs + "/postgres", "-D", directory + "/data", "-k", directory, "-c", "listen_addresses=",
        "-c", "fsync=off", "-c", "max_connections=\(connections)", "-c", "shared_buffers=64MB", "-c",
        "wal_level=minimal",
        "-c", "max_wal_senders=0", "-c", "superuser_reserved_connections=3", "-c", "autovacuum=off",
        "-c", "deadlock_timeout=100ms",
      ]
    // The end of standard input, and so the end of this process however it comes, ends the server.
    let script =
      "exec 3<&0; \"$@\" 3<&- </dev/null & cat <&3 >/dev/null; kill -QUIT $!; wait $!; [ -e \"$0/keep\" ] || rm -rf \"$0\""
    var pipe: [Int32] = [-1, -1]
    guard shim_pipe(&pipe) == 0 else { throw Failure(text: "pipe: \(String(cString: strerror(errno)))") }
    defer { close(pipe[0]) }
    let child: ChildProcess
    do {
      child = try ChildProcess(
        "/bin/sh", ["-c", script, directory] + command, environment: ReleaseBuild.cleanEnvironment,
        directory: directory, name: "server", input: pipe[0])
    } catch {
      close(pipe[1])
      throw error
    }
    let server = Running(process: child, lifeline: pipe[1])
    let deadline = Deadline(after: .seconds(60))
    while !isReady {
      guard child.exitStatus() == nil, !deadline.hasPassed else {
        close(pipe[1])
        throw Failure(text: "PostgreSQL does not start: \(child.output)\(child.errors)")
      }
      usleep(20_000)
    }
    state.withLock { $0 = server }
  }

  /// Ends the server at once, as a crash would: every connection is cut, and the next start recovers.
  public func stop() throws {
    try state.withLock { state in
      guard let server = state else { return }
      state = nil
      try Data().write(to: URL(fileURLWithPath: directory + "/keep"))
      close(server.lifeline)
      _ = try server.process.waitForExit(within: .seconds(60))
      try FileManager.default.removeItem(atPath: directory + "/keep")
    }
  }

  deinit {
    do {
      try stop()
      try FileManager.default.removeItem(atPath: directory)
    } catch {
      print("the test server is left behind in \(directory): \(error)")
    }
  }

  /// The URL of a database of this server.
  public func url(_ database: String, password: String = PostgreSQLServer.password) -> String {
    let encoded = password.utf8.map {
      "%" + (String($0, radix: 16).count < 2 ? "0" : "") + String($0, radix: 16)
    }
    return
      "postgres://bulkhead:\(encoded.joined())@/\(database)?host=\(directory.replacingOccurrences(of: "/", with: "%2F"))"
  }

  /// Makes a role that is no superuser, and an empty database of its own.
  /// - Returns: The URL.
  public func makeTenant(_ role: String) throws -> String {
    try sql("CREATE ROLE \(role) LOGIN PASSWORD '\(Self.password)'")
    try sql("CREATE DATABASE \(role) OWNER \(role)")
    return url(role).replacing("postgres://bulkhead:", with: "postgres://\(role):")
  }

  /// Lets so many connections of the role be made; those that are there stay. -1: as many as the server has.
  public func limit(_ role: String, to count: Int) throws {
    try sql("ALTER ROLE \(role) CONNECTION LIMIT \(count)")
  }

  /// Makes an empty database.
  /// - Returns: Its name.
  public func makeDatabase() throws -> String {
    let name = "t\(databases.add(1, ordering: .relaxed).newValue)"
    try sql("CREATE DATABASE \(name)")
    return name
  }

  /// Removes a database, whoever is connected to it.
  public func drop(_ database: String) throws { try sql("DROP DATABASE \(database) WITH (FORCE)") }

  /// Runs statements with `psql`: what an operator could do, past any code of ours.
  /// - Returns: Its output, unaligned.
  @discardableResult
  public func sql(_ statements: String, in database: String = "postgres") throws -> String {
    try run([
      programs + "/psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statements, url(database),
    ])
  }

  private var isReady: Bool {
    do {
      try run([programs + "/psql", "-X", "-q", "-c", "SELECT 1", url("postgres")])
      return true
    } catch {
      return false
    }
  }

  @discardableResult
  private func run(_ command: [String]) throws -> String {
    let result = try ReleaseBuild.run(
      "/usr/bin/env", ["--chdir=/"] + (command[0].hasSuffix("initdb") ? Self.asOwner : []) + command,
      within: .seconds(120))
    let text = result.output + result.errors
    guard result.status == .exited(0) else {
      throw Failure(text: "\(command[0]) ended with \(result.status): \(text)")
    }
    return text.trimmingCharacters(in: .newlines)
  }

  /// PostgreSQL refuses to run as root.
  private static var owner: String? {
    guard getuid() == 0 else { return nil }
    return getpwnam("postgres") == nil ? "nobody" : "postgres"
  }

  private static var asOwner: [String] {
    guard let owner, let entry = getpwnam(owner)?.pointee else { return [] }
    return ["setpriv", "--reuid=\(entry.pw_uid)", "--regid=\(entry.pw_gid)", "--clear-groups", "--"]
  }

  private static func programs() throws -> String {
    let root = "/usr/lib/postgresql"
    let versions =
      FileManager.default.fileExists(atPath: root)
      ? try FileManager.default.contentsOfDirectory(atPath: root) : []
    let folders = versions.compactMap { Int($0) }.sorted(by: >).map { "\(root)/\($0)/bin" } + ["/usr/bin"]
    guard
      let folder = folders.first(where: { FileManager.default.isExecutableFile(atPath: $0 + "/postgres") })
    else {
      throw Failure(text: "PostgreSQL's server is not installed: apt-get install postgresql")
    }
    return folder
  }

  public struct Failure: Error, CustomStringConvertible {
    let text: String
    public var description: String { text }
  }
}

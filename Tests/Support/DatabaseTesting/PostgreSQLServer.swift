import Foundation
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
  private let state = Mutex<Process?>(nil)
  private let databases = Atomic<Int>(0)

  /// Makes a server, and waits until it answers.
  public init() throws {
    programs = try Self.programs()
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
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/sh")
    let command =
      Self.asOwner + [
        programs + "/postgres", "-D", directory + "/data", "-k", directory, "-c", "listen_addresses=",
        "-c", "fsync=off", "-c", "max_connections=500", "-c", "shared_buffers=64MB", "-c",
        "wal_level=minimal",
        "-c", "max_wal_senders=0", "-c", "superuser_reserved_connections=3", "-c", "autovacuum=off",
        "-c", "deadlock_timeout=100ms",
      ]
    // The end of standard input, and so the end of this process however it comes, ends the server.
    process.arguments =
      [
        "-c",
        "exec 3<&0; \"$@\" 3<&- </dev/null & cat <&3 >/dev/null; kill -QUIT $!; wait $!; [ -e \"$0/keep\" ] || rm -rf \"$0\"",
        directory,
      ] + command
    process.standardInput = Pipe()
    let log = directory + "/log"
    try Data().write(to: URL(fileURLWithPath: log))
    process.standardOutput = FileHandle(forWritingAtPath: log)
    process.standardError = FileHandle(forWritingAtPath: log)
    try process.run()
    state.withLock { $0 = process }
    let deadline = Date(timeIntervalSinceNow: 60)
    while !isReady {
      guard process.isRunning, Date() < deadline else {
        throw Failure(text: "PostgreSQL does not start: \(logText)")
      }
      usleep(20_000)
    }
  }

  /// Ends the server at once, as a crash would: every connection is cut, and the next start recovers.
  public func stop() throws {
    guard let process = state.withLock({ $0 }), let input = process.standardInput as? Pipe else { return }
    try Data().write(to: URL(fileURLWithPath: directory + "/keep"))
    try input.fileHandleForWriting.close()
    process.waitUntilExit()
    try FileManager.default.removeItem(atPath: directory + "/keep")
    state.withLock { $0 = nil }
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

  private var logText: String {
    FileManager.default.contents(atPath: directory + "/log").map { String(decoding: $0, as: UTF8.self) } ?? ""
  }

  @discardableResult
  private func run(_ command: [String]) throws -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = (command[0].hasSuffix("initdb") ? Self.asOwner : []) + command
    process.currentDirectoryURL = URL(fileURLWithPath: "/")
    let output = Pipe()
    process.standardOutput = output
    process.standardError = output
    try process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      throw Failure(text: "\(command[0]) ended with \(process.terminationStatus): \(text)")
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

import Foundation
import PluginTesting

/// A real Redis on a free port of the loopback, in a directory of its own, that keeps nothing on disk.
///
/// It is ended when the value goes, by its process id. One thread at a time.
public final class RedisServer {
  public let port: UInt16
  private let directory: TemporaryDirectory
  private let arguments: [String]
  private var process: ChildProcess?

  /// - Parameter arguments: further ones: `["--requirepass", "secret"]`.
  /// - Throws: `HarnessError.system` if there is no redis-server, `.timedOut` if it does not become ready.
  public init(_ arguments: [String] = []) throws {
    directory = try TemporaryDirectory()
    self.arguments = arguments
    port = try RedisServer.freePort()
    try start()
  }

  deinit { kill() }

  /// `redis://127.0.0.1:PORT`
  public var address: String { "redis://127.0.0.1:\(port)" }

  /// Its id, while it runs.
  public var pid: pid_t? { process?.pid }

  /// Starts it, empty, on the same port as before.
  public func start() throws {
    guard let executable = RedisServer.executable else {
      throw HarnessError.system(call: "redis-server", reason: "not found; install the package redis-server")
    }
    let child = try ChildProcess(
      executable,
      [
        "--port", "\(port)", "--bind", "127.0.0.1", "--dir", directory.path, "--save", "", "--appendonly",
        "no",
        "--daemonize", "no",
      ] + arguments, environment: ["PATH": "/usr/bin:/bin"], directory: directory.path, name: "redis")
    process = child
    try wait("redis-server to be ready") {
      if let status = child.exitStatus() {
        throw HarnessError.didNotStart(exit: status, log: child.output + child.errors)
      }
      return child.output.contains("Ready to accept connections")
    }
  }

  /// SIGKILL: its connections are reset, and what it knew is lost.
  public func kill() { process = nil }

  /// SIGSTOP: it keeps its connections, even accepts new ones, and answers nothing.
  public func freeze() { process?.send(signal: SIGSTOP) }

  /// SIGCONT.
  public func thaw() { process?.send(signal: SIGCONT) }

  private static let executable: String? = ["/usr/bin/redis-server", "/usr/local/bin/redis-server"]
    .first { path in access(path, X_OK) == 0 }

  /// A port that is free now. Redis can not be given port 0 and asked which it became.
  private static func freePort() throws -> UInt16 {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let code = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
        bind(descriptor, raw, size) == 0 ? getsockname(descriptor, raw, &size) : -1
      }
    }
    guard code == 0 else { throw HarnessError.system(call: "bind", reason: String(cString: strerror(errno))) }
    return UInt16(bigEndian: address.sin_port)
  }
}

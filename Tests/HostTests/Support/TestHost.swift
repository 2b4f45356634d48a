import Foundation
import Synchronization

@testable import bulkhead

/// One worker with its loops inside the test's process, on a port of the kernel's choosing.
///
/// Plugins are loaded as a real worker loads them; there is no supervisor. A worker cannot be unmade, so it lives as long
/// as the process; `deinit` lets its loops run dry.
final class TestHost {
  let worker: Worker
  let port: UInt16

  /// - Parameters:
  ///   - host: further lines of `[host]`.
  ///   - sections: the rest of the file.
  ///   - environment: for the bypass switches.
  ///   - isBare: as the supervisor says after a crash loop.
  init(
    host: String = "", _ sections: String = "", environment: [String: String] = [:], isBare: Bool = false
  ) throws {
    TestHost.quieten()
    let text = """
      [host]
      listen = 127.0.0.1:0
      threads = 1
      plugin-path = \(try ActorPlugin.directory.get())
      log-level = error
      \(host)

      \(sections)
      """
    let configuration = try ConfigurationFile.parse(
      text: text, path: "/tmp/plugins.conf", environment: environment
    )
    .get()
    let memory = try SharedMemory.create()
    SharedMemory.current = memory
    let listener = try Listener.open(configuration.host.listen[0])
    port = try TestHost.port(of: listener.text)
    var manifest = Manifest()
    manifest.isBare = isBare
    worker = Worker(manifest: manifest, configuration: configuration, listeners: [listener], memory: memory)
    _ = Unmanaged.passRetained(worker)
    try worker.prepare(culprits: [])
    worker.startAccepting()
  }

  deinit { worker.drain() }

  private static func port(of address: String) throws -> UInt16 {
    guard let text = address.split(separator: ":").last, let port = UInt16(text) else {
      throw TestFailure("\(address) has no port")
    }
    return port
  }

  /// The host writes its errors to standard error, and these tests make many.
  private static func quieten() {
    signal(SIGPIPE, SIG_IGN)
    Log.shared.configure(level: .error, format: .text)
  }

  func connect() throws -> TestClient { try TestClient(port: port) }

  /// One request on a connection of its own.
  func send(
    _ method: String = "GET", _ target: String, _ fields: [(String, String)] = [], body: String? = nil
  ) throws
    -> TestResponse
  {
    let client = try connect()
    client.send(TestClient.request(method, target, fields, body: body))
    return try client.receive(to: method)
  }

  func plugin(_ name: String) -> Plugin { worker.plugins.first { $0.name == name }! }
}

struct TestFailure: Error, CustomStringConvertible {
  var description: String
  init(_ description: String) { self.description = description }
}

/// Waits for a condition, not for a time.
func wait(for what: String, within seconds: Double = 10, _ isTrue: () throws -> Bool) throws {
  let deadline = Date(timeIntervalSinceNow: seconds)
  while try !isTrue() {
    guard Date() < deadline else { throw TestFailure("timed out: \(what)") }
    usleep(1000)
  }
}

/// Set once, by any thread.
final class DoneFlag: Sendable {
  private let flag = Atomic<Bool>(false)
  func set() { flag.store(true, ordering: .releasing) }
  var isSet: Bool { flag.load(ordering: .acquiring) }
}

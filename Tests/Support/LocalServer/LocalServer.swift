import Foundation
import Synchronization

/// A small HTTP/1.1 server on a port of loopback, for tests of clients: it answers as it is told, also badly. Any thread.
///
/// Each connection has a thread of its own. It is closed, with all connections, when the value goes.
public final class LocalServer: Sendable {
  /// What a client has sent.
  public struct Request: Sendable {
    public let method: String
    /// Path and query.
    public let target: String
    /// Names in lower case.
    public let headers: [String: String]
    public let body: [UInt8]
    /// Counts the server's requests, from 1.
    public let number: Int

    public var text: String { String(decoding: body, as: UTF8.self) }
  }

  public enum Reply: Sendable {
    /// With a Content-Length of its own.
    case answer(Int, headers: [(String, String)] = [], body: [UInt8] = [])
    /// These bytes, and the end of the connection.
    case raw([UInt8])
    /// Bytes one at a time, with a pause before each, until they are out or the client has gone.
    case drip([UInt8], pause: Duration)
    /// Nothing, until the client goes or the server is closed.
    case silence
    /// The end of the connection, without a byte.
    case hangUp

    public static func json(_ text: String, status: Int = 200, headers: [(String, String)] = []) -> Reply {
      .answer(status, headers: headers + [("Content-Type", "application/json")], body: Array(text.utf8))
    }
  }

  public typealias Handler = @Sendable (Request) -> Reply

  fileprivate struct State {
    var isClosed = false
    var connections: Set<Int32> = []
    var accepted = 0
    var requests: [Request] = []
    var handler: Handler
  }

  /// What the server's threads keep, which the test's hold on the server does not hang on.
  fileprivate final class Shared: Sendable {
    let state: Mutex<State>
    let threads = DispatchGroup()

    init(_ handler: @escaping Handler) { state = Mutex(State(handler: handler)) }
  }

  public let port: UInt16
  private let listener: Int32
  private let shared: Shared

  /// Listens, and answers at once.
  /// - Parameter port: 0: the kernel chooses.
  public init(port: UInt16 = 0, _ handler: @escaping Handler) throws {
    signal(SIGPIPE, SIG_IGN)
    (listener, self.port) = try Self.listen(port)
    shared = Shared(handler)
    shared.threads.enter()
    Thread.detachNewThread { [listener, shared] in
      while true {
        let connection = accept(listener, nil, nil)
        guard connection >= 0 else { break }
        _ = fcntl(connection, F_SETFD, FD_CLOEXEC)
        shared.serve(connection)
      }
      _ = Glibc.close(listener)
      shared.threads.leave()
    }
  }

  deinit { shutDown() }

  public var url: String { "http://127.0.0.1:\(port)" }
  /// What has arrived so far, in order.
  public var requests: [Request] { shared.state.withLock { $0.requests } }
  /// How many connections were accepted.
  public var connectionCount: Int { shared.state.withLock { $0.accepted } }

  /// Answers otherwise from now on.
  public func handle(_ handler: @escaping Handler) { shared.state.withLock { $0.handler = handler } }

  /// Ends it, and waits for its threads.
  public func close() {
    shutDown()
    shared.threads.wait()
  }

  private func shutDown() {
    shared.state.withLock { state in
      for connection in state.connections { _ = shutdown(connection, Int32(SHUT_RDWR)) }
      // Its number may be another's once its thread has closed it.
      if !state.isClosed { _ = shutdown(listener, Int32(SHUT_RDWR)) }
      state.isClosed = true
    }
  }

  private static func listen(_ port: UInt16) throws -> (Int32, UInt16) {
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var one: Int32 = 1
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isBound = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listener, $0, length) == 0 && Glibc.listen(listener, 128) == 0
          && getsockname(listener, $0, &length) == 0
      }
    }
    guard isBound else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
    return (listener, UInt16(bigEndian: address.sin_port))
  }
}

extension LocalServer.Shared {
  fileprivate func serve(_ descriptor: Int32) {
    let isServed = state.withLock { state in
      guard !state.isClosed else { return false }
      state.accepted += 1
      state.connections.insert(descriptor)
      return true
    }
    guard isServed else {
      _ = close(descriptor)
      return
    }
    threads.enter()
    let connection = ServedConnection(descriptor)
    Thread.detachNewThread { [self] in
      while let head = connection.readRequest() {
        let (handler, request) = take(head)
        if !connection.write(handler(request)) { break }
      }
      state.withLock { state in
        state.connections.remove(descriptor)
        _ = close(descriptor)
      }
      threads.leave()
    }
  }

  private func take(_ head: ServedConnection.Head) -> (LocalServer.Handler, LocalServer.Request) {
    state.withLock { state in
      let request = LocalServer.Request(
        method: head.method, target: head.target, headers: head.headers, body: head.body,
        number: state.requests.count + 1)
      state.requests.append(request)
      return (state.handler, request)
    }
  }
}

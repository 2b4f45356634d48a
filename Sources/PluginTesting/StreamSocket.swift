import Foundation

/// How a connection stands when it is looked at.
public enum ConnectionEnd: Sendable, Equatable {
  /// Nothing to read, and not closed.
  case open
  /// The peer has sent FIN: a clean end.
  case closed
  /// The peer has sent RST.
  case reset
  /// There are bytes that nobody asked for.
  case unexpected([UInt8])
}

/// A connected stream socket, non-blocking, with a deadline on every wait. One thread at a time.
final class StreamSocket {
  private let descriptor: Int32

  /// - Parameter receiveBuffer: SO_RCVBUF in bytes, set before connecting so that the window follows it.
  /// - Throws: `HarnessError.system`, among others for a refused connection.
  init(to endpoint: Endpoint, receiveBuffer: Int?) throws {
    let family =
      switch endpoint {
      case .ipv4: AF_INET
      case .ipv6: AF_INET6
      case .unix: AF_UNIX
      }
    descriptor = socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw StreamSocket.failure("socket") }
    if var size = receiveBuffer.map({ Int32(clamping: $0) }) {
      setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
    }
    if family != AF_UNIX {
      var one: Int32 = 1
      setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
    }
    do {
      try connect(to: endpoint)
    } catch {
      close(descriptor)
      throw error
    }
    _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
  }

  deinit { close(descriptor) }

  private func connect(to endpoint: Endpoint) throws {
    var storage = sockaddr_storage()
    let length: Int
    switch endpoint {
    case .ipv4(let address, let port):
      var value = sockaddr_in()
      value.sin_family = sa_family_t(AF_INET)
      value.sin_port = port.bigEndian
      guard inet_pton(AF_INET, address, &value.sin_addr) == 1 else {
        throw StreamSocket.failure("inet_pton", EINVAL)
      }
      length = StreamSocket.copy(value, into: &storage)
    case .ipv6(let address, let port):
      var value = sockaddr_in6()
      value.sin6_family = sa_family_t(AF_INET6)
      value.sin6_port = port.bigEndian
      guard inet_pton(AF_INET6, address, &value.sin6_addr) == 1 else {
        throw StreamSocket.failure("inet_pton", EINVAL)
      }
      length = StreamSocket.copy(value, into: &storage)
    case .unix(let path):
      var value = sockaddr_un()
      value.sun_family = sa_family_t(AF_UNIX)
      let bytes = Array(path.utf8)
      let capacity = MemoryLayout.size(ofValue: value.sun_path)
      guard bytes.count < capacity else { throw StreamSocket.failure("connect", ENAMETOOLONG) }
      withUnsafeMutableBytes(of: &value.sun_path) { $0.copyBytes(from: bytes) }
      length = StreamSocket.copy(value, into: &storage)
    }
    let result = withUnsafePointer(to: &storage) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Glibc.connect(descriptor, $0, socklen_t(length))
      }
    }
    guard result == 0 else { throw StreamSocket.failure("connect to \(endpoint)") }
  }

  private static func copy<Address>(_ address: Address, into storage: inout sockaddr_storage) -> Int {
    withUnsafeBytes(of: address) { source in
      withUnsafeMutableBytes(of: &storage) { $0.copyMemory(from: source) }
    }
    return MemoryLayout<Address>.size
  }

  /// Sends all of `bytes`. A peer that has closed is no error here: its answer, or its end, is still to be
  /// read.
  ///
  /// - Returns: how many bytes the peer's side took.
  @discardableResult
  func send(_ bytes: [UInt8], deadline: Deadline) throws -> Int {
    var sent = 0
    while sent < bytes.count {
      let count = bytes.withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress! + sent, $0.count - sent, Int32(MSG_NOSIGNAL))
      }
      if count >= 0 {
        sent += count
      } else if errno == EAGAIN {
        guard try poll(Int16(POLLOUT), deadline) else {
          throw HarnessError.timedOut("the peer takes no more bytes")
        }
      } else if errno == EPIPE || errno == ECONNRESET {
        return sent
      } else if errno != EINTR {
        throw StreamSocket.failure("send")
      }
    }
    return sent
  }

  /// Sends as many of `bytes` as go at once; 0 if none do before the deadline.
  func sendSome(_ bytes: [UInt8], deadline: Deadline) throws -> Int {
    while true {
      let count = bytes.withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress!, $0.count, Int32(MSG_NOSIGNAL))
      }
      if count >= 0 { return count }
      switch errno {
      case EAGAIN: if try !poll(Int16(POLLOUT), deadline) { return 0 }
      case EINTR: continue
      default: throw StreamSocket.failure("send")
      }
    }
  }

  /// The next bytes; empty at the end of the stream; nil if none came before the deadline.
  ///
  /// - Throws: `HarnessError.reset`.
  func receive(upTo limit: Int = 1 << 16, deadline: Deadline) throws -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: limit)
    while true {
      let count = recv(descriptor, &bytes, limit, 0)
      if count >= 0 { return Array(bytes[..<count]) }
      switch errno {
      case EAGAIN: if try !poll(Int16(POLLIN), deadline) { return nil }
      case EINTR: continue
      case ECONNRESET: throw HarnessError.reset
      default: throw StreamSocket.failure("recv")
      }
    }
  }

  /// Sends FIN; reading goes on.
  func shutdownWrite() { _ = shutdown(descriptor, Int32(SHUT_WR)) }

  /// Makes the close that follows send RST.
  func lingerZero() {
    var option = linger(l_onoff: 1, l_linger: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
  }

  private func poll(_ events: Int16, _ deadline: Deadline) throws -> Bool {
    while true {
      var entry = pollfd(fd: descriptor, events: events, revents: 0)
      let result = Glibc.poll(&entry, 1, deadline.pollMilliseconds)
      if result > 0 { return true }
      if result == 0 { if deadline.hasPassed { return false } else { continue } }
      if errno != EINTR { throw StreamSocket.failure("poll") }
    }
  }

  static func failure(_ call: String, _ code: Int32 = errno) -> HarnessError {
    .system(call: call, reason: String(cString: strerror(code)))
  }
}

import Foundation
import PluginTesting

/// Stands between a client and a server on the loopback, and hands on what the client sends in pieces as small as TCP's
/// segments are on a real way, so far apart that the server reads most of them one by one.
///
/// It ends when the value goes.
public final class SegmentingRelay: Sendable {
  public let port: UInt16
  private let listener: Int32

  /// Bytes in a TCP segment of an Ethernet.
  public static let segment = 1460
  /// Between two pieces, in microseconds.
  private static let pause: UInt32 = 2000

  /// - Parameters:
  ///   - server: The port on 127.0.0.1 that is relayed to.
  ///   - segment: Bytes in a piece, 1 or more.
  public init(to server: UInt16, segment: Int = SegmentingRelay.segment) throws {
    let descriptor = SegmentingRelay.socket()
    var address = SegmentingRelay.loopback(0)
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isBound = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, length) == 0 && listen(descriptor, 16) == 0
          && getsockname(descriptor, $0, &length) == 0
      }
    }
    guard isBound else {
      let reason = String(cString: strerror(errno))
      close(descriptor)
      throw HarnessError.system(call: "listen on the loopback", reason: reason)
    }
    listener = descriptor
    port = UInt16(bigEndian: address.sin_port)
    Thread.detachNewThread { SegmentingRelay.serve(descriptor, server, segment) }
  }

  /// Wakes the thread, which then closes the socket.
  deinit { shutdown(listener, Int32(SHUT_RDWR)) }

  private static func socket() -> Int32 {
    Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
  }

  private static func loopback(_ port: UInt16) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    return address
  }

  private static func serve(_ listener: Int32, _ server: UInt16, _ segment: Int) {
    defer { close(listener) }
    while true {
      let client = accept(listener, nil, nil)
      if client < 0 {
        if errno == EINTR || errno == ECONNABORTED { continue }
        return
      }
      Thread.detachNewThread { relay(client, server, segment) }
    }
  }

  private static func relay(_ client: Int32, _ server: UInt16, _ segment: Int) {
    defer { close(client) }
    let onward = socket()
    guard onward >= 0 else { return }
    defer { close(onward) }
    var address = loopback(server)
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(onward, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard result == 0 else { return }
    var one: Int32 = 1
    setsockopt(onward, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
    let back = DispatchGroup()
    back.enter()
    Thread.detachNewThread {
      copy(from: onward, to: client, upTo: 1 << 16, pause: 0)
      back.leave()
    }
    copy(from: client, to: onward, upTo: segment, pause: pause)
    // The descriptors are closed only when neither thread uses them.
    back.wait()
  }

  /// Until either end is over; then says so to the other.
  private static func copy(from source: Int32, to destination: Int32, upTo limit: Int, pause: UInt32) {
    defer { shutdown(destination, Int32(SHUT_WR)) }
    var bytes = [UInt8](repeating: 0, count: limit)
    while true {
      let count = recv(source, &bytes, limit, 0)
      guard count > 0 else { return }
      var sent = 0
      while sent < count {
        let taken = bytes[sent..<count].withUnsafeBytes {
          send(destination, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
        }
        guard taken > 0 else { return }
        sent += taken
      }
      if pause > 0 { usleep(pause) }
    }
  }
}

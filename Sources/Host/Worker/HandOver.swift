import Glibc
import LinuxShims

/// The way on which an outgoing worker passes its connections to the next: one packet a connection, its descriptor
/// (SCM_RIGHTS) with a byte of flags and the bytes that were read and not yet answered.
///
/// A connection is passed between requests only: its first unread byte is the first of a request.
struct HandOver: Sendable {
  let socket: FileDescriptor

  private static let isTCPFlag: UInt8 = 1
  /// What fits into one packet of the socket, with room to spare; a longer head is read to its end here.
  static let maxBytes = 96 << 10
  private static let patience: Int32 = 1000

  /// Outgoing worker, any loop's thread. False if the next worker takes no more.
  func send(_ connection: FileDescriptor, isTCP: Bool, unread: UnsafeRawBufferPointer) -> Bool {
    var packet = [isTCP ? HandOver.isTCPFlag : 0]
    packet.append(contentsOf: unread)
    while true {
      let sent = packet.withUnsafeBytes {
        shim_send_descriptor(socket.raw, $0.baseAddress, $0.count, connection.raw)
      }
      if sent == packet.count { return true }
      switch errno {
      case EINTR: continue
      case EAGAIN, ENOBUFS, ETOOMANYREFS:
        var wait = pollfd(fd: socket.raw, events: Int16(POLLOUT), revents: 0)
        guard poll(&wait, 1, HandOver.patience) > 0, wait.revents & Int16(POLLOUT) != 0 else { return false }
      default: return false
      }
    }
  }

  /// Next worker, on a thread of its own: gives each connection to a loop in turn, until the outgoing worker ends.
  func receive(into loops: [EventLoop]) {
    var buffer = [UInt8](repeating: 0, count: HandOver.maxBytes + 1)
    var next = 0
    while true {
      var raw: Int32 = -1
      let count = shim_receive_descriptor(socket.raw, &buffer, buffer.count, &raw)
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { break }
      guard raw >= 0 else { continue }
      let passed = PassedConnection(
        descriptor: FileDescriptor(raw: raw), isTCP: buffer[0] & HandOver.isTCPFlag != 0,
        unread: Array(buffer[1..<count]))
      loops[next].post(.adopt(passed))
      next = (next + 1) % loops.count
    }
    socket.close()
  }
}

/// A connection that another worker began.
struct PassedConnection: Sendable {
  var descriptor: FileDescriptor
  var isTCP: Bool
  /// The beginning of a request, or several.
  var unread: [UInt8] = []

  /// The other end; "unix" if the kernel does not know it any more.
  var peer: Peer {
    var address = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let result = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getpeername(descriptor.raw, $0, &length) }
    }
    return isTCP && result == 0 ? Peer(&address) : Peer.unix()
  }
}

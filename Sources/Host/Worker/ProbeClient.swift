import Glibc
import LinuxShims

/// A client of the worker's own, over a socket pair: the request takes the way that every request takes.
enum ProbeClient {
  private static let timeoutSeconds = 10

  /// The status of the answer. Blocks the calling thread, which must be no loop's. When it returns, the loop's recent
  /// requests have this one.
  ///
  /// - Parameter id: the request's.
  static func send(_ probe: Probe, id: String, to loop: EventLoop) throws(SystemError) -> Int {
    var pair: [Int32] = [-1, -1]
    let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    try checked("socketpair") { socketpair(AF_UNIX, type, 0, &pair) }
    let ours = FileDescriptor(raw: pair[0])
    let theirs = FileDescriptor(raw: pair[1])
    defer { ours.close() }
    try theirs.setNonBlocking()
    var timeout = timeval(tv_sec: timeoutSeconds, tv_usec: 0)
    try checked("setsockopt") {
      setsockopt(ours.raw, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    }
    loop.post(.adopt(PassedConnection(descriptor: theirs, isTCP: false)))
    let request = Array(
      "\(probe.method) \(probe.target) HTTP/1.1\r\nHost: probe\r\nX-Request-Id: \(id)\r\nConnection: close\r\n\r\n"
        .utf8)
    try ours.writeAll(request)
    return try readStatus(ours)
  }

  private static func readStatus(_ descriptor: FileDescriptor) throws(SystemError) -> Int {
    var head: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 512)
    while head.count < 12 {
      let count = read(descriptor.raw, &chunk, chunk.count)
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { throw SystemError("read", count == 0 ? ECONNRESET : errno) }
      head += chunk[..<count]
    }
    // "HTTP/1.1 200"
    return Int(String(decoding: head[9..<12], as: UTF8.self)) ?? 0
  }
}

import Glibc
import LinuxShims

/// A listening socket, opened by the supervisor and shared by all workers.
struct Listener: Sendable {
  let descriptor: FileDescriptor
  /// As the operator reads it, with the port that the kernel gave: `127.0.0.1:8080`, `[::1]:80`, `unix:/run/x.sock`.
  let text: String
  let isTCP: Bool

  static let backlog: Int32 = 4096

  /// Binds and listens.
  ///
  /// - Parameter mode: permissions of a Unix socket's file.
  static func open(_ address: ListenAddress, mode: UInt32? = nil) throws(SystemError) -> Listener {
    switch address {
    case .ipv4(let text, let port):
      var socket = sockaddr_in()
      socket.sin_family = sa_family_t(AF_INET)
      socket.sin_port = port.bigEndian
      inet_pton(AF_INET, text, &socket.sin_addr)
      let descriptor = try bound(AF_INET, &socket)
      return Listener(
        descriptor: descriptor, text: "\(text):\(try port == 0 ? assignedPort(descriptor) : port)",
        isTCP: true)
    case .ipv6(let text, let port):
      var socket = sockaddr_in6()
      socket.sin6_family = sa_family_t(AF_INET6)
      socket.sin6_port = port.bigEndian
      inet_pton(AF_INET6, text, &socket.sin6_addr)
      let descriptor = try bound(AF_INET6, &socket)
      return Listener(
        descriptor: descriptor, text: "[\(text)]:\(try port == 0 ? assignedPort(descriptor) : port)",
        isTCP: true)
    case .unix(let path):
      return Listener(descriptor: try unixSocket(path, mode), text: "unix:\(path)", isTCP: false)
    }
  }

  /// - Throws: if the descriptor is none that a client could connect to: a worker with it must not count as ready.
  func verify() throws(SystemError) {
    var isListening: Int32 = 0
    var size = socklen_t(MemoryLayout<Int32>.size)
    try checked("listener \(text)") {
      getsockopt(descriptor.raw, SOL_SOCKET, SO_ACCEPTCONN, &isListening, &size)
    }
    guard isListening != 0 else { throw SystemError("listener \(text)", EINVAL) }
  }

  /// False if somebody has shut it down (shutdown(2)), in whichever process.
  var isListening: Bool {
    var state = pollfd(fd: descriptor.raw, events: 0, revents: 0)
    return poll(&state, 1, 0) >= 0 && state.revents & Int16(POLLHUP | POLLERR | POLLNVAL) == 0
  }

  /// A new socket at the same address, under the same descriptor. Processes that have the old one keep that.
  ///
  /// - Throws: when the address cannot be had; then nothing has changed.
  func reopen(mode: UInt32?) throws(SystemError) {
    let address: ListenAddress
    do throws(InvalidValue) {
      address = try ListenAddress.parse(text, paths: FilePaths(directory: ""))
    } catch {
      throw SystemError("listen \(text)", EINVAL)
    }
    let made = try Listener.open(address, mode: mode)
    defer { made.descriptor.close() }
    try checked("dup2") { dup2(made.descriptor.raw, descriptor.raw) }
    try checked("fcntl") { fcntl(descriptor.raw, F_SETFD, FD_CLOEXEC) }
  }

  /// Should a plugin clear O_NONBLOCK, which it does for all processes that have the socket open, accept(2) comes back all the
  /// same when nobody waits (SO_RCVTIMEO, socket(7)).
  private static func boundWaiting(_ raw: Int32) throws(SystemError) {
    var limit = timeval(tv_sec: 0, tv_usec: 1000)
    try checked("setsockopt") {
      setsockopt(raw, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }
  }

  /// Sets O_NONBLOCK anew. True if it was cleared.
  func mendFlags() -> Bool {
    let flags = fcntl(descriptor.raw, F_GETFL)
    guard flags >= 0, flags & O_NONBLOCK == 0 else { return false }
    return fcntl(descriptor.raw, F_SETFL, flags | O_NONBLOCK) == 0
  }

  private static func bound<Address>(_ family: Int32, _ address: inout Address) throws(SystemError)
    -> FileDescriptor
  {
    let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    let raw = try checked("socket") { socket(family, type, 0) }
    do throws(SystemError) {
      var on: Int32 = 1
      let size = socklen_t(MemoryLayout<Int32>.size)
      try checked("setsockopt") { setsockopt(raw, SOL_SOCKET, SO_REUSEADDR, &on, size) }
      if family == AF_INET6 {
        // [::]:80 beside 0.0.0.0:80 is two sockets, as in nginx.
        try checked("setsockopt") { setsockopt(raw, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &on, size) }
      }
      try bind(raw, &address, MemoryLayout<Address>.size)
      try boundWaiting(raw)
      try checked("listen") { listen(raw, backlog) }
    } catch {
      close(raw)
      throw error
    }
    return FileDescriptor(raw: raw)
  }

  private static func bind<Address>(_ raw: Int32, _ address: inout Address, _ size: Int) throws(SystemError) {
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { Glibc.bind(raw, $0, socklen_t(size)) }
    }
    if result < 0 { throw SystemError("bind") }
  }

  private static func assignedPort(_ descriptor: FileDescriptor) throws(SystemError) -> UInt16 {
    var address = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let result = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor.raw, $0, &length) }
    }
    if result < 0 { throw SystemError("getsockname") }
    // The port stands at the same place for both families.
    return withUnsafeBytes(of: &address) { UInt16(bigEndian: $0.load(fromByteOffset: 2, as: UInt16.self)) }
  }

  /// A socket file that nobody listens on is a dead host's, and is replaced.
  private static func unixSocket(_ path: String, _ mode: UInt32?) throws(SystemError) -> FileDescriptor {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    guard path.utf8.count < MemoryLayout.size(ofValue: address.sun_path) else {
      throw SystemError("bind \(path)", ENAMETOOLONG)
    }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    let probe = try checked("socket") { socket(AF_UNIX, type, 0) }
    let isAlive = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(probe, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0 || errno == EAGAIN
      }
    }
    close(probe)
    if isAlive { throw SystemError("bind \(path)", EADDRINUSE) }
    var status = stat()
    if lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK { unlink(path) }
    let raw = try checked("socket") { socket(AF_UNIX, type, 0) }
    do throws(SystemError) {
      try bind(raw, &address, MemoryLayout<sockaddr_un>.size)
      // Before anybody can connect.
      if let mode { try checked("chmod \(path)") { chmod(path, mode) } }
      try boundWaiting(raw)
      try checked("listen") { listen(raw, backlog) }
    } catch {
      close(raw)
      throw error
    }
    return FileDescriptor(raw: raw)
  }
}

import Glibc

// Unsafe memory: buffers are lent to system calls and never kept. The descriptor is this value's alone.

/// A TCP connection that never blocks for longer than a deadline says.
struct RedisSocket: ~Copyable {
  private let descriptor: Int32

  /// Connects to the first of a host's addresses that accepts.
  ///
  /// The look-up of a name is not bounded by the deadline: getaddrinfo(3) has none. Not for event loops.
  ///
  /// - Throws: what the last address met.
  init(to address: RedisAddress, before deadline: Deadline) throws(RedisError) {
    descriptor = try Self.connected(to: address, deadline)
  }

  private static func connected(to address: RedisAddress, _ deadline: Deadline) throws(RedisError) -> Int32 {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    hints.ai_flags = AI_ADDRCONFIG
    var list: UnsafeMutablePointer<addrinfo>?
    let code = getaddrinfo(address.host, String(address.port), &hints, &list)
    guard code == 0, let list else {
      throw .unresolved(address.host, reason: gai_strerror(code).map { String(cString: $0) } ?? "\(code)")
    }
    defer { freeaddrinfo(list) }
    var failure = RedisError.unresolved(address.host, reason: "it has no address")
    var next: UnsafeMutablePointer<addrinfo>? = list
    while let candidate = next {
      do throws(RedisError) {
        return try connected(candidate.pointee, deadline)
      } catch {
        failure = error
      }
      next = candidate.pointee.ai_next
    }
    throw failure
  }

  private static func connected(_ candidate: addrinfo, _ deadline: Deadline) throws(RedisError) -> Int32 {
    let descriptor = socket(
      candidate.ai_family, candidate.ai_socktype | Int32(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw .system(call: "socket", code: errno) }
    do throws(RedisError) {
      if connect(descriptor, candidate.ai_addr, candidate.ai_addrlen) != 0 {
        guard errno == EINPROGRESS || errno == EINTR else { throw .system(call: "connect", code: errno) }
        try wait(descriptor, for: POLLOUT, deadline)
        var code: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size)
        guard code == 0 else { throw .system(call: "connect", code: code) }
      }
      // A request and its reply are one segment each: nothing is gained by waiting to fill one.
      var on: Int32 = 1
      setsockopt(
        descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
      return descriptor
    } catch {
      close(descriptor)
      throw error
    }
  }

  deinit { close(descriptor) }

  /// Sends all bytes.
  borrowing func send(_ bytes: UnsafeRawBufferPointer, before deadline: Deadline) throws(RedisError) {
    var sent = 0
    while sent < bytes.count {
      let rest = UnsafeRawBufferPointer(rebasing: bytes[sent...])
      let count = Glibc.send(descriptor, rest.baseAddress, rest.count, Int32(MSG_NOSIGNAL))
      if count >= 0 {
        sent += count
      } else if errno == EAGAIN {
        try Self.wait(descriptor, for: POLLOUT, deadline)
      } else if errno != EINTR {
        throw errno == EPIPE || errno == ECONNRESET ? .closed : .system(call: "send", code: errno)
      }
    }
  }

  /// Receives what is there, and waits for it if nothing is.
  ///
  /// - Returns: how many bytes, above 0.
  borrowing func receive(into buffer: UnsafeMutableRawBufferPointer, before deadline: Deadline)
    throws(RedisError)
    -> Int
  {
    while true {
      let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
      if count > 0 { return count }
      if count == 0 { throw .closed }
      if errno == EAGAIN {
        try Self.wait(descriptor, for: POLLIN, deadline)
      } else if errno != EINTR {
        throw errno == ECONNRESET ? .closed : .system(call: "recv", code: errno)
      }
    }
  }

  private static func wait(_ descriptor: Int32, for events: Int32, _ deadline: Deadline) throws(RedisError) {
    while true {
      var entry = pollfd(fd: descriptor, events: Int16(events), revents: 0)
      let count = poll(&entry, 1, deadline.remainingMilliseconds)
      if count > 0 { return }
      if count == 0 { throw .timedOut(deadline.limit) }
      if errno != EINTR { throw .system(call: "poll", code: errno) }
    }
  }
}

import Glibc

/// Bytes to the client, as far as the socket takes them.
extension Connection {
  /// Writes what the loop has for this connection. False if the connection is over.
  func send() -> Bool {
    guard !loop.output.isEmpty else { return !isClosed }
    defer { loop.clearOutput() }
    if !unsent.isEmpty {
      unsent.append(UnsafeRawBufferPointer(loop.output.readable))
      return true
    }
    let bytes = UnsafeRawBufferPointer(loop.output.readable)
    let count = write(bytes)
    guard count >= 0 else {
      close()
      return false
    }
    if count < bytes.count {
      unsent.append(UnsafeRawBufferPointer(rebasing: bytes[count...]))
      loop.setDeadline(self, loop.now + loop.worker.timeouts.body)
    }
    return true
  }

  /// The socket takes more. False if the connection is over.
  func flush() -> Bool {
    guard !unsent.isEmpty else { return true }
    let count = write(UnsafeRawBufferPointer(unsent.readable))
    guard count >= 0 else {
      close()
      return false
    }
    unsent.consume(count)
    guard unsent.isEmpty else {
      if count > 0 { loop.setDeadline(self, loop.now + loop.worker.timeouts.body) }
      return true
    }
    unsent.shrink(to: 0)
    if state == .streaming { proceedWithStream() }
    if isLast && state == .reading && !isClosed { startLingering() }
    return !isClosed
  }

  static let sendFlags = Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)

  /// Bytes taken: fewer than all if the socket is full, -1 if the connection is broken.
  func write(_ bytes: UnsafeRawBufferPointer) -> Int {
    var sent = 0
    while sent < bytes.count {
      let count = Glibc.send(
        descriptor.raw, bytes.baseAddress! + sent, bytes.count - sent,
        Connection.sendFlags)
      if count >= 0 {
        sent += count
      } else if errno == EAGAIN {
        return sent
      } else if errno != EINTR {
        return -1
      }
    }
    return sent
  }
}

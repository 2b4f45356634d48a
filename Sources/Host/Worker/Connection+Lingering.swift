import Glibc

/// The end of a connection whose client may still be sending (RFC 9112 section 9.6): to close it at once would be answered
/// with a reset as soon as more arrives, and the reset may take our last answer from the client before it has read that.
extension Connection {
  // What nginx has for lingering_time and lingering_timeout.
  /// For how long a client may go on sending a request that is not read.
  private static let longestLinger: UInt64 = 30_000_000_000
  /// For how long it may send nothing meanwhile.
  private static let longestSilence: UInt64 = 5_000_000_000
  /// For how long a client whose requests were read may take to end the connection.
  private static let briefLinger: UInt64 = 2_000_000_000
  /// Reads in one turn, before it is the others'.
  private static let maxReads = 16

  /// Ends our direction, and waits for the client to end its own.
  func startLingering() {
    guard !isClosed else { return }
    if let x = exchange {
      exchange = nil
      loop.give(back: x)
    }
    state = .lingering
    shutdown(descriptor.raw, Int32(SHUT_WR))
    lingersUntil = loop.now &+ (isCutShort ? Connection.longestLinger : Connection.briefLinger)
    mayRead = true
    noteLife()
    receiveForNobody()
  }

  /// Receives what has come, and drops it.
  func receiveForNobody() {
    withUnsafeTemporaryAllocation(byteCount: Connection.readSize, alignment: 16) { scratch in
      for _ in 0..<Connection.maxReads {
        let count = recv(descriptor.raw, scratch.baseAddress, scratch.count, Connection.receiveFlags)
        if count > 0 {
          noteLife()
        } else if count == 0 || (errno != EAGAIN && errno != EINTR) {
          return close()
        } else if errno == EAGAIN {
          return
        }
      }
      // The edge comes once.
      loop.post(.goOn(self))
    }
  }

  private func noteLife() {
    loop.setDeadline(self, min(loop.now &+ Connection.longestSilence, lingersUntil))
  }
}

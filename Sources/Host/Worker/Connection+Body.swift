import Glibc
import HTTPCodec

/// Request bodies that handlers read as they arrive.
extension Connection {
  /// Bytes of a body that nobody reads which are still received, so that the connection can go on.
  private static let maxDiscarded = 256 << 10
  /// Reads in one turn, before it is the others'.
  private static let maxBodyReads = 16

  /// A body is on its way to a handler.
  var isTakingBody: Bool { state == .handling && intake?.state == .arriving }

  /// The head is parsed, and its body is not held here: the pipeline begins at once. The bytes of the head stay where
  /// they are until the answer is made; what is behind them goes elsewhere.
  func beginBody(_ x: Exchange, limit: Int) {
    let intake = BodyIntake(
      x.head.framing, limit: limit, expectsContinue: x.head.expectsContinue, for: self)
    intake.append(UnsafeRawBufferPointer(rebasing: x.input.readable[x.head.count...]))
    x.input.truncate(to: x.head.count)
    x.requestBody = intake.body
    self.intake = intake
  }

  /// While the handler runs: receives as far as it has room, and without keeping others waiting.
  func takeBody() {
    guard let intake, state == .handling, !isClosed else { return }
    var reads = 0
    while true {
      intake.pass()
      guard intake.state == .arriving else { return loop.setDeadline(self, .max) }
      if !intake.unread.isEmpty {
        guard intake.body.waitForRoom() else { continue }
        // The handler's time, not the client's.
        intake.deadline = .max
        return loop.setDeadline(self, .max)
      }
      guard mayRead, !intake.expectsContinue || intake.hasBegun || intake.body.isAskedFor else {
        return waitForBody(intake)
      }
      guard reads < Connection.maxBodyReads else { return loop.post(.goOn(self)) }
      reads += 1
      guard receiveBody(intake) else { return close() }
    }
  }

  private func waitForBody(_ intake: BodyIntake) {
    // A client that waits for 100 Continue is not late.
    let isClients = !intake.expectsContinue || intake.hasBegun || intake.sentContinue
    let latest = exchange?.request.pointee.deadline_ns ?? .max
    intake.deadline = isClients ? min(loop.now &+ loop.worker.timeouts.body, latest) : .max
    loop.setDeadline(self, intake.deadline)
  }

  /// Reads once. False if the connection is broken.
  private func receiveBody(_ intake: BodyIntake) -> Bool {
    let space = intake.unread.reserve(Connection.readSize)
    let count = recv(
      descriptor.raw, space.baseAddress, min(space.count, Connection.readSize), Connection.receiveFlags)
    if count > 0 {
      intake.hasBegun = true
      intake.unread.commit(count)
      if count < min(space.count, Connection.readSize) && !sawEnd { mayRead = false }
    } else if count == 0 {
      // It may still hear the answer.
      mayRead = false
      intake.fail(.gone)
    } else if errno == EAGAIN || errno == EINTR {
      mayRead = errno == EINTR
    } else {
      return false
    }
    return true
  }

  /// The handler has asked for bytes, or has room for them again.
  func bodyWanted() {
    guard let intake, isTakingBody, !isClosed else { return }
    if intake.expectsContinue, !intake.sentContinue, !intake.hasBegun, intake.body.isAskedFor {
      intake.sentContinue = true
      loop.output.append("HTTP/1.1 100 Continue\r\n\r\n" as StaticString)
      guard send() else { return }
    }
    takeBody()
  }

  func bodyDeadlinePassed() {
    guard let intake, isTakingBody else { return }
    guard loop.now >= intake.deadline else { return loop.setDeadline(self, intake.deadline) }
    intake.fail(
      .late(RequestError(status: 408, code: "body-timeout", detail: "The body did not arrive in time.")))
  }

  /// The response is made. Whether the next request can be read: the body's end is known, or is near enough to be
  /// found without waiting.
  func isBodyBehind() -> Bool {
    guard let intake else { return true }
    guard !intake.isLost, !isClosed, !intake.isInDoubt else { return false }
    intake.pass(discarding: true)
    var left = Connection.maxDiscarded
    while intake.state == .arriving {
      guard mayRead, left > 0, intake.missing <= left else { return false }
      guard receiveBody(intake) else { return false }
      left -= intake.unread.count
      intake.pass(discarding: true)
    }
    return intake.state == .whole
  }

  /// What was received behind the request that is answered is the next one's.
  func takeBackUnread(_ x: Exchange) {
    guard let intake else { return }
    self.intake = nil
    x.input.append(UnsafeRawBufferPointer(intake.unread.readable))
  }
}

import Glibc
import HTTPCodec
import LinuxShims

/// One client's connection: bytes in, requests through the pipeline, bytes out.
///
/// It belongs to one loop, and only that loop's thread touches it. Between requests it holds no buffer.
final class Connection: @unchecked Sendable {
  unowned(unsafe) let loop: EventLoop
  let peer: Peer
  let descriptor: FileDescriptor
  private let isTCP: Bool
  /// What the kernel calls it: `TagTable`.
  var tag: UInt64 = 0

  /// The request in hand; nil while the connection is idle.
  var exchange: Exchange?
  /// Its body, while that is read as it arrives.
  var intake: BodyIntake?
  /// What the socket has not taken yet.
  var unsent = ByteBuffer(capacity: 0)
  var stream: StreamBody?
  /// The end of the connection is the end of the body that is streamed.
  var endsBody = false
  /// Of the stream's body, without framing; what is in `unsent` included.
  var streamedBytes = 0
  /// When the stream last had something to say.
  var lastOutputAt: UInt64 = 0

  var state = State.reading
  var isClosed = false
  /// The kernel may have bytes for us: the edge was seen, and not read to its end.
  var mayRead = false
  var sawEnd = false
  /// No request is taken up after the one in hand.
  var isLast = false
  var sentContinue = false
  /// The client may be in the midst of a request whose rest nobody reads.
  var isCutShort = false
  /// Until when its bytes are received and dropped, monotonic; while it lingers.
  var lingersUntil: UInt64 = 0

  enum State {
    /// Waiting for a request, or for the rest of one.
    case reading
    /// A handler runs on the pool.
    case handling
    /// A body is pulled bit by bit.
    case streaming
    /// Nothing more is read but to let the client take our last answer (RFC 9112 section 9.6).
    case lingering
  }

  // The timer wheel's links.
  var deadline: UInt64 = 0
  var timerTick: UInt64 = 0
  var timerSlot = -1
  var timerNext: Unmanaged<Connection>?
  var timerPrevious: Unmanaged<Connection>?

  /// Beyond this, requests wait until the client has taken what was answered.
  static let maxUnsent = 256 << 10
  static let readSize = 16 << 10
  /// What epoll(7) is asked to tell of it.
  static let interest = EPOLLIN.rawValue | EPOLLOUT.rawValue | EPOLLRDHUP.rawValue | EPOLLET.rawValue
  /// A plugin that clears O_NONBLOCK clears it for all who have the socket open: it is asked for in each call.
  static let receiveFlags = Int32(MSG_DONTWAIT)
  /// Reads in one turn, before it is the others'.
  private static let maxReads = 16

  init(_ descriptor: FileDescriptor, _ peer: Peer, isTCP: Bool, loop: EventLoop) {
    self.isTCP = isTCP
    self.descriptor = descriptor
    self.peer = peer
    self.loop = loop
  }

  deinit { peer.release() }

  /// The bytes that another worker has read and not answered; they are taken up with the first event.
  func begin(with unread: [UInt8]) {
    guard !unread.isEmpty else { return }
    let x = begin()
    unread.withUnsafeBytes { x.input.append($0) }
  }

  // MARK: Events

  /// The kernel has news (EPOLLIN and so on).
  func ready(_ events: UInt32) {
    guard !isClosed else { return }
    if events & EPOLLERR.rawValue != 0 { return close() }
    // Nobody hears our answer, but what was sent before may still be a request.
    let isGone = events & EPOLLHUP.rawValue != 0
    // A body that was sent before is still received, as far as it goes.
    if isGone, !isTakingBody, state != .reading || !unsent.isEmpty { return close() }
    if isGone || events & (EPOLLIN.rawValue | EPOLLRDHUP.rawValue) != 0 { mayRead = true }
    if isGone || events & EPOLLRDHUP.rawValue != 0 { sawEnd = true }
    // Who looks on at the host's own stream and says no more is gone: a page that was closed, or loaded anew.
    if sawEnd, state == .streaming, stream?.isHosts == true { return close() }
    if !unsent.isEmpty, events & EPOLLOUT.rawValue != 0 {
      guard flush() else { return }
    }
    advance()
  }

  /// It is this connection's turn again, though the kernel has no news.
  func goOn() {
    guard !isClosed, state != .streaming else { return }
    advance()
  }

  /// Reads and answers as far as it goes without waiting, and without keeping others waiting.
  func advance() {
    if state == .lingering { return receiveForNobody() }
    if state == .handling { return takeBody() }
    var reads = 0
    while !isClosed, state == .reading, unsent.isEmpty {
      if let exchange, !exchange.input.isEmpty || isLast {
        if !process(exchange) { return }
        guard state == .reading, unsent.isEmpty, !isClosed else { return }
      }
      guard mayRead, !isLast else { return waitForMore() }
      // The edge comes once: who stops before the socket is empty has to come back by himself.
      guard reads < Connection.maxReads else { return loop.post(.goOn(self)) }
      reads += 1
      if !receive() { return }
    }
  }

  /// Reads once. False if the connection is over.
  private func receive() -> Bool {
    let x = exchange ?? begin()
    let wanted = x.reading == .body ? max(Connection.readSize, bodyMissing(x)) : Connection.readSize
    let space = x.input.reserve(min(wanted, 256 << 10))
    let count = recv(descriptor.raw, space.baseAddress, space.count, Connection.receiveFlags)
    if count > 0 {
      if x.input.isEmpty { x.startedAt = loop.now }
      x.input.commit(count)
      // A short read has emptied the socket (epoll(7)), unless the end is still to be read.
      if count < space.count && !sawEnd { mayRead = false }
      if x.reading == .body { loop.setDeadline(self, bodyDeadline(x)) }
      return true
    }
    if count == 0 {
      endOfInput(x)
      return false
    }
    if errno == EAGAIN || errno == EINTR {
      mayRead = errno == EINTR
      return true
    }
    close()
    return false
  }

  /// The client will send no more. A half request is dropped; one that is being answered still gets its answer, and so
  /// does one that is refused.
  private func endOfInput(_ x: Exchange) {
    mayRead = false
    guard let refusal = x.refusal else { return close() }
    end(x, with: refusal.error)
  }

  /// Answers what will not be read any further, and ends the connection.
  private func end(_ x: Exchange, with error: RequestError) {
    refuse(x, error)
    guard send() else { return }
    if unsent.isEmpty { startLingering() }
  }

  func begin() -> Exchange {
    let made = loop.takeExchange()
    made.connection = self
    made.startedAt = loop.now
    exchange = made
    return made
  }

  private func bodyMissing(_ x: Exchange) -> Int {
    if case .length(let count) = x.head.framing { return max(0, x.head.count + count - x.input.count) }
    return 0
  }

  /// Nothing to be done until the client acts: sets the deadline for that, and gives buffers back.
  private func waitForMore() {
    if passIfIdle() { return }
    guard let x = exchange else { return }
    if x.input.isEmpty && x.reading == .head {
      exchange = nil
      loop.give(back: x)
      if loop.isDraining { return close() }
      deadline = loop.now + loop.worker.timeouts.idle
      loop.setDeadline(self, deadline)
    } else if x.reading == .head {
      loop.setDeadline(self, x.startedAt + loop.worker.timeouts.head)
    } else if let refusal = x.refusal {
      loop.setDeadline(self, refusal.deadline)
    } else {
      loop.setDeadline(self, bodyDeadline(x))
    }
  }

  /// When more of the body must have come, and all of it: a client that sends a byte now and then has no more time for
  /// its request than any other.
  private func bodyDeadline(_ x: Exchange) -> UInt64 {
    min(loop.now &+ loop.worker.timeouts.body, x.startedAt &+ loop.worker.timeouts.request)
  }

  /// After an answer that was not made on the way through `advance`.
  func proceed() {
    guard send() else { return }
    if isLast && state == .reading && unsent.isEmpty { return startLingering() }
    // What arrived meanwhile was not read.
    mayRead = true
    advance()
  }

  // MARK: Hand-over

  /// Passes the connection to the next worker, if there is one and no request is in hand. True if it is gone.
  @discardableResult
  func passIfIdle() -> Bool {
    guard let handOver = loop.handOver, state == .reading, !isClosed, !isLast, unsent.isEmpty else {
      return false
    }
    if let x = exchange {
      guard x.reading == .head, x.input.count <= HandOver.maxBytes else { return false }
    }
    let unread = exchange.map { UnsafeRawBufferPointer($0.input.readable) }
    guard
      handOver.send(descriptor, isTCP: isTCP, unread: unread ?? UnsafeRawBufferPointer(start: nil, count: 0))
    else {
      loop.stopPassing()
      return false
    }
    loop.unwatch(descriptor)
    close()
    return true
  }

  // MARK: Ends

  func deadlinePassed() {
    switch state {
    case .lingering: close()
    case .handling: bodyDeadlinePassed()
    case .streaming:
      if !unsent.isEmpty { cut() } else { pull() }
    case .reading:
      if !unsent.isEmpty { return close() }
      guard let x = exchange, !x.input.isEmpty else { return close() }
      if let refusal = x.refusal { return end(x, with: refusal.error) }
      let isBody = x.reading == .body
      end(
        x,
        with: RequestError(
          status: 408, code: isBody ? "body-timeout" : "head-timeout",
          detail: isBody ? "The body did not arrive in time." : "The head did not arrive in time."))
    }
  }

  /// The worker is ending. True if the connection is idle: it is to go on, and closes unless a request has arrived. Else it
  /// closes after the request in hand.
  func isToDrain() -> Bool {
    guard state == .reading, exchange == nil, unsent.isEmpty else { return false }
    // What has arrived already is answered; what is left to wait for is not waited for.
    mayRead = true
    return true
  }

  /// Ends a streamed body before its end: one without chunks with a reset, as the plain end of the connection would be the
  /// body's. (Of a chunked body the missing last chunk tells, and what was sent still arrives.)
  func cut() {
    guard !isClosed else { return }
    guard endsBody else { return close() }
    var option = linger(l_onoff: 1, l_linger: 0)
    setsockopt(descriptor.raw, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    close()
  }

  func close() {
    guard !isClosed else { return }
    isClosed = true
    intake?.fail(.gone)
    concludeStream()
    loop.output.removeAll()
    descriptor.close()
    unsent.removeAll()
    if state != .handling, let x = exchange {
      exchange = nil
      x.reset(limits: loop.worker.limits)
      loop.give(back: x)
    }
    if let stream, !stream.isPulling { endStream() }
    loop.retire(self)
  }
}

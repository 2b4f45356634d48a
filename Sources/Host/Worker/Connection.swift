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

  /// The request in hand; nil while the connection is idle.
  private(set) var exchange: Exchange?
  /// Its body, while that is read as it arrives.
  var intake: BodyIntake?
  /// What the socket has not taken yet.
  private var unsent = ByteBuffer(capacity: 0)
  private(set) var stream: StreamBody?
  /// When the stream last had something to say.
  private var lastOutputAt: UInt64 = 0

  private(set) var state = State.reading
  private(set) var isClosed = false
  /// The kernel may have bytes for us: the edge was seen, and not read to its end.
  var mayRead = false
  private(set) var sawEnd = false
  /// No request is taken up after the one in hand.
  private var isLast = false
  private var sentContinue = false

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
  private static let maxUnsent = 256 << 10
  static let readSize = 16 << 10
  /// Reads in one turn, before it is the others'.
  private static let maxReads = 16
  private static let lingerNanoseconds: UInt64 = 2_000_000_000

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
    guard !isClosed, state == .reading || state == .handling else { return }
    advance()
  }

  /// Reads and answers as far as it goes without waiting, and without keeping others waiting.
  private func advance() {
    if state == .lingering { return discard() }
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
    let count = recv(descriptor.raw, space.baseAddress, space.count, 0)
    if count > 0 {
      if x.input.isEmpty { x.startedAt = loop.now }
      x.input.commit(count)
      // A short read has emptied the socket (epoll(7)), unless the end is still to be read.
      if count < space.count && !sawEnd { mayRead = false }
      if x.reading == .body { loop.setDeadline(self, loop.now + loop.worker.timeouts.body) }
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

  /// The client will send no more. A half request is dropped; one that is being answered still gets its answer.
  private func endOfInput(_ x: Exchange) {
    mayRead = false
    close()
  }

  private func begin() -> Exchange {
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
    } else {
      loop.setDeadline(self, loop.now + loop.worker.timeouts.body)
    }
  }

  // MARK: Requests

  /// Answers each request that is whole. False if the connection is over, or waits for something else than input.
  private func process(_ x: Exchange) -> Bool {
    var isWaiting = false
    while !isWaiting, state == .reading, !isLast, !x.input.isEmpty {
      do throws(RequestError) {
        isWaiting = try step(x)
      } catch {
        refuse(x, error)
      }
      if loop.output.count > Connection.maxUnsent {
        guard send(), unsent.isEmpty else { return false }
      }
    }
    guard send() else { return false }
    if state == .handling { takeBody() }
    if isLast && state == .reading && unsent.isEmpty { startLingering() }
    return !isClosed && state == .reading
  }

  /// One step of reading: head, body, answer. True if more input is needed first.
  private func step(_ x: Exchange) throws(RequestError) -> Bool {
    switch x.reading {
    case .head:
      guard try x.parser.parse(UnsafeRawBufferPointer(x.input.readable), into: &x.head) else { return true }
      sentContinue = false
      x.reading = try isBodyHeld(x) ? .body : .complete
    case .body:
      guard try isBodyWhole(x) else {
        sendContinue(x)
        return true
      }
      x.reading = .complete
    case .complete:
      try respond(x)
    }
    return false
  }

  /// Whether there is a body that is to be whole before anything else happens.
  private func isBodyHeld(_ x: Exchange) throws(RequestError) -> Bool {
    if case .none = x.head.framing { return false }
    let streamedLimit = loop.worker.pipeline.streamedBodyLimit(of: x)
    let limit = streamedLimit ?? loop.worker.limits.maxBody
    if case .length(let count) = x.head.framing, count > limit { throw .bodyTooLarge }
    guard streamedLimit != nil else { return true }
    beginBody(x, limit: limit)
    return false
  }

  private func isBodyWhole(_ x: Exchange) throws(RequestError) -> Bool {
    switch x.head.framing {
    case .none: return true
    case .length(let count): return x.input.count >= x.head.count + count
    case .chunked:
      let region = UnsafeMutableRawBufferPointer(rebasing: x.input.readable[x.head.count...])
      if try x.decoder.decode(region) { return true }
      // What framed the chunks is cut out, so that a body of many small ones takes no more than its payload.
      x.input.truncate(to: x.head.count + x.decoder.decodedCount)
      x.decoder.framingWasRemoved()
      return false
    }
  }

  private func sendContinue(_ x: Exchange) {
    guard x.head.expectsContinue, !sentContinue, x.input.count == x.head.count else { return }
    sentContinue = true
    loop.output.append("HTTP/1.1 100 Continue\r\n\r\n" as StaticString)
  }

  private func viewContext() -> RequestView.Context {
    RequestView.Context(
      clientAddress: peer.text, clientIP: peer.ip,
      isTrustedPeer: loop.worker.hasTrustedProxies && (peer.ip.isEmpty || loop.trusts(peer.ip)),
      timeoutNanoseconds: loop.worker.timeouts.request)
  }

  private func respond(_ x: Exchange) throws(RequestError) {
    // Pipelined requests began when their turn came.
    if x.startedAt == 0 { x.startedAt = loop.now }
    try RequestView.prepare(x, viewContext(), random: &loop.random)
    runPipeline(x)
  }

  /// The connection is noted, so that another thread can go on with it should this one freeze in a plugin.
  private func runPipeline(_ x: Exchange) {
    loop.inHand = self
    let progress = loop.worker.pipeline.run(x, on: loop.frame)
    loop.inHand = nil
    switch progress {
    case .done: if isClosed { settleUnheard(x) } else { finish(x) }
    case .blocking: startHandler(x)
    }
  }

  // MARK: Frozen threads

  /// The loop's thread froze in a plugin, on this connection's request. Goes on with a copy of the exchange; the frozen
  /// thread keeps the old one.
  func recover(from frame: FaultFrame) {
    guard let (x, plugin, problem) = replaceExchange(frozenIn: frame) else { return }
    loop.worker.pipeline.skipFrozen(plugin, problem, x)
    runPipeline(x)
    proceed()
  }

  /// The pool thread that ran this connection's handler, or pulled its stream, will not come back.
  func handlerLost(in frame: FaultFrame) {
    switch state {
    case .handling:
      guard let (x, plugin, problem) = replaceExchange(frozenIn: frame) else { return }
      state = .reading
      loop.worker.pipeline.skipFrozen(plugin, problem, x)
      runPipeline(x)
      proceed()
    case .streaming:
      loop.worker.freeze(frame, exchange: nil)
      let isChunked = stream?.isChunked ?? true
      stream?.abandon()
      stream = nil
      if isChunked { close() } else { cut() }
    case .reading, .lingering:
      loop.worker.freeze(frame, exchange: nil)
    }
  }

  private func replaceExchange(frozenIn frame: FaultFrame) -> (Exchange, Plugin, HostProblem)? {
    guard let old = exchange, let occupant = frame.occupant else { return nil }
    old.isAbandoned.store(true, ordering: .relaxed)
    intake?.isLost = true
    let copy = old.replacement(limits: loop.worker.limits, context: viewContext())
    _ = Unmanaged.passRetained(old)
    exchange = copy
    loop.worker.freeze(frame, exchange: copy)
    return (copy, loop.worker.plugins[occupant.plugin], occupant.hasCrashed ? .fault : .timeout)
  }

  /// After an answer that was not made on the way through `advance`.
  private func proceed() {
    guard send() else { return }
    if isLast && state == .reading && unsent.isEmpty { return startLingering() }
    // What arrived meanwhile was not read.
    mayRead = true
    advance()
  }

  /// The codec, or the path, is malformed: one answer, and the end.
  private func refuse(_ x: Exchange, _ error: RequestError) {
    loop.statistics.refused.wrappingAdd(1, ordering: .relaxed)
    x.origin = RefusedRequest.origin(in: UnsafeRawBufferPointer(x.input.readable))
    let line = RefusedRequest.method(in: UnsafeRawBufferPointer(x.input.readable))
    RequestView.prepareRefusal(x, viewContext(), random: &loop.random)
    x.request.pointee.method_name = line
    if line.equals("HEAD") { x.request.pointee.method = bh_method(BH_METHOD_HEAD) }
    loop.worker.pipeline.refuse(x, error)
    finish(x)
  }

  /// The response is made: encodes it, and makes ready for the next request.
  private func finish(_ x: Exchange) {
    let isOver = !isBodyBehind() || x.closes || !x.head.isKeepAlive || loop.isDraining
    releaseDroppedStreams(x)
    if let source = x.stream {
      return startStream(x, source, isOver: isOver)
    }
    ResponseWriter.write(x, closing: isOver, dates: &loop.dates, at: loop.now, into: &loop.output)
    account(x)
    if isOver {
      isLast = true
      intake = nil
      x.input.removeAll()
      x.reset(limits: loop.worker.limits)
    } else {
      x.input.consume(consumed(x))
      takeBackUnread(x)
      x.reset(limits: loop.worker.limits)
      x.startedAt = loop.now
    }
  }

  private func consumed(_ x: Exchange) -> Int {
    if x.requestBody != nil { return x.head.count }
    return switch x.head.framing {
    case .none: x.head.count
    case .length(let count): x.head.count + count
    case .chunked: x.head.count + x.decoder.consumedCount
    }
  }

  private func account(_ x: Exchange) {
    let end = Clock.monotonic()
    let spent = end &- x.startedAt
    loop.statistics.count(status: x.status)
    loop.statistics.latency.record(spent)
    if case .route(let route) = x.match { route.latency.record(spent, by: loop.index) }
    let realtime = loop.dates.realtime(at: end)
    if Log.shared.isEnabled(.info) { loop.accessLog.append(x, at: realtime, nanoseconds: spent) }
    loop.recent.record(x, nanoseconds: spent, realtime: realtime)
  }

  // MARK: Handlers on the pool

  private func startHandler(_ x: Exchange) {
    state = .handling
    loop.setDeadline(self, .max)
    let worker = loop.worker
    var plugin: Int?
    if case .route(let route) = x.match { plugin = route.plugin.index }
    let isTaken = worker.pool.submit(for: self, of: plugin) { frame in
      x.requestBody?.begin(on: frame)
      worker.pipeline.handle(x, frame)
      self.loop.post(.handled(self))
    }
    guard !isTaken else { return }
    state = .reading
    x.respond(.overloaded)
    x.phase = .handled
    runPipeline(x)
  }

  /// The handler's exchange is the loop's again.
  func handlerReturned() {
    guard state == .handling, let x = exchange else { return }
    state = .reading
    runPipeline(x)
    proceed()
  }

  /// The client went away while its handler ran. The response phases have run all the same: they account for what was
  /// done, and a half-open probe has had its verdict.
  private func settleUnheard(_ x: Exchange) {
    account(x)
    intake = nil
    x.dropStream()
    releaseDroppedStreams(x)
    x.reset(limits: loop.worker.limits)
    exchange = nil
    loop.give(back: x)
  }

  // MARK: Streams

  private func startStream(_ x: Exchange, _ source: bh_stream_source, isOver: Bool) {
    // The host's own streams have no route.
    var plugin: Plugin?
    if case .route(let route) = x.match { plugin = route.plugin }
    let hasBody = x.request.pointee.method != bh_method(BH_METHOD_HEAD) && x.status != 204 && x.status != 304
    // HTTP/1.0 knows no chunks: the end of the connection ends the body.
    let isChunked = x.head.versionMinor >= 1
    let closes = isOver || (!isChunked && hasBody)
    ResponseWriter.writeStreamHead(
      x, closing: closes, isChunked: isChunked, dates: &loop.dates, at: loop.now, into: &loop.output)
    account(x)
    x.stream = nil
    let body = StreamBody(
      source, plugin: plugin, isChunked: isChunked, requestID: x.request.pointee.request_id.string)
    if closes { isLast = true }
    if isLast {
      intake = nil
      x.input.removeAll()
    } else {
      x.input.consume(consumed(x))
      takeBackUnread(x)
    }
    x.reset(limits: loop.worker.limits)
    guard hasBody else { return release(body) }
    stream = body
    lastOutputAt = loop.now
    state = .streaming
    // Not from here, where requests are still in hand: what is pulled at once may also end at once.
    if body.isHosts { return loop.setDeadline(self, loop.now) }
    pull()
  }

  private func releaseDroppedStreams(_ x: Exchange) {
    guard !x.droppedStreams.isEmpty, case .route(let route) = x.match else { return }
    for source in x.droppedStreams {
      loop.worker.pool.submitRelease(
        of: StreamBody(
          source, plugin: route.plugin, isChunked: false, requestID: x.request.pointee.request_id.string))
    }
    x.droppedStreams.removeAll()
  }

  private func pull() {
    guard let stream, !stream.isPulling else { return }
    stream.isPulling = true
    if stream.isHosts {
      stream.pull(on: loop.frame)
      return pullReturned()
    }
    loop.setDeadline(self, .max)
    let isTaken = loop.worker.pool.submit(for: self, of: stream.plugin?.index) { frame in
      stream.pull(on: frame)
      self.loop.post(.pulled(self))
    }
    if !isTaken {
      stream.isPulling = false
      loop.setDeadline(self, loop.now + 1_000_000_000)
    }
  }

  /// A piece of the body is there.
  func pullReturned() {
    guard let stream else { return }
    stream.isPulling = false
    if isClosed { return endStream() }
    if stream.moveBytes(into: &loop.output) { lastOutputAt = loop.now }
    switch stream.result {
    case .more, .later: break
    case .end:
      stream.writeEnd(into: &loop.output)
      endStream()
    case .fault:
      endStream()
      return stream.isChunked ? close() : cut()
    }
    guard send() else { return }
    proceedWithStream()
  }

  /// After output has gone out: the next pull, or the next request.
  private func proceedWithStream() {
    guard unsent.isEmpty, !isClosed else { return }
    guard let stream else {
      state = .reading
      if isLast { return startLingering() }
      mayRead = true
      return advance()
    }
    switch stream.result {
    case .later(let delay):
      // The client's direction has ended: perhaps the client, too, which only a write would show.
      if sawEnd, loop.now &- lastOutputAt > loop.worker.timeouts.body { return close() }
      loop.setDeadline(self, loop.now + max(delay, 1_000_000))
    default: pull()
    }
  }

  private func endStream() {
    guard let body = stream else { return }
    stream = nil
    release(body)
  }

  private func release(_ body: StreamBody) {
    if body.isHosts { body.release(on: loop.frame) } else { loop.worker.pool.submitRelease(of: body) }
  }

  // MARK: Output

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
  private func flush() -> Bool {
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

  /// Bytes taken: fewer than all if the socket is full, -1 if the connection is broken.
  private func write(_ bytes: UnsafeRawBufferPointer) -> Int {
    var sent = 0
    while sent < bytes.count {
      let count = Glibc.send(
        descriptor.raw, bytes.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
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

  /// Ends our direction and waits a little for the client's, lest a reset overtake our answer.
  private func startLingering() {
    guard !isClosed else { return }
    if let x = exchange {
      exchange = nil
      loop.give(back: x)
    }
    state = .lingering
    shutdown(descriptor.raw, Int32(SHUT_WR))
    loop.setDeadline(self, loop.now + Connection.lingerNanoseconds)
    mayRead = true
    discard()
  }

  private func discard() {
    withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 16) { scratch in
      for _ in 0..<64 {
        let count = recv(descriptor.raw, scratch.baseAddress, scratch.count, 0)
        if count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR) { return close() }
        if count < 0 && errno == EAGAIN { return }
      }
    }
  }

  func deadlinePassed() {
    switch state {
    case .lingering: close()
    case .handling: bodyDeadlinePassed()
    case .streaming:
      if !unsent.isEmpty { close() } else { pull() }
    case .reading:
      if !unsent.isEmpty { return close() }
      guard let x = exchange, !x.input.isEmpty else { return close() }
      let isBody = x.reading == .body
      refuse(
        x,
        RequestError(
          status: 408, code: isBody ? "body-timeout" : "head-timeout",
          detail: isBody ? "The body did not arrive in time." : "The head did not arrive in time."))
      guard send() else { return }
      if unsent.isEmpty { startLingering() }
    }
  }

  /// The worker is ending: closes now if idle, else after the request in hand.
  func drain() {
    guard state == .reading, exchange == nil, unsent.isEmpty else { return }
    // What has arrived already is answered; what is left to wait for is not waited for.
    mayRead = true
    advance()
  }

  /// Ends a body without chunks before its end: with a reset, as the plain end of the connection would be the body's. (Of
  /// a chunked body the missing last chunk tells, and what was sent still arrives.)
  private func cut() {
    guard !isClosed else { return }
    var option = linger(l_onoff: 1, l_linger: 0)
    setsockopt(descriptor.raw, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    close()
  }

  func close() {
    guard !isClosed else { return }
    isClosed = true
    intake?.fail(.gone)
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

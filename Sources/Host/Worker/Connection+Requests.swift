import Glibc
import HTTPCodec

/// Requests, from the bytes that have arrived to the bytes of the answer.
extension Connection {
  /// Answers each request that is whole. False if the connection is over, or waits for something else than input, or if the
  /// loop is another thread's by now.
  func process(_ x: Exchange) -> Bool {
    var isWaiting = false
    while !isWaiting, state == .reading, !isLast, !x.input.isEmpty {
      do throws(RequestError) {
        switch try step(x) {
        case .done: break
        case .needsInput: isWaiting = true
        case .lostLoop: return false
        }
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

  private enum Step {
    case done, needsInput
    /// A plugin was slow: the loop is another thread's, and with it the connection.
    case lostLoop
  }

  /// One step of reading: head, body, answer.
  private func step(_ x: Exchange) throws(RequestError) -> Step {
    switch x.reading {
    case .head:
      guard try parseHead(x) else { return x.reading == .head ? .needsInput : .done }
      sentContinue = false
      x.reading = try isBodyHeld(x) ? .body : .complete
    case .refused:
      guard let error = x.refusal?.error,
        x.refusal?.head.read(UnsafeRawBufferPointer(x.input.readable)) == true
      else { return .needsInput }
      throw error
    case .body:
      guard try isBodyWhole(x) else {
        sendContinue(x)
        return .needsInput
      }
      x.reading = .complete
    case .complete:
      return try respond(x) ? .done : .lostLoop
    }
    return .done
  }

  /// Whether the head is whole. One that is refused before its end is read on.
  private func parseHead(_ x: Exchange) throws(RequestError) -> Bool {
    do throws(RequestError) {
      return try x.parser.parse(UnsafeRawBufferPointer(x.input.readable), into: &x.head)
    } catch {
      guard !x.head.isWhole else { throw error }
      x.refusal = Refusal(
        error, at: loop.now, headDeadline: x.startedAt &+ loop.worker.timeouts.head, limits: x.parserLimits)
      x.reading = .refused
      return false
    }
  }

  /// Whether there is a body that is to be whole before anything else happens.
  private func isBodyHeld(_ x: Exchange) throws(RequestError) -> Bool {
    if case .none = x.head.framing { return false }
    let use = loop.worker.pipeline.bodyUse(of: x)
    var limit = loop.worker.limits.maxBody
    if case .streamed(let its) = use { limit = its }
    if case .length(let count) = x.head.framing, count > limit { throw .bodyTooLarge }
    switch use {
    case .whole: return true
    case .streamed:
      beginBody(x, limit: limit)
      return false
    case .none:
      // What has come unasked for is the body's beginning, and the rest will come.
      x.isBodyUnread = x.input.count == x.head.count
      return !x.isBodyUnread
    }
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

  func viewContext() -> RequestView.Context {
    RequestView.Context(
      clientAddress: peer.text, clientIP: peer.ip,
      isTrustedPeer: loop.worker.hasTrustedProxies && (peer.ip.isEmpty || loop.trusts(peer.ip)),
      timeoutNanoseconds: loop.worker.timeouts.request)
  }

  /// False if the loop is another thread's by now.
  private func respond(_ x: Exchange) throws(RequestError) -> Bool {
    // Pipelined requests began when their turn came.
    if x.startedAt == 0 { x.startedAt = loop.now }
    try RequestView.prepare(x, viewContext(), random: &loop.random)
    return runPipeline(x)
  }

  /// The connection is noted, so that another thread can go on with it should this one freeze in a plugin.
  ///
  /// - Parameter leavesLoop: whether calls of plugins that were slow are made elsewhere.
  /// - Returns: false if a plugin was slow, and the loop is another thread's by now: then the caller touches neither the loop
  ///   nor the connection any more, and returns.
  func runPipeline(_ x: Exchange, leavesLoop: Bool = true) -> Bool {
    loop.inHand = self
    let frame = loop.frame
    let progress = loop.worker.pipeline.run(x, on: frame, isOnLoop: leavesLoop)
    guard !frame.hasLostLoop else { return false }
    loop.inHand = nil
    switch progress {
    case .done: if isClosed { settleUnheard(x) } else { finish(x) }
    case .blocking(let plugin): return leaveLoop(x, for: plugin)
    }
    return true
  }

  /// The codec or the path is malformed, or the request too much or too late: one answer, and the end.
  func refuse(_ x: Exchange, _ error: RequestError) {
    loop.statistics.refused.wrappingAdd(1, ordering: .relaxed)
    isCutShort = true
    RequestView.prepareRefusal(x, viewContext(), random: &loop.random)
    loop.worker.pipeline.refuse(x, error)
    finish(x)
  }

  /// The response is made: encodes it, and makes ready for the next request.
  private func finish(_ x: Exchange) {
    let isBehind = !x.isBodyUnread && isBodyBehind()
    if !isBehind { isCutShort = true }
    let isOver = !isBehind || x.closes || !x.head.isKeepAlive || loop.isDraining
    releaseDroppedStreams(x)
    if let source = x.stream {
      return startStream(x, source, isOver: isOver)
    }
    ResponseWriter.write(x, closing: isOver, dates: &loop.dates, at: loop.now, into: &loop.output)
    if isOver { isLast = true }
    account(x)
    leave(x)
  }

  /// Makes ready for the next request, if there is to be one.
  func leave(_ x: Exchange) {
    if isLast {
      intake = nil
      x.input.removeAll()
    } else {
      x.input.consume(consumed(x))
      takeBackUnread(x)
    }
    x.reset(limits: loop.worker.limits)
    x.startedAt = loop.now
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
    let now = Clock.monotonic()
    count(x, at: now)
    log(x, bytes: x.body.count, at: now)
  }

  /// The head of the answer is made: that is what latency means, also of a stream.
  func count(_ x: Exchange, at now: UInt64) {
    let spent = now &- x.startedAt
    loop.statistics.count(status: x.status)
    loop.statistics.latency.record(spent)
    if case .route(let route) = x.match { route.latency.record(spent, by: loop.index) }
    loop.recent.record(x, nanoseconds: spent, realtime: loop.dates.realtime(at: now))
  }

  /// The answer is over.
  func log(_ x: Exchange, bytes: Int, at now: UInt64) {
    guard Log.shared.isEnabled(.info) else { return }
    loop.accessLog.append(
      x, bytes: bytes, at: loop.dates.realtime(at: now), nanoseconds: now &- x.startedAt)
  }

  // MARK: Handlers on the pool

  /// The call of `plugin` that comes next is not for a loop: a blocking handler, or a plugin that was slow on one.
  ///
  /// - Returns: as `runPipeline`.
  private func leaveLoop(_ x: Exchange, for plugin: Plugin) -> Bool {
    state = .handling
    loop.setDeadline(self, .max)
    let worker = loop.worker
    let isTaken = worker.pool.submit(for: self, of: plugin.index) { frame in
      if x.phase == .handle { x.requestBody?.begin(on: frame) }
      worker.pipeline.runOffLoop(x, on: frame)
      self.loop.post(.handled(self))
    }
    guard !isTaken else { return true }
    state = .reading
    // The call was meant for a loop, and may be as quick as ever: it is made here.
    guard case .route(let route) = x.match, x.phase == .handle, route.isBlocking else {
      return runPipeline(x, leavesLoop: false)
    }
    x.respond(.overloaded)
    x.phase = .handled
    return runPipeline(x)
  }

  /// The exchange is the loop's again, which another thread had.
  func handlerReturned() {
    guard state == .handling, let x = exchange else { return }
    state = .reading
    if runPipeline(x) { proceed() }
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
}

/// Responses whose body is pulled bit by bit.
extension Connection {
  func startStream(_ x: Exchange, _ source: bh_stream_source, isOver: Bool) {
    // The host's own streams have no route.
    var plugin: Plugin?
    if case .route(let route) = x.match { plugin = route.plugin }
    let hasBody =
      x.request.pointee.method != bh_method(BH_METHOD_HEAD) && ResponseWriter.hasBody(status: x.status)
    // HTTP/1.0 knows no chunks: the end of the connection ends the body.
    let isChunked = x.head.versionMinor >= 1
    let closes = isOver || (!isChunked && hasBody)
    ResponseWriter.writeStreamHead(
      x, closing: closes, isChunked: isChunked, dates: &loop.dates, at: loop.now, into: &loop.output)
    if closes { isLast = true }
    let now = Clock.monotonic()
    count(x, at: now)
    x.stream = nil
    let body = StreamBody(
      source, plugin: plugin, isChunked: isChunked, requestID: x.request.pointee.request_id.string)
    guard hasBody else {
      log(x, bytes: 0, at: now)
      leave(x)
      return release(body)
    }
    stream = body
    endsBody = !isChunked
    streamedBytes = 0
    lastOutputAt = loop.now
    state = .streaming
    // Not from here, where requests are still in hand: what is pulled at once may also end at once.
    if body.isHosts { return loop.setDeadline(self, loop.now) }
    pull()
  }

  /// The stream's request is over, to its end or not: what the socket has taken of the body is logged, and the next request
  /// begins.
  func concludeStream() {
    guard state == .streaming, let x = exchange else { return }
    // A head that is still unsent has no byte of the body before it.
    let sent = streamedBytes - unsent.count - loop.output.count
    log(x, bytes: max(0, sent), at: Clock.monotonic())
    leave(x)
    state = .reading
  }

  func releaseDroppedStreams(_ x: Exchange) {
    guard !x.droppedStreams.isEmpty, case .route(let route) = x.match else { return }
    for source in x.droppedStreams {
      loop.worker.pool.submitRelease(
        of: StreamBody(
          source, plugin: route.plugin, isChunked: false, requestID: x.request.pointee.request_id.string))
    }
    x.droppedStreams.removeAll()
  }

  func pull() {
    guard let stream, !stream.isPulling else { return }
    if loop.now < stream.dueAt, !stream.isOut { return waitForStream(stream) }
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
    let moved = stream.moveBytes(into: &loop.output)
    if moved > 0 { lastOutputAt = loop.now }
    streamedBytes += moved
    switch stream.result {
    case .more, .later: break
    case .end:
      stream.writeEnd(into: &loop.output)
      endStream()
    case .fault:
      endStream()
      return cut()
    }
    guard send() else { return }
    proceedWithStream()
  }

  /// After output has gone out: the next pull, or the next request.
  func proceedWithStream() {
    guard unsent.isEmpty, !isClosed else { return }
    guard let stream else {
      concludeStream()
      if isLast { return startLingering() }
      mayRead = true
      // Not from here: in the request behind the stream the loop may be lost, which neither the timer wheel nor `flush` would
      // notice.
      loop.setDeadline(self, loop.now + loop.worker.timeouts.idle)
      return loop.post(.goOn(self))
    }
    switch stream.result {
    case .later(let delay):
      // The client's direction has ended: perhaps the client, too, which only a write would show.
      if sawEnd, loop.now &- lastOutputAt > loop.worker.timeouts.body { return close() }
      stream.dueAt = loop.now + max(delay, 1_000_000)
      waitForStream(stream)
    default: pull()
    }
  }

  /// Until it is due; or a look is taken whether its plugin is out, which ends it.
  private func waitForStream(_ stream: StreamBody) {
    let look = stream.isHosts ? UInt64.max : loop.now + StreamBody.longestWait
    loop.setDeadline(self, min(stream.dueAt, look))
  }

  func endStream() {
    guard let body = stream else { return }
    stream = nil
    release(body)
  }

  func release(_ body: StreamBody) {
    if body.isHosts { body.release(on: loop.frame) } else { loop.worker.pool.submitRelease(of: body) }
  }
}

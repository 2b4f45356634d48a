import Glibc
import HTTPCodec
import LinuxShims
import Synchronization

/// One thread's share of the connections: it waits, reads, runs the pipeline and writes (epoll(7), edge-triggered).
///
/// All of its state is here and in its connections, none on the thread's stack, so that another thread could take it
/// over at any plugin call. Only the loop's thread touches it, but for `post`.
final class EventLoop: @unchecked Sendable {
  let index: Int
  unowned(unsafe) let worker: Worker
  /// The thread that has the loop; the watchdog changes it when it takes the loop from that thread.
  var thread: UnsafeMutablePointer<LoopThread>? {
    didSet { if let thread { frame = thread.pointee.frame } }
  }
  /// That thread's frame.
  private(set) var frame: FaultFrame
  /// The connection whose request is in the pipeline.
  unowned(unsafe) var inHand: Connection?
  /// When the turn began, 0 while the loop waits. Read by the watchdog.
  private let turn = Atomic<UInt64>(0)
  private let hasLostHandler = Atomic<Bool>(false)
  let statistics = LoopStatistics()
  let recent: RecentRequests
  var accessLog: AccessLog

  private let epoll: FileDescriptor
  private let wakeup: FileDescriptor
  private let inbox = Mutex<[LoopMessage]>([])
  private var messages: [LoopMessage] = []
  private var messageIndex = 0

  private let events = UnsafeMutablePointer<epoll_event>.allocate(capacity: EventLoop.batch)
  private var eventCount = 0
  private var eventIndex = 0
  private static let batch = 256
  private static let acceptBatch = 64
  /// For the first request of a connection that was taken when the host stopped.
  private static let lastPatience: UInt64 = 1_000_000_000

  /// When this turn began, monotonic.
  private(set) var now = Clock.monotonic()
  var random = IdentifierGenerator()
  var dates = DateLine()
  /// What the connection in hand has to say; written at the end of its turn.
  var output = ByteBuffer(capacity: outputKept)
  private static let outputKept = 64 << 10
  private static let maxOutputKept = 1 << 20
  private var spare: [Exchange] = []
  private var closed: [Connection] = []
  private var connections = TagTable<Connection>()
  private let wheel: TimerWheel
  private var isAccepting = false
  private var resumeAcceptingAt: UInt64 = 0
  /// When there was no descriptor for a connection for the first time since there was one; 0 if there was.
  private var exhaustedSince: UInt64 = 0
  private static let longestExhaustion: UInt64 = 5_000_000_000
  /// The supervisor knows that this worker is to be replaced.
  private var hasSaidUnfit = false
  /// When the thread's signal mask and its alternate stack are looked after next.
  private var mendsAt: UInt64 = 0
  private(set) var isDraining = false
  /// Where connections are passed on to, in a worker that is to end.
  private(set) var handOver: HandOver?
  private var isEnding = false

  // Below `TagTable.firstTag`.
  private static let wakeupTag: UInt64 = 1
  private static let firstListenerTag: UInt64 = 16

  init(index: Int, worker: Worker, frame: FaultFrame) throws(SystemError) {
    self.index = index
    self.worker = worker
    self.frame = frame
    epoll = FileDescriptor(raw: try checked("epoll_create1") { epoll_create1(Int32(EPOLL_CLOEXEC)) })
    wakeup = FileDescriptor(
      raw: try checked("eventfd") { eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK)) })
    wheel = TimerWheel(now: now)
    recent = RecentRequests()
    accessLog = AccessLog(format: worker.configuration.host.logFormat)
    try watch(wakeup, EPOLLIN.rawValue, tag: EventLoop.wakeupTag)
  }

  /// Those that it waits with.
  var descriptors: [Int32] { [epoll.raw, wakeup.raw] }

  private func watch(_ descriptor: FileDescriptor, _ interest: UInt32, tag: UInt64) throws(SystemError) {
    var event = epoll_event()
    event.events = interest
    event.data.u64 = tag
    try checked("epoll_ctl") { epoll_ctl(epoll.raw, EPOLL_CTL_ADD, descriptor.raw, &event) }
  }

  // MARK: The thread

  /// Serves until the loop has drained. Called on the thread that has the loop, whose frame is `own`.
  ///
  /// - Returns: false if the loop is another thread's by now: then nothing of it is touched any more.
  func run(on own: FaultFrame) -> Bool {
    shim_name_thread("loop \(index)")
    while !isEnding {
      // Of a turn that another thread began there may be something left.
      guard finishMessages(on: own) else { return false }
      while eventIndex < eventCount {
        let event = events[eventIndex]
        eventIndex += 1
        dispatch(event, on: own)
        guard !own.hasLostLoop else { return false }
      }
      wheel.advance(to: now) { expire($0) }
      if !isAccepting, !isDraining, resumeAcceptingAt != 0, now >= resumeAcceptingAt { startAccepting() }
      if now >= mendsAt, !worker.isChecked {
        mendsAt = now &+ 1_000_000_000
        if guard_mend_thread() {
          worker.sharedState.beVigilant()
          Log.shared.write(.error, "a plugin \(Tampering.mask); which one is not known")
        }
      }
      accessLog.flush(at: now)
      for connection in closed { Unmanaged.passUnretained(connection).release() }
      closed.removeAll(keepingCapacity: true)
      if isDraining || handOver != nil, statistics.open.load(ordering: .relaxed) == 0, hasNothingToCome {
        isEnding = true
      }
      if !isEnding { wait() }
    }
    turn.store(0, ordering: .relaxed)
    accessLog.flush(at: .max)
    worker.loopEnded()
    return true
  }

  /// Goes on where another thread froze in a plugin, or is slow to come back from one.
  ///
  /// - Parameter frozen: the frame of the thread that froze; nil if it goes on with the request in hand.
  /// - Returns: as `run`.
  func takeOver(on own: FaultFrame, from frozen: FaultFrame?) -> Bool {
    now = Clock.monotonic()
    worker.loopThreads.replenish()
    if let connection = inHand {
      inHand = nil
      if let frozen { connection.recover(from: frozen) } else { connection.callGoesOn() }
      guard !own.hasLostLoop else { return false }
    }
    return run(on: own)
  }

  private func wait() {
    turn.store(0, ordering: .sequentiallyConsistent)
    eventIndex = 0
    eventCount = 0
    let count = epoll_wait(epoll.raw, events, Int32(EventLoop.batch), nextTimeout())
    // A plugin has closed what is not its own: without it nothing is heard any more.
    if count < 0, errno != EINTR {
      Worker.giveUp("a loop cannot wait for events: \(SystemError("epoll_wait"))")
    }
    eventCount = max(0, Int(count))
    now = Clock.monotonic()
    turn.store(now, ordering: .sequentiallyConsistent)
    worker.watchdog.poke()
  }

  var turnStartedAt: UInt64 { turn.load(ordering: .sequentiallyConsistent) }

  /// Watchdog: the loop has just been given to another thread.
  func noteTurn(at now: UInt64) { turn.store(now, ordering: .sequentiallyConsistent) }

  /// Watchdog: a pool thread is lost, whose connection is of this loop.
  func noteLostHandler() {
    hasLostHandler.store(true, ordering: .sequentiallyConsistent)
    wake()
  }

  private func wake() {
    var one: UInt64 = 1
    // EAGAIN: it has been told so often already.
    if write(wakeup.raw, &one, 8) < 0, errno != EAGAIN, errno != EINTR {
      Worker.giveUp("a loop cannot be woken: \(SystemError("write"))")
    }
  }

  private func nextTimeout() -> Int32 {
    if accessLog.isPending || resumeAcceptingAt != 0 || !wheel.isEmpty { return 100 }
    return -1
  }

  private func dispatch(_ event: epoll_event, on own: FaultFrame) {
    let tag = event.data.u64
    if tag >= TagTable<Connection>.firstTag {
      connections[tag]?.ready(event.events)
    } else if tag == EventLoop.wakeupTag {
      receive(on: own)
    } else {
      accept(worker.listeners[Int(tag - EventLoop.firstListenerTag)], event.events)
    }
  }

  // MARK: Messages

  /// Hands the loop something to do. Any thread.
  func post(_ message: LoopMessage) {
    inbox.withLock { $0.append(message) }
    wake()
  }

  private func receive(on own: FaultFrame) {
    var count: UInt64 = 0
    _ = read(wakeup.raw, &count, 8)
    guard finishMessages(on: own) else { return }
    messages = inbox.withLock { messages in
      let taken = messages
      messages.removeAll(keepingCapacity: true)
      return taken
    }
    messageIndex = 0
    if hasLostHandler.exchange(false, ordering: .sequentiallyConsistent) {
      let isFirst = index == 0
      worker.pool.takeLost(of: self, isFirst: isFirst) { messages.append(.lost($0, $1)) }
      worker.loopThreads.takeLost(of: self, isFirst: isFirst) { messages.append(.lost($0, $1)) }
    }
    _ = finishMessages(on: own)
  }

  /// False if the loop is another thread's by now, which finishes them.
  private func finishMessages(on own: FaultFrame) -> Bool {
    while messageIndex < messages.count {
      let message = messages[messageIndex]
      messageIndex += 1
      obey(message)
      guard !own.hasLostLoop else { return false }
    }
    return true
  }

  private func obey(_ message: LoopMessage) {
    switch message {
    case .startAccepting: startAccepting()
    case .adopt(let passed):
      open(passed.descriptor, passed.peer, isTCP: passed.isTCP, unread: passed.unread)
    case .handOver(let handOver): passConnections(on: handOver)
    case .adoptionEnded: break
    case .goOn(let connection): connection.goOn()
    case .handled(let connection): connection.handlerReturned()
    case .pulled(let connection): connection.pullReturned()
    case .bodyWanted(let connection): connection.bodyWanted()
    case .drain: drain()
    case .beat(let number): lastBeat.store(number, ordering: .sequentiallyConsistent)
    case .lost(let connection, let frame):
      if let connection { connection.handlerLost(in: frame) } else { worker.freeze(frame, exchange: nil) }
    case .end: isEnding = true
    }
  }

  // MARK: Accepting

  private func startAccepting() {
    resumeAcceptingAt = 0
    guard !isAccepting, !isDraining else { return }
    isAccepting = true
    for (index, listener) in worker.listeners.enumerated() {
      do throws(SystemError) {
        // EPOLLEXCLUSIVE: one waiting loop is woken for a connection, not all of them.
        try watch(
          listener.descriptor, EPOLLIN.rawValue | (1 << 28), tag: EventLoop.firstListenerTag + UInt64(index))
      } catch {
        Log.shared.write(.error, "cannot listen on \(listener.text): \(error)")
      }
    }
  }

  private func stopAccepting() {
    guard isAccepting else { return }
    isAccepting = false
    for listener in worker.listeners {
      var event = epoll_event()
      _ = epoll_ctl(epoll.raw, EPOLL_CTL_DEL, listener.descriptor.raw, &event)
    }
  }

  /// - Parameter events: what the kernel said of the listener.
  /// - Returns: true if more may be waiting.
  @discardableResult
  private func accept(_ listener: Listener, _ events: UInt32 = 0) -> Bool {
    for _ in 0..<EventLoop.acceptBatch {
      guard isAccepting else { return false }
      var address = sockaddr_storage()
      var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
      let raw = withUnsafeMutablePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          shim_accept(listener.descriptor.raw, $0, &length)
        }
      }
      guard raw >= 0 else {
        switch errno {
        case EAGAIN:
          // To say so of a Unix socket that was shut down is left to epoll(7).
          if events & (EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0 { lose(listener, EINVAL) }
          return false
        case EMFILE, ENFILE, ENOBUFS, ENOMEM:
          noteExhaustion(errno)
          // Those that wait stay in the kernel's queue until there is room again.
          Log.shared.write(
            .error, "cannot accept: \(String(cString: strerror(errno))); trying again in 500 ms")
          stopAccepting()
          resumeAcceptingAt = now + 500_000_000
          return false
        case EBADF, ENOTSOCK, EINVAL, EOPNOTSUPP:
          lose(listener, errno)
          return false
        default: continue  // the client went away while it waited (accept(2), error handling)
        }
      }
      exhaustedSince = 0
      open(FileDescriptor(raw: raw), Peer(&address), isTCP: listener.isTCP, unread: [])
    }
    return true
  }

  /// Those that wait in the kernel's queue have met a host that was there.
  private func acceptWaiting() {
    for listener in worker.listeners {
      // As many as a queue can hold: who comes in their place comes later.
      var batches = Int(Listener.backlog) / EventLoop.acceptBatch
      while batches > 0, accept(listener) { batches -= 1 }
    }
  }

  /// The socket is closed here, or nobody's: the supervisor opens it anew, if it did not shut it itself, and replaces this
  /// worker, which passes on the connections that it has.
  private func lose(_ listener: Listener, _ code: Int32) {
    unwatch(listener.descriptor)
    sayUnfit("cannot accept on \(listener.text): \(SystemError("accept", code))")
  }

  /// Something in this process keeps the descriptors that connections need, and does not give them back.
  private func noteExhaustion(_ code: Int32) {
    guard code == EMFILE else { return }
    if exhaustedSince == 0 { exhaustedSince = now }
    guard now - exhaustedSince > EventLoop.longestExhaustion else { return }
    sayUnfit("has had no descriptor for a connection for \((now - exhaustedSince) / 1_000_000_000) s")
  }

  private func sayUnfit(_ why: String) {
    guard !hasSaidUnfit else { return }
    hasSaidUnfit = true
    worker.report("unfit \(why)")
  }

  private func open(_ descriptor: FileDescriptor, _ peer: Peer, isTCP: Bool, unread: [UInt8]) {
    if isTCP {
      var on: Int32 = 1
      setsockopt(descriptor.raw, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
    }
    let connection = Connection(descriptor, peer, isTCP: isTCP, loop: self)
    connection.begin(with: unread)
    let reference = Unmanaged.passRetained(connection)
    connection.tag = connections.add(connection)
    do throws(SystemError) {
      try watch(descriptor, Connection.interest, tag: connection.tag)
    } catch {
      Log.shared.write(.error, "cannot watch a connection: \(error)")
      connections.remove(connection.tag)
      descriptor.close()
      reference.release()
      return
    }
    statistics.open.wrappingAdd(1, ordering: .relaxed)
    statistics.accepted.wrappingAdd(1, ordering: .relaxed)
    wheel.set(connection, deadline: now + (isDraining ? EventLoop.lastPatience : worker.timeouts.idle))
    // Swaps may come so fast that a connection arrives in a worker that is on its way out itself.
    connection.passIfIdle()
  }

  /// The connection's descriptor is closed; its memory stays until the turn is over, as it may be in hand.
  func retire(_ connection: Connection) {
    wheel.remove(connection)
    connections.remove(connection.tag)
    statistics.open.wrappingSubtract(1, ordering: .relaxed)
    closed.append(connection)
  }

  // MARK: Beats

  private let lastBeat = Atomic<Int>(0)
  private var beatsAsked = 0

  /// Whether the loop has answered the beat that it was asked for the last time; if so it is asked for the next. One that is
  /// at work is for the watchdog to judge. Control thread.
  func isBeating() -> Bool {
    guard lastBeat.load(ordering: .sequentiallyConsistent) == beatsAsked else { return turnStartedAt != 0 }
    beatsAsked += 1
    post(.beat(beatsAsked))
    return true
  }

  // MARK: Time

  func setDeadline(_ connection: Connection, _ deadline: UInt64) { wheel.set(connection, deadline: deadline) }

  private func expire(_ connection: Connection) { connection.deadlinePassed() }

  // MARK: Ending

  /// Closes idle connections, lets requests in flight come to their end, and takes no connection but those that wait.
  private func drain() {
    guard !isDraining else { return }
    isDraining = true
    // The turn may have been a long one, and those that are taken now are not to pay for it.
    now = Clock.monotonic()
    // Their turn comes after this: each may have a request to be answered, in which the loop may be lost.
    wheel.visitAll { if $0.isToDrain() { messages.append(.goOn($0)) } }
    acceptWaiting()
    stopAccepting()
    worker.loopStoppedAccepting()
  }

  /// Takes no new connection, and passes each that it has to the next worker when no request of it is in hand.
  private func passConnections(on handOver: HandOver) {
    guard !isDraining else { return }
    stopAccepting()
    worker.loopStoppedAccepting()
    self.handOver = handOver
    wheel.visitAll { $0.passIfIdle() }
  }

  /// The next worker is gone: what is left stays here until the supervisor ends this one.
  func stopPassing() { handOver = nil }

  /// For a connection that is passed on: the kernel keeps watching a socket that another process has open.
  func unwatch(_ descriptor: FileDescriptor) {
    var event = epoll_event()
    _ = epoll_ctl(epoll.raw, EPOLL_CTL_DEL, descriptor.raw, &event)
  }

  /// No connection is on its way here: the worker before has passed on all that it had, and each was taken up.
  private var hasNothingToCome: Bool { !worker.isAdopting && inbox.withLock { $0.isEmpty } }

  // MARK: Exchanges

  /// What was in `output` is sent, or kept elsewhere.
  func clearOutput() {
    output.removeAll()
    if output.capacity > EventLoop.maxOutputKept { output.shrink(to: EventLoop.outputKept) }
  }

  func takeExchange() -> Exchange {
    spare.popLast() ?? Exchange(limits: worker.limits, parserLimits: worker.parserLimits)
  }

  func give(back exchange: Exchange) {
    exchange.connection = nil
    exchange.input.removeAll()
    if exchange.input.capacity > 64 << 10 { exchange.input.shrink(to: 0) }
    if spare.count < 64 { spare.append(exchange) }
  }

  func trusts(_ ip: bh_bytes) -> Bool {
    worker.configuration.host.trustedProxies.contains { $0.contains(ip.buffer) }
  }
}

import Glibc
import HTTPCodec
import Synchronization

/// What the page sees live: samples once a second, and documents whenever they change; as server-sent events.
///
/// All is made by one thread, once for all who look on, while anybody does: the streams copy finished bytes. So neither
/// requests nor an idle host pay for it.
final class DiagnosticsFeed: @unchecked Sendable {
  static let interval: UInt64 = 1_000_000_000
  /// Who opens more is answered 503.
  static let maxReaders = 64
  /// Seconds that a page sees of the past, should somebody have looked on.
  private static let keptSamples = 90
  /// How long the thread goes on when nobody looks on: a page that is loaded again keeps its past.
  private static let patience: UInt64 = 60_000_000_000

  private unowned(unsafe) let worker: Worker
  private let state = Mutex(State())

  private struct State {
    /// Of the latest event.
    var number = 0
    var documents: [String: Event] = [:]
    var samples: [Event] = []
    var readers = 0
    var isRunning = false
    /// Monotonic.
    var nextAt: UInt64 = 0
  }

  private struct Event {
    var number: Int
    /// As it goes over the wire.
    var bytes: [UInt8]
  }

  init(worker: Worker) { self.worker = worker }

  // MARK: Those who look on

  /// False if there are too many.
  func join() -> Bool {
    let (isAdmitted, mustStart) = state.withLock { state -> (Bool, Bool) in
      guard state.readers < DiagnosticsFeed.maxReaders else { return (false, false) }
      state.readers += 1
      defer { state.isRunning = true }
      return (true, !state.isRunning)
    }
    if mustStart, !Thread.start(named: "diagnostics", { self.run() }) {
      state.withLock {
        $0.isRunning = false
        $0.readers -= 1
      }
      return false
    }
    return isAdmitted
  }

  func leave() { state.withLock { $0.readers -= 1 } }

  /// Hands over what came after event `seen`, documents first, and notes it as seen. When there is more, monotonic.
  func read(after seen: inout Int, _ write: (UnsafeRawBufferPointer) -> Bool) -> UInt64 {
    let (events, last, nextAt) = state.withLock { state in
      let known = seen
      let fresh = state.documents.values.filter { $0.number > known }.sorted { $0.number < $1.number }
      return (fresh + state.samples.filter { $0.number > known }, state.number, state.nextAt)
    }
    for event in events {
      // The rest is older than what comes next.
      guard event.bytes.withUnsafeBytes(write) else { break }
    }
    seen = last
    return nextAt
  }

  // MARK: The thread

  private func run() {
    var sampler = DiagnosticsSampler(worker: worker)
    var lonelySince: UInt64?
    var dueAt = Clock.monotonic()
    while true {
      let sample = sampler.sample()
      let documents = sampler.changedDocuments()
      dueAt &+= DiagnosticsFeed.interval
      let now = Clock.monotonic()
      if dueAt <= now { dueAt = now &+ DiagnosticsFeed.interval }
      let isOver = state.withLock { state in
        publish(documents, sample, in: &state)
        state.nextAt = dueAt
        if state.readers > 0 { lonelySince = nil } else { lonelySince = lonelySince ?? now }
        guard let lonelySince, now &- lonelySince >= DiagnosticsFeed.patience else { return false }
        // What is known grows old from here on.
        state = State(number: state.number)
        return true
      }
      if isOver { return }
      var pause = timespec()
      pause.tv_nsec = Int((dueAt &- now) % 1_000_000_000)
      pause.tv_sec = Int((dueAt &- now) / 1_000_000_000)
      nanosleep(&pause, nil)
    }
  }

  private func publish(_ documents: [(String, JSONWriter)], _ sample: JSONWriter, in state: inout State) {
    func event(_ name: String, _ json: JSONWriter) -> Event {
      state.number += 1
      return Event(
        number: state.number, bytes: Array("event: \(name)\ndata: ".utf8) + json.bytes + [0x0a, 0x0a])
    }
    for (name, json) in documents { state.documents[name] = event(name, json) }
    state.samples.append(event("sample", sample))
    if state.samples.count > DiagnosticsFeed.keptSamples { state.samples.removeFirst() }
  }
}

/// One who looks on: what he has seen, in the host's own stream (bulkhead/stream.h). The loop's thread.
final class DiagnosticsReader {
  private let feed: DiagnosticsFeed
  private unowned(unsafe) let loop: EventLoop
  private var seen = 0
  private var hasBegun = false

  private init(_ feed: DiagnosticsFeed, loop: EventLoop) {
    self.feed = feed
    self.loop = loop
  }

  /// A stream for one who has joined the feed; it leaves the feed when it is released.
  static func stream(of feed: DiagnosticsFeed, loop: EventLoop) -> bh_stream_source {
    let reader = Unmanaged.passRetained(DiagnosticsReader(feed, loop: loop))
    return bh_stream_source(
      size: UInt32(MemoryLayout<bh_stream_source>.size), state: reader.toOpaque(),
      pull: { state, stream, delay in
        guard let state, let delay, let piece = StreamPiece.of(stream) else {
          return bh_pull_result(BH_PULL_END)
        }
        return Unmanaged<DiagnosticsReader>.fromOpaque(state).takeUnretainedValue().pull(
          piece, &delay.pointee)
      },
      release: { state in
        guard let state else { return }
        let reader = Unmanaged<DiagnosticsReader>.fromOpaque(state).takeRetainedValue()
        reader.feed.leave()
      })
  }

  private func pull(_ piece: StreamPiece, _ delay: inout UInt64) -> bh_pull_result {
    // The next generation takes the connection over: the page asks again there.
    guard !loop.isDraining, loop.handOver == nil else { return bh_pull_result(BH_PULL_END) }
    if !hasBegun {
      hasBegun = true
      _ = piece.append(bh_bytes("retry: 1000\n\n"))
    }
    let nextAt = feed.read(after: &seen) { piece.append(bh_bytes($0)) }
    let now = Clock.monotonic()
    // A moment after it is due, when it will be there.
    let due = nextAt > now ? nextAt &- now &+ 20_000_000 : 20_000_000
    delay = min(due, DiagnosticsFeed.interval)
    return bh_pull_result(BH_PULL_LATER)
  }
}

import Glibc
import HTTPCodec
import Synchronization

/// One request and its response in the making; reused for request after request.
///
/// All of its state is on the heap, none on a stack: a thread that never comes back from a plugin leaves nothing
/// behind that another thread would need. At any instant one thread works on it: the loop that owns its connection,
/// or the pool thread that runs its handler.
final class Exchange: @unchecked Sendable {
  /// The bytes received and not yet consumed; the request in hand begins at the first.
  var input = ByteBuffer(capacity: 0)
  var parser: RequestParser
  let parserLimits: CodecLimits
  var head = RequestHead()
  var decoder: ChunkedDecoder
  var reading = Reading.head

  /// `refused`: the head is, and is read on to its end, so that the answer can say whose it is.
  enum Reading { case head, refused, body, complete }

  /// Why the head was refused, while it is read on.
  var refusal: Refusal?

  /// The body, if the handler reads it as it arrives.
  var requestBody: RequestBody?

  /// The body is not received: what head and route say of the request is its answer. Plugins see an empty one, and no
  /// handler runs.
  var isBodyUnread = false

  /// The view that plugins get. Filled in by `Pipeline.prepare`.
  let request: UnsafeMutablePointer<bh_request>
  let fields: UnsafeMutablePointer<bh_field>
  let parameters: UnsafeMutablePointer<bh_field>
  static let maxParameters = 16

  var arena = Arena(capacity: 2048)

  // The response.
  var status: UInt32 = 0
  /// Header fields: those of plugins, and beyond them the host's: CORS, problems, Allow.
  let headers = FieldList(capacity: 64, reserve: 32)
  var body = ByteBuffer(capacity: 0)
  var isCORSDecided = false
  /// Set by a handler that streams its body.
  var stream: bh_stream_source?
  /// Those that nothing will pull, and that are still to be released.
  var droppedStreams: [bh_stream_source] = []
  /// The connection ends after this response.
  var closes = false

  // Values between plugins.
  let identity: UnsafeMutablePointer<bh_identity>
  var hasIdentity = false
  let attributes = FieldList(capacity: 32)

  /// What the response and the identity were before the running plugin was called.
  var before = BeforeCall()
  /// The body before the running plugin was called, once that has set another.
  var bodyBefore = ByteBuffer(capacity: 0)

  /// Another exchange has taken its place: this one is left to the thread that froze with it.
  let isAbandoned = Atomic<Bool>(false)

  // Where the request is in the pipeline.
  var phase = Phase.start
  var cursor = 0
  /// When the clock was last read in this run of phases, monotonic; 0 if something else came in between.
  var lookedAt: UInt64 = 0
  var chain: UnsafeBufferPointer<ChainEntry> = .init(start: nil, count: 0)
  var match = RouteMatch.none
  /// Bit i: the request phase of plugin i ran, so its response phase will.
  var ran: UInt64 = 0
  /// Bit i: this request is plugin i's half-open probe.
  var probing: UInt64 = 0
  /// The index of the plugin whose answer this is: it responded, or changed the status last; -1 while it is the host's own.
  var responder: Int32 = -1
  /// The plugin that a host-made answer blames.
  var blamed: Plugin?
  /// The plugin whose frame is on the stack.
  unowned(unsafe) var current: Plugin?
  /// What the running plugin gave `set_error`.
  var errorMessage: String?
  /// The running plugin is in shadow mode: what it does to the response is noted, not done.
  var isShadowed = false
  var shadowStatus: UInt32 = 0
  /// A synthetic request of diagnostics: it stops short of the handler.
  var isTrace = false

  enum Phase { case start, preflight, request, access, handle, handled, response, finish, done }

  // What it belongs to, and when things happened.
  unowned(unsafe) var connection: Connection?
  var startedAt: UInt64 = 0
  /// The Origin field, also of a request that the codec refused.
  var origin: bh_bytes?
  var timeline: UnsafeMutablePointer<PluginPass>
  var timelineCount = 0
  static let maxTimeline = 32

  init(limits: CodecLimits, parserLimits: CodecLimits? = nil) {
    self.parserLimits = parserLimits ?? limits
    parser = RequestParser(limits: self.parserLimits)
    decoder = ChunkedDecoder(maxBody: limits.maxBody)
    request = Handle.allocate(bh_request.self)
    request.initialize(to: bh_request())
    fields = .allocate(capacity: limits.maxFields)
    parameters = .allocate(capacity: Exchange.maxParameters)
    identity = Handle.allocate(bh_identity.self)
    identity.initialize(to: bh_identity())
    timeline = .allocate(capacity: Exchange.maxTimeline)
  }

  deinit {
    Handle.free(request)
    fields.deallocate()
    parameters.deallocate()
    Handle.free(identity)
    timeline.deallocate()
  }

  /// What the C functions take for this exchange.
  var handle: OpaquePointer { Handle.of(self) }

  /// Forgets the request that is done; `input` keeps what follows it.
  func reset(limits: CodecLimits) {
    parser.reset()
    head.count = 0
    decoder = ChunkedDecoder(maxBody: limits.maxBody)
    reading = .head
    if refusal != nil { refusal = nil }
    if requestBody != nil { requestBody = nil }
    isBodyUnread = false
    arena.reset()
    status = 0
    headers.removeAll()
    body.removeAll()
    if body.capacity > 64 << 10 { body.shrink(to: 0) }
    bodyBefore.removeAll()
    if bodyBefore.capacity > 64 << 10 { bodyBefore.shrink(to: 0) }
    before = BeforeCall()
    isCORSDecided = false
    stream = nil
    if !droppedStreams.isEmpty { droppedStreams.removeAll() }
    closes = false
    hasIdentity = false
    attributes.removeAll()
    phase = .start
    cursor = 0
    match = .none
    ran = 0
    probing = 0
    responder = -1
    if blamed != nil { blamed = nil }
    if current != nil { current = nil }
    if errorMessage != nil { errorMessage = nil }
    isShadowed = false
    isTrace = false
    timelineCount = 0
    origin = nil
  }

  // MARK: The response

  /// Replaces each field of this name; both are copied.
  @discardableResult
  func setHeader(_ name: bh_bytes, _ value: bh_bytes) -> Bool {
    removeHeader(name)
    return addHeader(name, value)
  }

  /// False if there are too many.
  @discardableResult
  func addHeader(_ name: bh_bytes, _ value: bh_bytes) -> Bool {
    headers.append(bh_field(name: arena.copy(name), value: arena.copy(value)))
  }

  /// Appends a field of the host's own, whose bytes outlive the response: literals, and what lies in the arena or the
  /// request.
  @inline(__always)
  func addHeader(borrowing name: bh_bytes, _ value: bh_bytes) {
    headers.append(bh_field(name: name, value: value), isHosts: true)
  }

  /// Replaces each field of this name by one of the host's own.
  func setHeader(borrowing name: bh_bytes, _ value: bh_bytes) {
    removeHeader(name)
    addHeader(borrowing: name, value)
  }

  func removeHeader(_ name: bh_bytes) {
    headers.remove(name)
  }

  func header(_ name: bh_bytes) -> bh_bytes? {
    headers.first { $0.name.equalsIgnoringCase(name) }?.value
  }

  /// Makes the response one of the host's own, of this type; header fields set before stay.
  func respond(_ status: Int, type: StaticString, _ write: (inout ByteBuffer) -> Void) {
    self.status = UInt32(status)
    clearBody()
    write(&body)
    setHeader(borrowing: bh_bytes("Content-Type"), bh_bytes(type))
  }

  // MARK: The request's values

  /// The bytes of a range of the head.
  @inline(__always)
  func bytes(_ range: ByteRange) -> bh_bytes {
    bh_bytes(UnsafeRawPointer(input.readable.baseAddress! + range.start), range.count)
  }

  func value(_ known: KnownField) -> bh_bytes? {
    guard let range = head.first(known) else { return nil }
    return bytes(range)
  }

  /// Notes what a plugin's phase came to, for the timeline in diagnostics.
  ///
  /// - Parameter entry: when the plugin was called, monotonic; 0 if it was not.
  @inline(__always)
  func note(
    _ plugin: Int, _ phase: PluginPass.Phase, _ outcome: PluginPass.Outcome, _ nanoseconds: UInt64,
    enteredAt entry: UInt64 = 0
  ) {
    guard timelineCount < Exchange.maxTimeline else { return }
    timeline[timelineCount] = PluginPass(
      plugin: UInt8(truncatingIfNeeded: plugin), phase: phase, outcome: outcome,
      nanoseconds: Float(Int64(bitPattern: nanoseconds)),
      entry: entry == 0 ? -1 : Float(Int64(bitPattern: entry &- startedAt)))
    timelineCount += 1
  }
}

/// One phase of one plugin in one request.
struct PluginPass {
  enum Phase: UInt8 { case request, response, route }
  enum Outcome: UInt8 { case passed, responded, fault, skipped, refused }

  var plugin: UInt8
  var phase: Phase
  var outcome: Outcome
  /// In four bytes, however long it took, and to the nanosecond up to 16 ms.
  var nanoseconds: Float
  /// When the plugin was called, in nanoseconds of the request; -1 if it was not, and if it froze there.
  var entry: Float
}

import Glibc
import HTTPCodec

/// A request's body on its way to the handler that reads it as it arrives (bulkhead/request-body.h): a ring of bytes
/// between the loop, which receives them, and the pool thread that runs the handler.
///
/// Held from both sides: a thread that froze in its handler keeps what it may still touch. Bytes are copied without the
/// lock, for the plugin's buffer may be no memory, and then the thread stops there for good.
final class RequestBody: @unchecked Sendable {
  /// Why the rest will not come.
  enum Failure: Equatable {
    case gone
    case malformed(RequestError)
    case tooLarge(RequestError)
    case late(RequestError)

    /// What the client is told, if it is still there.
    var error: RequestError {
      switch self {
      case .gone:
        RequestError(
          status: 400, code: "body-incomplete", detail: "The connection ended before the body did.")
      case .malformed(let error), .tooLarge(let error), .late(let error): error
      }
    }

    var abi: bh_body_error {
      switch self {
      case .gone: bh_body_error(BH_BODY_GONE)
      case .malformed: bh_body_error(BH_BODY_MALFORMED)
      case .tooLarge: bh_body_error(BH_BODY_TOO_LARGE)
      case .late: bh_body_error(BH_BODY_LATE)
      }
    }
  }

  private enum End {
    case whole
    case failed(Failure)
  }

  /// What one `read` came to.
  enum Piece: Equatable {
    /// 0: the body is at its end.
    case bytes(Int)
    case failed
    /// Not the thread that runs the handler.
    case refused
  }

  /// Bytes that are received ahead of the handler.
  static let capacity = 64 << 10

  private let ring: UnsafeMutableRawBufferPointer
  private let lock: UnsafeMutablePointer<pthread_mutex_t>
  private let arrival: UnsafeMutablePointer<pthread_cond_t>
  // Guarded by `lock`. Both counts only grow; their difference is what lies in the ring.
  private var given = 0
  private var taken = 0
  private var end: End?
  private var isWaiting = false
  private var needsRoom = false
  private var wasAskedFor = false

  // The reader's own; the loop looks at them when the handler has returned.
  private var reader: pthread_t?
  private var frame: FaultFrame?
  /// What `read` has told the handler.
  private(set) var failure: Failure?
  /// Nanoseconds that the handler has waited for the client.
  private(set) var waited: UInt64 = 0

  /// The pool's job holds it for as long as the handler runs.
  private unowned(unsafe) let connection: Connection?

  /// - Parameter connection: whose loop receives the body.
  init(of connection: Connection) {
    self.connection = connection
    ring = .allocate(byteCount: RequestBody.capacity, alignment: 16)
    (lock, arrival) = RequestBody.makeLock()
  }

  /// A body that is there already.
  init(whole bytes: [UInt8]) {
    connection = nil
    ring = .allocate(byteCount: max(1, bytes.count), alignment: 16)
    ring.copyBytes(from: bytes)
    (lock, arrival) = RequestBody.makeLock()
    given = bytes.count
    end = .whole
  }

  private static func makeLock() -> (
    UnsafeMutablePointer<pthread_mutex_t>, UnsafeMutablePointer<pthread_cond_t>
  ) {
    let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    let arrival = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    pthread_mutex_init(lock, nil)
    pthread_cond_init(arrival, nil)
    return (lock, arrival)
  }

  deinit {
    pthread_cond_destroy(arrival)
    pthread_mutex_destroy(lock)
    arrival.deallocate()
    lock.deallocate()
    ring.deallocate()
  }

  private func locked<R>(_ body: () -> R) -> R {
    pthread_mutex_lock(lock)
    defer { pthread_mutex_unlock(lock) }
    return body()
  }

  // MARK: The handler's thread

  /// The handler is about to run on this thread.
  func begin(on frame: FaultFrame) {
    reader = pthread_self()
    self.frame = frame
  }

  /// Takes the next bytes; waits if there are none.
  ///
  /// Meanwhile it is the host that is on the stack, and no plugin: the plugin's clock stands still, and begins anew with
  /// each piece, for a handler that comes back for the next one does not hang.
  func read(into buffer: UnsafeMutableRawBufferPointer) -> Piece {
    guard let reader, let frame, pthread_equal(reader, pthread_self()) != 0 else { return .refused }
    let guarded = frame.guarded
    let plugin = guard_owner(guarded) & UInt32(GUARD_PLUGIN_MASK)
    let since = guard_since(guarded)
    frame.leave()
    let before = waited
    waitForBytes()
    let (start, available, last) = locked { (taken % ring.count, given - taken, end) }
    if plugin != 0 {
      let resumed = available > 0 ? Clock.monotonic() : since &+ (waited &- before)
      guard_enter(guarded, plugin - 1, guarded.pointee.phase, resumed)
    }
    guard available > 0 else {
      guard case .failed(let failure) = last else { return .bytes(0) }
      self.failure = failure
      return .failed
    }
    return .bytes(take(min(available, buffer.count), from: start, into: buffer))
  }

  /// Bytes that are there: the loop writes only to what is behind them.
  private func take(_ count: Int, from start: Int, into buffer: UnsafeMutableRawBufferPointer) -> Int {
    let first = min(count, ring.count - start)
    buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: ring[start..<(start + first)]))
    if first < count {
      UnsafeMutableRawBufferPointer(rebasing: buffer[first...]).copyMemory(
        from: UnsafeRawBufferPointer(rebasing: ring[..<(count - first)]))
    }
    let makesRoom = locked {
      taken += count
      guard needsRoom, ring.count - (given - taken) >= ring.count / 2 else { return false }
      needsRoom = false
      return true
    }
    if makesRoom { askForMore() }
    return count
  }

  /// Until there are some, or the body is over: the loop's deadlines see to that.
  private func waitForBytes() {
    guard locked({ given == taken && end == nil }) else { return }
    let begun = Clock.monotonic()
    let isFirst = locked {
      defer { wasAskedFor = true }
      return !wasAskedFor
    }
    if isFirst { askForMore() }
    locked {
      isWaiting = true
      while given == taken, end == nil { pthread_cond_wait(arrival, lock) }
      isWaiting = false
    }
    waited &+= Clock.monotonic() &- begun
  }

  private func askForMore() {
    guard let connection else { return }
    connection.loop.post(.bodyWanted(connection))
  }

  // MARK: The loop

  /// The handler has asked for what is not there: a client that waits for 100 Continue may begin.
  var isAskedFor: Bool { locked { wasAskedFor } }

  /// Bytes that can be given.
  var room: Int { locked { ring.count - (given - taken) } }

  /// Gives as much as there is room for.
  ///
  /// - Returns: how many bytes.
  func give(_ bytes: UnsafeRawBufferPointer) -> Int {
    let (start, room) = locked { (given % ring.count, ring.count - (given - taken)) }
    let count = min(room, bytes.count)
    guard count > 0 else { return 0 }
    let first = min(count, ring.count - start)
    UnsafeMutableRawBufferPointer(rebasing: ring[start..<(start + first)]).copyMemory(
      from: UnsafeRawBufferPointer(rebasing: bytes[..<first]))
    if first < count {
      ring.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[first..<count]))
    }
    locked {
      given += count
      if isWaiting { pthread_cond_signal(arrival) }
    }
    return count
  }

  /// The handler is to say when there is room. False if there is some by now.
  func waitForRoom() -> Bool {
    locked {
      guard ring.count == given - taken else { return false }
      needsRoom = true
      return true
    }
  }

  func finish() { settle(.whole) }

  /// The handler still gets what was given.
  func fail(_ failure: Failure) { settle(.failed(failure)) }

  private func settle(_ how: End) {
    locked {
      guard end == nil else { return }
      end = how
      pthread_cond_signal(arrival)
    }
  }
}

import HTTPCodec

/// The loop's side of a body that its handler reads as it arrives: takes the framing off what is received, and knows
/// where the next request begins.
final class BodyIntake {
  let body: RequestBody
  /// Received and not passed on. Once the body is whole: of the requests that follow.
  var unread = ByteBuffer(capacity: 0)
  private var framing: Framing
  /// The client waits for 100 Continue.
  let expectsContinue: Bool
  var sentContinue = false
  /// A byte of it has come.
  var hasBegun = false
  /// The thread that ran its handler will not come back.
  var isLost = false
  /// When the client must have sent more, monotonic; `.max` while that is not waited for.
  var deadline = UInt64.max
  private(set) var state = State.arriving

  enum State { case arriving, whole, failed }

  private enum Framing {
    /// Bytes still to come.
    case length(Int)
    case chunked(ChunkedDecoder)
  }

  /// - Parameters:
  ///   - framing: of the head; a length is within the limit.
  ///   - limit: most bytes of payload.
  init(_ framing: HTTPCodec.Framing, limit: Int, expectsContinue: Bool, for connection: Connection) {
    body = RequestBody(of: connection)
    self.expectsContinue = expectsContinue
    switch framing {
    case .none: self.framing = .length(0)
    case .length(let count): self.framing = .length(count)
    case .chunked: self.framing = .chunked(ChunkedDecoder(maxBody: limit))
    }
    if case .length(0) = self.framing { finish() }
  }

  /// The client waits to be told whether to send the body, and was not told: with its answer in hand it may send that, or
  /// the next request in its place (RFC 9110 section 10.1.1).
  var isInDoubt: Bool { state == .arriving && expectsContinue && !sentContinue && !hasBegun }

  /// Bytes that are still to come for sure.
  var missing: Int {
    guard case .length(let count) = framing else { return 0 }
    return count - min(count, unread.count)
  }

  func append(_ bytes: UnsafeRawBufferPointer) {
    guard !bytes.isEmpty else { return }
    hasBegun = true
    unread.append(bytes)
  }

  /// Passes on as much as the handler has room for, or all of it to nobody.
  func pass(discarding: Bool = false) {
    while state == .arriving, !unread.isEmpty {
      let moved: Bool
      switch framing {
      case .length(let count): moved = pass(ofLength: count, discarding)
      case .chunked(var decoder):
        moved = pass(through: &decoder, discarding)
        framing = .chunked(decoder)
      }
      guard moved else { return }
    }
  }

  private func pass(ofLength count: Int, _ discarding: Bool) -> Bool {
    let bytes = UnsafeRawBufferPointer(unread.readable)
    let wanted = UnsafeRawBufferPointer(rebasing: bytes[..<min(count, bytes.count)])
    let moved = discarding ? wanted.count : body.give(wanted)
    unread.consume(moved)
    framing = .length(count - moved)
    if moved == count { finish() }
    return moved > 0
  }

  private func pass(through decoder: inout ChunkedDecoder, _ discarding: Bool) -> Bool {
    // Of so many bytes there is no more payload than that.
    let count = discarding ? unread.count : min(unread.count, body.room)
    guard count > 0 else { return false }
    let region = UnsafeMutableRawBufferPointer(rebasing: unread.readable[..<count])
    func give(_ count: Int) {
      if !discarding { _ = body.give(UnsafeRawBufferPointer(rebasing: region[..<count])) }
    }
    do throws(RequestError) {
      let isWhole = try decoder.decode(region)
      give(decoder.decodedCount)
      unread.consume(decoder.consumedCount)
      decoder.payloadWasTaken()
      if isWhole { finish() }
    } catch {
      // What came before the flaw is the handler's.
      give(decoder.decodedCount)
      fail(error.status == 413 ? .tooLarge(error) : .malformed(error))
    }
    return true
  }

  private func finish() {
    state = .whole
    deadline = .max
    body.finish()
  }

  func fail(_ failure: RequestBody.Failure) {
    guard state == .arriving else { return }
    state = .failed
    deadline = .max
    body.fail(failure)
  }
}

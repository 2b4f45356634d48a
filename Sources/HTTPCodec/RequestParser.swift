/// Parses the head of an HTTP/1.1 or HTTP/1.0 request (RFC 9112), strictly.
///
/// A state machine over octets that can stop after any of them: however the bytes of a request are cut into calls,
/// the result is the same, errors included, and no octet is looked at more than a constant number of times. A
/// request is refused at the first octet with which it can no longer be a good one; one that is good, and asks for too
/// much (413, 417), once its head is whole, so that the answer can say whose it is. Whatever two recipients might read
/// in two ways is refused, since that is what request smuggling is made of: only CRLF ends a line, single spaces divide
/// the request line, framing is said once, and so is the host.
///
/// Use one for each connection, from one thread at a time. Allocates nothing, but for `RequestHead.fields` growing to
/// what the largest head so far needed.
///
/// Unsafe memory: this file and its extensions read `base[0..<end]`, where `end` is at most the count of the buffer
/// given to `parse`; pointers do not outlive the call.
public struct RequestParser: Sendable {
  /// What the next octet is expected to be. Raw values rise in the order of the octets of a request.
  enum State: UInt8 {
    case start, startLineFeed
    case method, targetStart, asterisk, scheme, authority, path, query
    case version, requestLineEnd, requestLineFeed
    case fieldStart, fieldName, valueStart, value, fieldLineFeed
    case lastLineFeed
  }

  /// What the fields so far have said about framing and the connection.
  struct Seen: OptionSet {
    let rawValue: UInt8
    static let host = Seen(rawValue: 1)
    static let contentLength = Seen(rawValue: 2)
    static let transferEncoding = Seen(rawValue: 4)
    static let close = Seen(rawValue: 8)
    static let keepAlive = Seen(rawValue: 16)
    static let expectContinue = Seen(rawValue: 32)
    static let targetAuthority = Seen(rawValue: 64)
    static let otherExpectation = Seen(rawValue: 128)
  }

  /// Empty lines tolerated before a request line: RFC 9112 section 2.2 asks for one at least.
  static let maxEmptyLines = 4
  /// No registered method is longer than 17 bytes.
  static let maxMethod = 24

  let limits: CodecLimits
  var state: State = .start
  var seen: Seen = []
  var emptyLines = 0
  /// The first octet not yet read; all before it need not be looked at again.
  var position = 0
  /// Where the token that the octet at `position` belongs to begins.
  var mark = 0
  /// Of the field being read.
  var nameStart = 0
  var nameEnd = 0
  var valueEnd = 0

  /// - Parameter limits: Kept for the life of the parser; values beyond their range count as the nearest within it.
  public init(limits: CodecLimits) {
    var limits = limits
    limits.maxTarget = max(limits.maxTarget, 1)
    limits.maxHead = min(max(limits.maxHead, 1), Int(Int32.max))
    limits.maxFields = min(max(limits.maxFields, 0), Int(UInt16.max))
    limits.maxBody = max(limits.maxBody, 0)
    self.limits = limits
  }

  /// Makes the parser ready for the next request. Done already once `parse` has returned true.
  public mutating func reset() {
    state = .start
    position = 0
  }

  /// Goes on parsing.
  ///
  /// - Parameters:
  ///   - bytes: All that has been received since this request began: what the last call got, and more. The memory
  ///     may have moved. Bytes after the head are not looked at.
  ///   - head: The same one in every call for a request.
  /// - Returns: True once the head is whole; the next call then begins a new request.
  /// - Throws: What is wrong, as soon as it can be known. The parser may not be used again before `reset`, nor the head
  ///   unless it `isWhole`.
  public mutating func parse(
    _ bytes: UnsafeRawBufferPointer, into head: inout RequestHead
  ) throws(RequestError) -> Bool {
    guard let base = bytes.baseAddress else { return false }
    let end = min(bytes.count, limits.maxHead)
    if state.rawValue < State.fieldStart.rawValue {
      if state.rawValue < State.method.rawValue {
        guard try parseStart(base, end, &head) else { return try suspend(at: end) }
      }
      guard try parseRequestLine(base, end, &head) else { return try suspend(at: end) }
    }
    guard try parseFields(base, end, &head) else { return try suspend(at: end) }
    return true
  }

  /// Ends a call whose bytes are used up.
  private mutating func suspend(at end: Int) throws(RequestError) -> Bool {
    if end >= limits.maxHead { throw .headTooLarge }
    position = end
    return false
  }

  /// Passes over empty lines, up to the first octet of the method.
  @inline(__always)
  private mutating func parseStart(
    _ base: UnsafeRawPointer, _ end: Int, _ head: inout RequestHead
  ) throws(RequestError) -> Bool {
    if position == 0 {
      head.clear()
      seen = []
      emptyLines = 0
    }
    var offset = position
    while offset < end {
      let octet = base.load(fromByteOffset: offset, as: UInt8.self)
      if state == .startLineFeed {
        guard octet == Octets.lineFeed else { throw .bareCarriageReturn }
        state = .start
      } else if octet == Octets.carriageReturn {
        guard emptyLines < Self.maxEmptyLines else { throw .malformedRequestLine }
        emptyLines &+= 1
        state = .startLineFeed
      } else {
        state = .method
        position = offset
        mark = offset
        return true
      }
      offset &+= 1
    }
    return false
  }
}

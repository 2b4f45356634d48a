/// What can still be learnt of a head that `RequestParser` refused: where it ends, whose request it is, and which method
/// it has.
///
/// A refusal says nothing of the bytes behind the flaw, and an `Origin` there decides whether a browser may read the
/// answer. So the rest is read as lines, with no regard to what was wrong. However the bytes are cut into calls, the
/// result is the same, and no octet is looked at more than a constant number of times. What is found serves to word the
/// answer, and never to find a request: the connection ends with it.
///
/// One refused head each; from one thread at a time; allocates nothing.
public struct RefusedHead: Sendable {
  private let limit: Int
  /// The octets before it have been looked at.
  private var position = 0
  /// Where the line at `position` begins.
  private var lineStart = 0
  /// Where the first line that is not empty begins.
  private var requestLine: Int?
  private var isEnded = false

  private var values = InlineArray<11, ByteRange>(repeating: .empty)
  // A bit for each `KnownField`.
  private var present: UInt16 = 0
  private var repeated: UInt16 = 0

  /// No method longer than this is shown.
  private static let maxMethod = 24

  /// - Parameter limit: Octets of the head that are looked at, from its first; 0 or more.
  public init(limit: Int) {
    self.limit = max(limit, 0)
  }

  /// Goes on reading.
  ///
  /// - Parameter bytes: All that has been received since the request began: what the last call got, and more. The memory
  ///   may have moved.
  /// - Returns: True once more bytes would change nothing: the blank line has come, or `limit` octets have, or the bytes
  ///   are no HTTP from the first octet on, as a TLS client's are.
  public mutating func read(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard !isEnded, let base = bytes.baseAddress else { return isEnded }
    let end = min(bytes.count, limit)
    while !isEnded, position < end {
      if requestLine == nil, position == lineStart, !Self.mayBegin(bytes[position]) {
        isEnded = true
        break
      }
      while position < end, bytes[position] != Octets.lineFeed { position &+= 1 }
      guard position < end else { break }
      finishLine(base, position)
      position &+= 1
      lineStart = position
    }
    if position >= limit { isEnded = true }
    return isEnded
  }

  /// A line that is text, an empty line, or what a bare CR begins.
  private static func mayBegin(_ octet: UInt8) -> Bool {
    (0x20...0x7E).contains(octet) || octet == Octets.carriageReturn || octet == Octets.lineFeed
  }

  private mutating func finishLine(_ base: UnsafeRawPointer, _ lineFeed: Int) {
    var end = lineFeed
    if end > lineStart, base.load(fromByteOffset: end &- 1, as: UInt8.self) == Octets.carriageReturn {
      end &-= 1
    }
    guard end > lineStart else {
      isEnded = requestLine != nil
      return
    }
    guard requestLine != nil else {
      requestLine = lineStart
      return
    }
    let colon = Octets.skip(.token, base, lineStart, end)
    guard colon > lineStart, colon < end,
      base.load(fromByteOffset: colon, as: UInt8.self) == UInt8(ascii: ":"),
      case .known(let known) = FieldName.recognize(base + lineStart, colon &- lineStart)
    else { return }
    note(known, base, from: colon &+ 1, to: end)
  }

  private mutating func note(_ known: KnownField, _ base: UnsafeRawPointer, from start: Int, to end: Int) {
    var start = start
    var end = end
    while start < end, RequestParser.isWhitespace(base.load(fromByteOffset: start, as: UInt8.self)) {
      start &+= 1
    }
    while end > start, RequestParser.isWhitespace(base.load(fromByteOffset: end &- 1, as: UInt8.self)) {
      end &-= 1
    }
    let bit: UInt16 = 1 &<< UInt16(truncatingIfNeeded: known.rawValue)
    // One that has a control character is said all the same, but worth nothing.
    let isSound = Octets.skipFieldValue(base, start, end) == end
    if present & bit != 0 || !isSound { repeated |= bit }
    present |= bit
    values[known.rawValue] = ByteRange(from: start, to: end)
  }

  /// The value of a field that the head has exactly once, without the whitespace around it.
  ///
  /// Only a line that has come to its end counts: of half an origin nothing is known.
  ///
  /// - Returns: `nil` if there is no such field so far, if there are several, or if its value is malformed.
  public func value(of known: KnownField) -> ByteRange? {
    let bit: UInt16 = 1 &<< UInt16(truncatingIfNeeded: known.rawValue)
    return present & bit != 0 && repeated & bit == 0 ? values[known.rawValue] : nil
  }

  /// The method.
  ///
  /// - Parameter bytes: As the last call of `read` got them.
  /// - Returns: `nil` if the head does not begin with a token of at most 24 octets and a space.
  public func method(in bytes: UnsafeRawBufferPointer) -> ByteRange? {
    let start = requestLine ?? lineStart
    guard let base = bytes.baseAddress, start < bytes.count else { return nil }
    let end = min(bytes.count, start &+ Self.maxMethod &+ 1)
    let space = Octets.skip(.token, base, start, end)
    guard space > start, space < end, bytes[space] == Octets.space else { return nil }
    return ByteRange(from: start, to: space)
  }
}

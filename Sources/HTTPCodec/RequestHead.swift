/// The head of a request, as offsets into its bytes.
///
/// Made once a connection and filled by `RequestParser` for request after request: its array keeps its capacity, so
/// that parsing allocates nothing in steady state. What it says is meaningful once `RequestParser.parse` has
/// returned true, and until the next call.
public struct RequestHead: Sendable {
  /// The method, if it is a common one.
  public var method: Method = .other
  /// The method as sent; 1 to 24 bytes. Methods are case-sensitive.
  public var methodName: ByteRange = .empty
  /// The whole request target.
  public var target: ByteRange = .empty
  /// The path within the target, not normalised: begins with `/`; or is `*` (then the method is OPTIONS); or has a
  /// count of 0, which stands for `/` (an absolute target without path).
  public var path: ByteRange = .empty
  /// What follows the `?` of the target; empty if nothing does.
  public var query: ByteRange = .empty
  /// The authority of an absolute target, else the value of the Host field; empty only in HTTP/1.0 without Host.
  public var authority: ByteRange = .empty
  /// 0 for HTTP/1.0, 1 for HTTP/1.1.
  public var versionMinor: Int = 1
  /// Whether the client lets the connection stay open after this request (RFC 9112 section 9.3).
  public var isKeepAlive: Bool = true
  /// Whether the client waits for `100 Continue` before it sends the body (RFC 9110 section 10.1.1). Never in
  /// HTTP/1.0, and never without a body.
  public var expectsContinue: Bool = false
  /// How the body ends.
  public var framing: Framing = .none
  /// The fields, in the order received.
  public var fields: [FieldRange] = []
  /// Bytes of the head, from the first byte received (empty lines before the request line included) to the blank
  /// line, which is included. 0 until the head is whole.
  public var count: Int = 0

  /// For each `KnownField` that is present, the index of its first occurrence.
  private var knownIndex = InlineArray<11, UInt16>(repeating: 0)
  private var knownPresent: UInt16 = 0

  public init() {}

  /// Whether the head was read to its end: also when what it asks for was refused then, with 413, 417 or for want of a
  /// host.
  public var isWhole: Bool { count > 0 }

  /// The value of the first field of a known name, without the whitespace around it.
  ///
  /// - Returns: `nil` if there is no such field; a range with count 0 if its value is empty.
  @inline(__always)
  public func first(_ known: KnownField) -> ByteRange? {
    guard knownPresent & (1 &<< UInt16(truncatingIfNeeded: known.rawValue)) != 0 else { return nil }
    return fields[Int(knownIndex[known.rawValue])].value
  }

  /// Notes that the field at `index` has a known name, if it is the first to have it; else returns false.
  @inline(__always)
  mutating func note(_ known: KnownField, at index: Int) -> Bool {
    let bit: UInt16 = 1 &<< UInt16(truncatingIfNeeded: known.rawValue)
    guard knownPresent & bit == 0 else { return false }
    knownPresent |= bit
    knownIndex[known.rawValue] = UInt16(truncatingIfNeeded: index)
    return true
  }

  /// Makes the head ready for the next request.
  @inline(__always)
  mutating func clear() {
    count = 0
    method = .other
    path = .empty
    query = .empty
    authority = .empty
    framing = .none
    expectsContinue = false
    knownPresent = 0
    if !fields.isEmpty { fields.removeAll(keepingCapacity: true) }
  }
}

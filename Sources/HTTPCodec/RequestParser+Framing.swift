// What single fields say about the request, its body and the connection.
extension RequestParser {
  /// The Host field (RFC 9112 section 3.2): once, and well formed even when an absolute target overrides it.
  mutating func heedHost(
    _ base: UnsafeRawPointer, _ value: ByteRange, _ head: inout RequestHead
  ) throws(RequestError) {
    guard !seen.contains(.host) else { throw .repeatedHost }
    seen.insert(.host)
    let bytes = UnsafeRawBufferPointer(start: base + value.start, count: value.count)
    guard FieldSyntax.isWellFormedHost(bytes) else { throw .malformedHost }
    if !seen.contains(.targetAuthority) { head.authority = value }
  }

  /// Content-Length (RFC 9112 section 6.2): once, digits only, and not beside Transfer-Encoding.
  @inline(never)
  mutating func heedContentLength(
    _ base: UnsafeRawPointer, _ value: ByteRange, _ head: inout RequestHead
  ) throws(RequestError) {
    guard !seen.contains(.contentLength) else { throw .repeatedContentLength }
    seen.insert(.contentLength)
    guard !seen.contains(.transferEncoding) else { throw .conflictingFraming }
    guard value.count > 0 else { throw .malformedContentLength }
    var length = 0
    for offset in value.start..<value.end {
      let digit = base.load(fromByteOffset: offset, as: UInt8.self) &- 0x30
      guard digit < 10 else { throw .malformedContentLength }
      let (tens, isTooLong) = length.multipliedReportingOverflow(by: 10)
      let (sum, isTooLongStill) = tens.addingReportingOverflow(Int(digit))
      length = isTooLong || isTooLongStill ? Int.max : sum
    }
    // Whether it is too long is said once the head is whole.
    head.framing = .length(length)
  }

  /// Transfer-Encoding (RFC 9112 section 6.1): `chunked`, once, in HTTP/1.1, and not beside Content-Length.
  @inline(never)
  mutating func heedTransferEncoding(
    _ base: UnsafeRawPointer, _ value: ByteRange, _ head: inout RequestHead
  ) throws(RequestError) {
    guard !seen.contains(.transferEncoding) else { throw .malformedTransferEncoding }
    seen.insert(.transferEncoding)
    guard head.versionMinor == 1 else { throw .transferEncodingInHTTP10 }
    guard !seen.contains(.contentLength) else { throw .conflictingFraming }
    let bytes = UnsafeRawBufferPointer(start: base + value.start, count: value.count)
    guard FieldSyntax.equalsIgnoringCase(bytes, "chunked") else { throw Self.transferEncodingError(bytes) }
    head.framing = .chunked
  }

  /// Of codings that another server might know, or of what none may send.
  private static func transferEncodingError(_ value: UnsafeRawBufferPointer) -> RequestError {
    var list = TokenList(value)
    var isChunked = false
    while let element = list.next() {
      guard !isChunked, FieldSyntax.isToken(element) else { return .malformedTransferEncoding }
      isChunked = FieldSyntax.equalsIgnoringCase(element, "chunked")
    }
    return .unsupportedTransferEncoding
  }

  /// Connection (RFC 9110 section 7.6.1): a list of tokens; may be repeated.
  @inline(never)
  mutating func heedConnection(_ base: UnsafeRawPointer, _ value: ByteRange) throws(RequestError) {
    var list = TokenList(UnsafeRawBufferPointer(start: base + value.start, count: value.count))
    while let element = list.next() {
      guard element.count > 0 else { continue }
      guard FieldSyntax.isToken(element) else { throw .malformedConnection }
      if FieldSyntax.equalsIgnoringCase(element, "close") {
        seen.insert(.close)
      } else if FieldSyntax.equalsIgnoringCase(element, "keep-alive") {
        seen.insert(.keepAlive)
      }
    }
  }

  /// Expect (RFC 9110 section 10.1.1): a list of nothing but `100-continue`; may be repeated, as to expect the same twice
  /// is to expect it.
  @inline(never)
  mutating func heedExpect(_ base: UnsafeRawPointer, _ value: ByteRange) {
    var list = TokenList(UnsafeRawBufferPointer(start: base + value.start, count: value.count))
    while let element = list.next() {
      guard element.count > 0 else { continue }
      seen.insert(
        FieldSyntax.equalsIgnoringCase(element, "100-continue") ? .expectContinue : .otherExpectation)
    }
  }

  /// A field of which there may be one. Two that could be told apart only by their order are refused: whoever acts on
  /// the other one answers, or stores, for somebody else (RFC 9110 section 5.3, RFC 6454 section 7.3).
  @inline(never)
  static func checkRepeated(_ known: KnownField) throws(RequestError) {
    switch known {
    case .origin: throw .repeatedOrigin
    case .contentType: throw .repeatedContentType
    case .requestID, .traceparent, .accessControlRequestMethod, .accessControlRequestHeaders,
      .accessControlRequestPrivateNetwork, .forwarded, .forwardedFor, .authorization, .userAgent:
      return
    }
  }
}

/// The elements of a comma-separated list without the whitespace around them (RFC 9110 section 5.6.1).
///
/// Empty elements are handed out too. Lives as long as the bytes it was made of.
struct TokenList {
  private let bytes: UnsafeRawBufferPointer
  private var offset = 0

  init(_ bytes: UnsafeRawBufferPointer) {
    self.bytes = bytes
  }

  mutating func next() -> UnsafeRawBufferPointer? {
    guard offset <= bytes.count else { return nil }
    var start = offset
    var end = start
    while end < bytes.count, bytes[end] != UInt8(ascii: ",") { end &+= 1 }
    offset = end &+ 1
    while start < end, RequestParser.isWhitespace(bytes[start]) { start &+= 1 }
    while end > start, RequestParser.isWhitespace(bytes[end &- 1]) { end &-= 1 }
    return UnsafeRawBufferPointer(rebasing: bytes[start..<end])
  }
}

import HTTPCodec

/// What came of parsing some bytes, in a form that can be compared and printed.
enum Outcome: Equatable {
  case incomplete
  case refused(RequestError)
  case parsed(ParsedHead)
}

/// A head, copied out of the bytes it was parsed from.
struct ParsedHead: Equatable {
  var method: Method
  var methodName: String
  var target: String
  var path: String
  var query: String
  var authority: String
  var versionMinor: Int
  var isKeepAlive: Bool
  var expectsContinue: Bool
  var framing: Framing
  var fields: [String]
  var known: [String?]
  var count: Int

  init(_ head: RequestHead, of bytes: UnsafeRawBufferPointer) {
    func text(_ range: ByteRange) -> String {
      String(decoding: bytes[range.start..<range.start + range.count], as: UTF8.self)
    }
    method = head.method
    methodName = text(head.methodName)
    target = text(head.target)
    path = text(head.path)
    query = text(head.query)
    authority = text(head.authority)
    versionMinor = head.versionMinor
    isKeepAlive = head.isKeepAlive
    expectsContinue = head.expectsContinue
    framing = head.framing
    fields = head.fields.map { "\(text($0.name)): \(text($0.value))" }
    known = KnownField.allCases.map { head.first($0).map(text) }
    count = head.count
  }
}

/// Parses the bytes as they arrive when cut at the given offsets; each call gets fresh memory.
func parse(
  _ bytes: [UInt8], limits: CodecLimits = CodecLimits(), cutAt cuts: [Int] = []
) -> Outcome {
  var parser = RequestParser(limits: limits)
  var head = RequestHead()
  for end in cuts + [bytes.count] {
    let outcome: Outcome? = Array(bytes[..<end]).withUnsafeBytes { received in
      do throws(RequestError) {
        return try parser.parse(received, into: &head) ? .parsed(ParsedHead(head, of: received)) : nil
      } catch {
        return .refused(error)
      }
    }
    if let outcome { return outcome }
  }
  return .incomplete
}

func parse(_ text: String, limits: CodecLimits = CodecLimits()) -> Outcome {
  parse(Array(text.utf8), limits: limits)
}

/// The head that a request parses to, or nil with the reason recorded in the message of the failing `#require`.
func parsed(_ text: String, limits: CodecLimits = CodecLimits()) -> ParsedHead? {
  if case .parsed(let head) = parse(text, limits: limits) { head } else { nil }
}

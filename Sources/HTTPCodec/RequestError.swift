/// Why a request was refused. After one, nothing more can be read from the connection: answer and close.
public struct RequestError: Error, Sendable, Equatable {
  /// The status to answer with: 400, 413, 414, 417, 431, 501 or 505.
  public var status: Int
  /// A stable name in kebab case, such as `conflicting-framing`.
  public var code: String
  /// One sentence for people; says nothing that the client did not send.
  public var detail: String

  /// - Parameters:
  ///   - status: An HTTP status from 400 to 599.
  ///   - code: Kebab case.
  ///   - detail: One sentence.
  @inline(never)
  public init(status: Int, code: String, detail: String) {
    self.status = status
    self.code = code
    self.detail = detail
  }
}

// Every refusal, by the part of the request that it is about. Properties, so that the strings are only touched
// when something is refused.
extension RequestError {
  private static func bad(_ code: String, _ detail: String) -> RequestError {
    RequestError(status: 400, code: code, detail: detail)
  }

  // The request line.
  static var malformedRequestLine: RequestError {
    bad("malformed-request-line", "The request line is not `method SP target SP HTTP/1.1 CRLF`.")
  }
  static var malformedMethod: RequestError {
    bad("malformed-method", "The method is not a token followed by one space.")
  }
  static var methodTooLong: RequestError {
    RequestError(status: 501, code: "method-too-long", detail: "The method is longer than any known one.")
  }
  static var connectNotImplemented: RequestError {
    RequestError(status: 501, code: "connect-not-implemented", detail: "This host opens no tunnels.")
  }
  static var malformedTarget: RequestError {
    bad("malformed-target", "The request target has a character that must be percent-encoded.")
  }
  static var fragmentInTarget: RequestError {
    bad("fragment-in-target", "The request target has a fragment.")
  }
  static var unsupportedTargetForm: RequestError {
    bad("unsupported-target-form", "The request target is neither a path nor an http or https URI.")
  }
  static var asteriskOutsideOptions: RequestError {
    bad("asterisk-outside-options", "Only OPTIONS takes `*` as its target.")
  }
  static var malformedAuthority: RequestError {
    bad("malformed-authority", "The authority of the request target is not `host[:port]`.")
  }
  static var targetTooLong: RequestError {
    RequestError(status: 414, code: "target-too-long", detail: "The request target is too long.")
  }
  static var malformedVersion: RequestError {
    bad("malformed-version", "The protocol version is not `HTTP/digit.digit`.")
  }
  static var unsupportedVersion: RequestError {
    RequestError(
      status: 505, code: "unsupported-version", detail: "This host speaks HTTP/1.0 and HTTP/1.1.")
  }
  static var http2Preface: RequestError {
    RequestError(
      status: 505, code: "http2-not-supported", detail: "This host does not speak HTTP/2 on this port.")
  }

  // Lines and fields.
  static var bareCarriageReturn: RequestError {
    bad("bare-cr", "A carriage return is not followed by a line feed.")
  }
  static var bareLineFeed: RequestError {
    bad("bare-lf", "A line feed does not follow a carriage return.")
  }
  static var foldedField: RequestError {
    bad("folded-field", "A field line begins with whitespace.")
  }
  static var emptyFieldName: RequestError {
    bad("empty-field-name", "A field has no name.")
  }
  static var malformedFieldName: RequestError {
    bad("malformed-field-name", "A field name is not a token followed at once by a colon.")
  }
  static var malformedFieldValue: RequestError {
    bad("malformed-field-value", "A field value has a control character.")
  }
  static var headTooLarge: RequestError {
    RequestError(status: 431, code: "head-too-large", detail: "The request head is too large.")
  }
  static var tooManyFields: RequestError {
    RequestError(status: 431, code: "too-many-fields", detail: "The request has too many fields.")
  }

  // What the fields say.
  static var missingHost: RequestError {
    bad("missing-host", "An HTTP/1.1 request must have a Host field.")
  }
  static var repeatedHost: RequestError {
    bad("repeated-host", "The request has more than one Host field.")
  }
  static var repeatedOrigin: RequestError {
    bad("repeated-origin", "The request has more than one Origin field.")
  }
  static var repeatedContentType: RequestError {
    bad("repeated-content-type", "The request has more than one Content-Type field.")
  }
  static var malformedHost: RequestError {
    bad("malformed-host", "The Host field is not `host[:port]`.")
  }
  static var malformedContentLength: RequestError {
    bad("malformed-content-length", "Content-Length is not a decimal number.")
  }
  static var repeatedContentLength: RequestError {
    bad("repeated-content-length", "The request has more than one Content-Length.")
  }
  static var conflictingFraming: RequestError {
    bad("conflicting-framing", "The request has both Content-Length and Transfer-Encoding.")
  }
  static var malformedTransferEncoding: RequestError {
    bad("malformed-transfer-encoding", "Transfer-Encoding must be `chunked`, once.")
  }
  static var unsupportedTransferEncoding: RequestError {
    bad("unsupported-transfer-encoding", "The only transfer coding of this host is chunked.")
  }
  static var transferEncodingInHTTP10: RequestError {
    bad("transfer-encoding-in-http-1-0", "HTTP/1.0 has no Transfer-Encoding.")
  }
  static var malformedConnection: RequestError {
    bad("malformed-connection", "The Connection field is not a list of tokens.")
  }
  static var unsupportedExpectation: RequestError {
    RequestError(
      status: 417, code: "unsupported-expectation", detail: "The only expectation met is 100-continue.")
  }

  // The body.
  /// 413.
  public static var bodyTooLarge: RequestError {
    RequestError(status: 413, code: "body-too-large", detail: "The request body is too large.")
  }
  static var malformedChunkSize: RequestError {
    bad("malformed-chunk-size", "A chunk size is not 1 to 15 hexadecimal digits.")
  }
  static var malformedChunkExtension: RequestError {
    bad("malformed-chunk-extension", "A chunk extension is malformed.")
  }
  static var chunkExtensionTooLong: RequestError {
    bad("chunk-extension-too-long", "The chunk extensions are too long.")
  }
  static var malformedChunkEnd: RequestError {
    bad("malformed-chunk-end", "The data of a chunk is not followed by CRLF.")
  }
  static var trailerTooLarge: RequestError {
    RequestError(status: 431, code: "trailer-too-large", detail: "The trailer section is too large.")
  }

  // The path.
  static var malformedPath: RequestError {
    bad("malformed-path", "The path has a character that it must not have.")
  }
  static var malformedEscape: RequestError {
    bad("malformed-escape", "The path has a `%` without two hexadecimal digits.")
  }
  static var forbiddenEscape: RequestError {
    bad("forbidden-escape", "The path has an encoded slash, backslash or NUL.")
  }
}

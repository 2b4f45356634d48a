/// A request method. The values are those of `bh_method` in the plugin ABI.
@frozen
public enum Method: UInt32, Sendable {
  /// Any other token; `RequestHead.methodName` has it.
  case other = 0
  case get = 1
  case head = 2
  case post = 3
  case put = 4
  case patch = 5
  case delete = 6
  case options = 7
}

/// How a request's body ends (RFC 9112 section 6.3).
@frozen
public enum Framing: Sendable, Equatable {
  /// There is no body.
  case none
  /// `Content-Length` bytes follow the head; 0 or more.
  case length(Int)
  /// A chunked body follows the head: see `ChunkedDecoder`.
  case chunked
}

/// A field that the host reads on its hot path, found without a search.
public enum KnownField: Int, CaseIterable, Sendable {
  case origin
  /// `X-Request-Id`
  case requestID
  case traceparent
  case accessControlRequestMethod
  case accessControlRequestHeaders
  case accessControlRequestPrivateNetwork
  case forwarded
  /// `X-Forwarded-For`
  case forwardedFor
  case authorization
  case contentType
  case userAgent
}

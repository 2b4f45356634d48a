/// What is asked of a peer.
public struct ClientRequest: Sendable {
  public enum Method: String, Sendable {
    case get = "GET"
    case post = "POST"
  }

  public var method: Method
  public var url: WebAddress
  /// Names are tokens; values have no control characters (RFC 9110 section 5.5).
  public var headers: [(name: String, value: String)]
  /// Of a POST.
  public var body: [UInt8]

  public init(
    _ method: Method, _ url: WebAddress, headers: [(name: String, value: String)] = [], body: [UInt8] = []
  ) {
    self.method = method
    self.url = url
    self.headers = headers
    self.body = body
  }

  /// Whether to send it twice is to have it done once: it is safe (RFC 9110 section 9.2.1), or has an
  /// `Idempotency-Key`.
  public var isRepeatable: Bool {
    method == .get || headers.contains { $0.name.lowercased() == "idempotency-key" }
  }
}

/// What a peer has answered.
public struct ClientResponse: Sendable {
  public var status: Int
  /// Of the final response, in order; names as sent.
  public var headers: [(name: String, value: String)]
  public var body: [UInt8]
  /// From `Retry-After`, as seconds or as a date; nil if there is none.
  public var retryAfter: Duration?
  /// Where it came from, redirects followed.
  public var url: WebAddress

  public init(
    status: Int, headers: [(name: String, value: String)] = [], body: [UInt8] = [],
    retryAfter: Duration? = nil, url: WebAddress
  ) {
    self.status = status
    self.headers = headers
    self.body = body
    self.retryAfter = retryAfter
    self.url = url
  }

  /// The first value of a field; its name is compared without case.
  public func header(_ name: String) -> String? {
    headers.first { $0.name.lowercased() == name.lowercased() }?.value
  }

  /// The media type without parameters, in lower case; empty if there is none.
  public var mediaType: String {
    let essence = (header("content-type") ?? "").prefix { $0 != ";" }
    return essence.filter { $0 != " " && $0 != "\t" }.lowercased()
  }
}

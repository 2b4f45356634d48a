import Synchronization

/// An HTTP client on libcurl: bounded in time and size, TLS verified, to the peers it is told and no others. Any thread.
///
/// It keeps connections open between requests. It takes no proxy, no credentials and no cookies from the environment.
public final class HTTPClient: Sendable {
  /// What a request may take.
  public struct Options: Sendable {
    public enum Redirects: Sendable, Equatable {
      /// A redirect is an answer like any other.
      case none
      /// Those of a GET are followed to the same scheme, host and port, this often; others are answers.
      case sameOrigin(Int)
      /// Those of a GET are followed anywhere, this often; `Authorization` stays with the first origin.
      case anywhere(Int)
    }

    public var connectTimeout = Duration.seconds(5)
    /// From the beginning of a request to the last byte of its answer, redirects included.
    public var timeout = Duration.seconds(30)
    /// In bytes.
    public var maxBody = 1 << 20
    public var redirects = Redirects.none
    /// An URL of a proxy; nil: none, whatever the environment says.
    public var proxy: String?
    /// A PEM file of the authorities that are trusted; nil: the system's.
    public var authorities: String?
    public var userAgent = "bulkhead/1.0"

    public init() {}
  }

  public let options: Options
  private let library: CurlLibrary
  private let idle = Mutex<[Transfer]>([])
  /// More are closed when they are done.
  private static let idleLimit = 8

  /// Opens libcurl. [main]
  /// - Throws: `SystemLibraryError` if there is no libcurl.
  public init(_ options: Options = Options()) throws {
    self.options = options
    library = try CurlLibrary()
  }

  /// Reads an URL of `http` or `https`, also one relative to another.
  /// - Throws: `HTTPClientError.Kind.invalid`; the message does not repeat the text.
  public func address(
    _ text: String, relativeTo base: WebAddress? = nil
  ) throws(HTTPClientError) -> WebAddress {
    try WebAddress(text, relativeTo: base, library: library)
  }

  /// Sends one request, once, and waits for its answer.
  ///
  /// - Parameters:
  ///   - limit: The time it may take, if less than the options' `timeout`.
  ///   - checkpoint: Called at least every 50 ms; what it throws ends the request.
  /// - Throws: `HTTPClientError`, and what `checkpoint` throws. An answer with any status is no error.
  public func send(
    _ request: ClientRequest, within limit: Duration? = nil, checkpoint: () throws -> Void = {}
  ) throws -> ClientResponse {
    let transfer = try idle.withLock { $0.popLast() } ?? Transfer(library)
    let deadline = ContinuousClock.now + min(options.timeout, limit ?? options.timeout)
    var request = request
    var response: ClientResponse
    var redirectsLeft = redirectLimit
    while true {
      let remaining = deadline - ContinuousClock.now
      guard remaining > .zero else {
        throw HTTPClientError(.timedOut, "the time is up", wasSent: false)
      }
      let answer = try transfer.run(request, options, within: remaining, checkpoint: checkpoint)
      response = answer.response
      guard let next = try redirect(of: answer, to: request) else { break }
      guard redirectsLeft > 0 else {
        throw HTTPClientError(.redirected, "redirected too often", wasSent: true)
      }
      redirectsLeft -= 1
      if !next.isSameOrigin(as: request.url) {
        request.headers.removeAll { $0.name.lowercased() == "authorization" }
      }
      request.url = next
    }
    // One that has failed is not used again: its state is not worth a thought.
    idle.withLock { if $0.count < Self.idleLimit { $0.append(transfer) } }
    return response
  }

  private var redirectLimit: Int {
    switch options.redirects {
    case .none: 0
    case .sameOrigin(let limit), .anywhere(let limit): limit
    }
  }

  /// Where to ask next; nil: the answer is the answer.
  private func redirect(
    of answer: Transfer.Answer, to request: ClientRequest
  ) throws(HTTPClientError) -> WebAddress? {
    guard request.method == .get, [301, 302, 303, 307, 308].contains(answer.response.status),
      let location = answer.location
    else { return nil }
    switch options.redirects {
    case .none: return nil
    case .sameOrigin:
      let next = try address(location)
      return next.isSameOrigin(as: request.url) ? next : nil
    case .anywhere: return try address(location)
    }
  }
}

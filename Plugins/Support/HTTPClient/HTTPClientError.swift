/// Why there is no answer.
public struct HTTPClientError: Error, Sendable, Equatable, CustomStringConvertible {
  public enum Kind: String, Sendable, CaseIterable {
    /// A timeout of the client's options, or the caller's, is over.
    case timedOut = "timed out"
    /// No such host, or nobody who listens there.
    case unreachable
    /// The connection ended before the answer did.
    case broken = "connection broken"
    /// TLS could not be agreed upon, or the peer is not who it should be.
    case insecure
    /// The answer is larger than the options allow.
    case tooLarge = "answer too large"
    /// What came is no HTTP.
    case malformed = "malformed answer"
    /// More redirects than the options allow.
    case redirected = "redirected"
    /// The request, an URL or the client's options are at fault: nothing was tried.
    case invalid
  }

  public let kind: Kind
  /// libcurl's own words, or ours. Holds no header, no body and no URL's query.
  public let message: String
  /// Whether any byte of the request may have reached the peer. False: it certainly had no effect.
  public let wasSent: Bool

  public init(_ kind: Kind, _ message: String, wasSent: Bool) {
    self.kind = kind
    self.message = message
    self.wasSent = wasSent
  }

  /// Whether the same request may fare better in a moment.
  public var isTransient: Bool {
    switch kind {
    case .timedOut, .unreachable, .broken: true
    case .insecure, .tooLarge, .malformed, .redirected, .invalid: false
    }
  }

  public var description: String { "\(kind.rawValue): \(message)" }
}

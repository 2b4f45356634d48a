/// Why Redis did not answer as it should.
public enum RedisError: Error, Equatable, CustomStringConvertible {
  /// There is no connection at present: Redis was away, and is being looked for.
  case away
  /// No name server knows the host, or it has no address.
  case unresolved(String, reason: String)
  /// A system call failed.
  case system(call: String, code: Int32)
  /// Not answered in time.
  case timedOut(Duration)
  /// The server closed the connection.
  case closed
  /// An error reply: `NOSCRIPT …`, `WRONGPASS …`, `LOADING …`.
  case refused(String)
  /// Bytes that are not the protocol's, or a reply that the command does not have.
  case malformed(String)

  public var description: String {
    switch self {
    case .away: "no connection at present"
    case .unresolved(let host, let reason): "\(host) is not found: \(reason)"
    case .system(let call, let code): "\(call): \(systemReason(code))"
    case .timedOut(let limit): "no answer within \(limit)"
    case .closed: "it closed the connection"
    case .refused(let message): "it answers: \(message)"
    case .malformed(let what): "not a reply as expected: \(what)"
    }
  }

  /// The first word of an error reply, which stands for its kind; nil if this is none.
  public var kind: Substring? {
    guard case .refused(let message) = self else { return nil }
    return message.prefix { $0 != " " }
  }
}

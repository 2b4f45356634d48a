import HTTPCodec

/// A head that the codec refused, and that is read on to its end before it is answered.
///
/// A browser gives an answer to its page only if that names the page's origin, and TCP may have cut the request before
/// the line that has it.
struct Refusal {
  let error: RequestError
  var head: RefusedHead
  /// When it is answered at the latest, with what is known by then; monotonic.
  let deadline: UInt64

  /// For how long it is read on.
  private static let nanoseconds: UInt64 = 1_000_000_000
  /// How much of a head is looked at, in bytes, if a good one may not be longer.
  private static let maxHead = 64 << 10

  /// - Parameters:
  ///   - now: Monotonic.
  ///   - headDeadline: When the head must have been whole; monotonic.
  init(_ error: RequestError, at now: UInt64, headDeadline: UInt64, limits: CodecLimits) {
    self.error = error
    head = Refusal.reader(limits)
    deadline = min(now &+ Refusal.nanoseconds, headDeadline)
  }

  static func reader(_ limits: CodecLimits) -> RefusedHead {
    RefusedHead(limit: max(maxHead, limits.maxHead))
  }
}

/// What a request may cost before it is refused. Each limit has a status of its own.
public struct CodecLimits: Sendable, Equatable {
  /// Longest request target, in bytes; longer is 414.
  public var maxTarget: Int
  /// Longest head, in bytes, from the first byte to the blank line, both included; longer is 431.
  public var maxHead: Int
  /// Longest body, in bytes; a longer declared length is 413.
  public var maxBody: Int
  /// Most fields in a head; one more is 431.
  public var maxFields: Int

  /// - Parameters:
  ///   - maxTarget: Bytes, 1 or more.
  ///   - maxHead: Bytes, 1 up to `Int32.max`, beyond which it counts as that.
  ///   - maxBody: Bytes, 0 or more.
  ///   - maxFields: 0 up to 65,535, beyond which it counts as that.
  public init(
    maxTarget: Int = 8192, maxHead: Int = 16_384, maxBody: Int = 1_048_576, maxFields: Int = 100
  ) {
    self.maxTarget = maxTarget
    self.maxHead = maxHead
    self.maxBody = maxBody
    self.maxFields = maxFields
  }
}

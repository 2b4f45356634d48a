/// What Redis answers to a command that it has not refused.
public enum RedisReply: Sendable, Equatable {
  case string([UInt8])
  /// `OK`, `PONG`.
  case status(String)
  case integer(Int64)
  case array([RedisReply])
  case null

  public var bytes: [UInt8]? {
    if case .string(let bytes) = self { bytes } else { nil }
  }

  public var text: String? {
    switch self {
    case .string(let bytes): String(decoding: bytes, as: UTF8.self)
    case .status(let text): text
    default: nil
    }
  }

  public var integer: Int64? {
    if case .integer(let number) = self { number } else { nil }
  }

  public var array: [RedisReply]? {
    if case .array(let elements) = self { elements } else { nil }
  }
}

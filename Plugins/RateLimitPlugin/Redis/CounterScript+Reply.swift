import Redis

extension CounterScript {
  /// - Throws: `RedisError.malformed` if it is no reply of the script's to so many limits.
  static func decision(_ reply: RedisReply, limits count: Int) throws(RedisError) -> Decision {
    guard let parts = reply.array, parts.count == 3 + count, let allowed = parts[0].integer,
      let seconds = parts[1].bytes.flatMap(number), let microseconds = parts[2].bytes.flatMap(number),
      // So that no sum of it and a tolerance comes near 2^64.
      seconds < 1 << 32, microseconds < 1_000_000
    else { throw .malformed("the script's reply is \(reply)") }
    return Decision(
      isAllowed: allowed == 1, now: seconds * 1_000_000_000 + microseconds * 1000,
      // What is no number, somebody else has written: the script takes it for none, and so does this.
      states: parts[3...].map { $0.bytes.flatMap(number) ?? 0 })
  }

  /// 1 to 19 decimal digits.
  private static func number(_ text: [UInt8]) -> UInt64? {
    guard (1...19).contains(text.count) else { return nil }
    var number: UInt64 = 0
    for byte in text {
      guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
      number = number * 10 + UInt64(byte - UInt8(ascii: "0"))
    }
    return number
  }
}

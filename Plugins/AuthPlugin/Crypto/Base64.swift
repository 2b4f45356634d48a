/// Base 64 without padding (RFC 4648), decoded strictly: each value has one encoding, and only that is accepted.
struct Base64: Sendable {
  /// RFC 4648 section 5, as in JWTs.
  static let url = Base64(alphabet: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
  /// RFC 4648 section 4, as in PHC strings.
  static let standard = Base64(alphabet: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")

  private let symbols: [UInt8]
  /// By the symbol's byte; 0xFF: no symbol.
  private let values: [UInt8]

  private init(alphabet: StaticString) {
    symbols = alphabet.withUTF8Buffer { Array($0) }
    var values = [UInt8](repeating: 0xFF, count: 256)
    for (value, symbol) in symbols.enumerated() { values[Int(symbol)] = UInt8(value) }
    self.values = values
  }

  func encode(_ bytes: some Collection<UInt8>) -> String {
    var text: [UInt8] = []
    text.reserveCapacity((bytes.count * 4 + 2) / 3)
    var bits: UInt32 = 0
    var pending = 0
    for byte in bytes {
      bits = bits << 8 | UInt32(byte)
      pending += 8
      while pending >= 6 {
        pending -= 6
        text.append(symbols[Int(bits >> UInt32(pending) & 0x3F)])
      }
    }
    if pending > 0 { text.append(symbols[Int(bits << UInt32(6 - pending) & 0x3F)]) }
    return String(decoding: text, as: UTF8.self)
  }

  /// The bytes; nil for any symbol outside of the alphabet (padding and white space too), for a length that no encoding
  /// has, and for unused bits that are not zero.
  func decode(_ text: some Collection<UInt8>) -> [UInt8]? {
    guard text.count % 4 != 1 else { return nil }
    var bytes = [UInt8](repeating: 0, count: text.count * 3 / 4)
    var count = 0
    var bits: UInt32 = 0
    var pending = 0
    for symbol in text {
      let value = values[Int(symbol)]
      guard value != 0xFF else { return nil }
      bits = bits << 6 | UInt32(value)
      pending += 6
      if pending >= 8 {
        pending -= 8
        bytes[count] = UInt8(truncatingIfNeeded: bits >> UInt32(pending))
        count += 1
      }
    }
    guard bits & (1 << UInt32(pending) - 1) == 0 else { return nil }
    return bytes
  }
}
